"""transformers' common model tests on our encoder with and without a projection, as a script.

`python model_suite.py SUITES` prints what `suite_runner.run` does.
"""

from __future__ import annotations

import sys
import types
import warnings
from typing import Any

import torch
from suite_runner import run
from transformers import CLIPTextConfig

from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.transformers_class import class_for

LOADING = "our `from_pretrained` refuses files that do not fit, and has no `output_loading_info`"
CHECKPOINTING = "checkpointing is of every block and never reentrant; no `every_n_layers`, nor their layer class"
ATTENTIONS = "attention maps are refused"
LOSS = "an output has no loss, and none of transformers' own text models has; theirs fails as well"
DEVIATIONS = {
    "test_can_load_from_already_mapped_keys": "asks `save_pretrained` for `save_original_format`; we write one format",
    "test_can_set_attention_dynamically": "attention is torch's scaled_dot_product_attention; there is no other",
    "test_cannot_load_with_meta_device_context_manager": "asks for an error, and ours loads",
    "test_can_use_safetensors": LOADING,
    "test_capture_outputs_decorator": ATTENTIONS,
    "test_correct_missing_keys": "asks the tower inside for `save_pretrained`, which is the encoder's",
    "test_enable_input_require_grads_with_gradient_checkpointing": CHECKPOINTING,
    "test_from_pretrained_no_checkpoint": LOADING,
    "test_gradient_checkpointing_backward_compatibility": CHECKPOINTING,
    "test_gradient_checkpointing_enable_disable": CHECKPOINTING,
    "test_inputs_embeds": "nobody knows where embeddings end, so `text_embeds` raises; theirs pools somewhere",
    "test_keep_in_fp32_modules": "there is no `_keep_in_fp32_modules`",
    "test_keep_in_fp32_modules_exist": "there is no `_keep_in_fp32_modules`",
    "test_load_save_without_tied_weights": LOADING,
    "test_model_get_set_embeddings": "sets embeddings of another width, which is refused",
    "test_model_weights_reload_no_missing_tied_weights": LOADING,
    "test_peft_gradient_checkpointing_enable_disable": CHECKPOINTING,
    "test_resize_tokens_embeddings": "asks for a ValueError of their words; `pad_to_multiple_of=1.3` is a TypeError",
    "test_training": LOSS,
    "test_training_gradient_checkpointing": LOSS,
    "test_training_gradient_checkpointing_use_reentrant_false": LOSS,
    "test_training_gradient_checkpointing_use_reentrant_true": LOSS,
}


class _FromTheirConfig(type):
    """Makes of our encoder's class one that is called with transformers' configuration, as their tests do."""

    def __call__(cls, config: Any, **kwargs: Any) -> TextEncoder:
        if isinstance(config, TextConfig):
            return TextEncoder(config, **kwargs)
        projected = "Projection" in cls.__name__
        values = {**config.to_dict(), "projection_dim": config.projection_dim if projected else None}
        ours = TextConfig.from_transformers(values)
        return TextEncoder(ours, **kwargs)


def encoder_class(projected: bool) -> type:
    """The class of our encoders of one kind."""
    base = class_for(TextEncoder, projected)
    return _FromTheirConfig(base.__name__, (base,), {})


class ModelTester:
    """The sizes and inputs of transformers' `CLIPTextModelTester`, with an end of text in each row."""

    batch_size, seq_length, hidden_size, num_hidden_layers, is_training = 12, 7, 32, 2, True

    def get_config(self) -> Any:
        return CLIPTextConfig(
            vocab_size=99,
            hidden_size=self.hidden_size,
            projection_dim=32,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=4,
            intermediate_size=37,
            max_position_embeddings=512,
            bos_token_id=97,
            eos_token_id=98,
            pad_token_id=1,
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, Any]]:
        ids = torch.randint(3, 97, (self.batch_size, self.seq_length), generator=torch.Generator().manual_seed(0))
        ids[:, -1] = 98
        return self.get_config(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def main(suites: str) -> None:
    """Run them. The mixins of generation and export, which no text tower takes part in, are not in the distribution."""
    sys.path.append(suites)
    for folder, module, mixin in (
        ("exporters", "test_export", "ExportTesterMixin"),
        ("generation", "test_utils", "GenerationTesterMixin"),
    ):
        package = f"transformers_suite.{folder}"
        sys.modules[package] = types.ModuleType(package)
        sys.modules[f"{package}.{module}"] = types.ModuleType(f"{package}.{module}")
        setattr(sys.modules[f"{package}.{module}"], mixin, type(mixin, (), {}))
    from transformers_suite import test_modeling_common as common

    values = {
        "all_model_classes": (encoder_class(False), encoder_class(True)),
        "test_resize_embeddings": True,
        "has_attentions": False,
        "setUp": lambda self: setattr(self, "model_tester", ModelTester()),
    }
    run(common.ModelTesterMixin, values, DEVIATIONS)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    main(sys.argv[1])
