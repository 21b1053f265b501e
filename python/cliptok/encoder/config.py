"""The sizes of a CLIP text tower, and the published ones by name."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping
from numbers import Real
from typing import Any

from cliptok._common.json_files import wanted

ACTIVATIONS = ("quick_gelu", "gelu")
ARCHITECTURES = ("CLIPTextModel", "CLIPTextModelWithProjection", "CLIPModel")

MAX_SIZES = {
    "width": 1 << 16,
    "layers": 1000,
    "heads": 1 << 16,
    "mlp": 1 << 18,
    "positions": 1 << 20,
    "vocabulary": 1 << 24,
    "projection": 1 << 16,
}
"""The largest of each size that a text tower may have."""
_IDS = ("start_id", "end_id", "pad_id")

# our field -> transformers' name in config.json
_TRANSFORMERS_NAMES = {
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "mlp": "intermediate_size",
    "activation": "hidden_act",
    "positions": "max_position_embeddings",
    "vocabulary": "vocab_size",
    "projection": "projection_dim",
    "layer_norm_eps": "layer_norm_eps",
    "start_id": "bos_token_id",
    "end_id": "eos_token_id",
    "pad_id": "pad_token_id",
    "output_hidden_states": "output_hidden_states",
}


@dataclasses.dataclass
class TextConfig:
    """Sizes and ids of one text tower.

    transformers' configurations written before July 2023 say 2 for `end_id`, which no CLIP vocabulary means:
    `from_transformers` reads 2 as 49407.
    """

    width: int = 512
    """Of the residual stream."""
    layers: int = 12
    """Blocks."""
    heads: int = 8
    """Attention heads in each block; they divide `width`."""
    mlp: int = 2048
    """Width of the hidden layer in each block's MLP."""
    activation: str = "quick_gelu"
    """`"quick_gelu"` or `"gelu"`."""
    positions: int = 77
    """Ids per row at most."""
    vocabulary: int = 49408
    """Rows of the token table."""
    projection: int | None = None
    """Width of `text_embeds`; None for a tower without `text_projection`."""
    layer_norm_eps: float = 1e-5
    """Added to the variance in each LayerNorm."""
    start_id: int = 49406
    """The id before a text."""
    end_id: int = 49407
    """The id after a text, at which rows are pooled."""
    pad_id: int = 49407
    """The id behind shorter rows."""
    causal: bool = True
    """Whether a position attends to itself and those before it alone; in small MobileCLIPs it attends to all."""
    class_token: bool = False
    """CoCa's class token, appended to every row in the last of the `positions`, and pooled instead of the `end_id`."""
    architecture: str = ""
    """The class of transformers whose outputs the encoder has: `"CLIPTextModel"` without a projection, else
    `"CLIPTextModelWithProjection"`, or `"CLIPModel"` for the text half of a whole CLIP."""
    output_hidden_states: bool = False
    """Whether the forward pass gives all hidden states where its argument of this name is not given."""

    def __post_init__(self) -> None:
        for name in (*MAX_SIZES, *_IDS):
            if getattr(self, name) is not None or name != "projection":
                setattr(self, name, _checked(name, getattr(self, name), name))
        self.layer_norm_eps = _checked("layer_norm_eps", self.layer_norm_eps, "layer_norm_eps")
        for name in ("causal", "class_token", "output_hidden_states"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} is {getattr(self, name)!r}; expected True or False")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}; give heads that divide it")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {self.activation!r}")
        if self.architecture not in ("", *ARCHITECTURES):
            raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}, not {self.architecture!r}")
        if self.projection is None:
            self.architecture = "CLIPTextModel"
        elif self.architecture != "CLIPModel":
            self.architecture = "CLIPTextModelWithProjection"

    @classmethod
    def preset(cls, name: str, **changes: Any) -> TextConfig:
        """A published size by name (see `PRESETS`), with `changes` on top. Raises KeyError for another name."""
        if name not in PRESETS:
            raise KeyError(f"no preset is called {name!r}; there are {', '.join(sorted(PRESETS))}")
        return dataclasses.replace(PRESETS[name], **changes)

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> TextConfig:
        """From the content of a transformers or diffusers `config.json` (of a text tower, or of a whole CLIP).

        Raises TypeError or ValueError that names a field, as it is called there, of another type or out of range.
        """
        config = text_part(config)
        values = {ours: config[theirs] for ours, theirs in _TRANSFORMERS_NAMES.items() if theirs in config}
        for name in _IDS:
            if isinstance(values.get(name), list):
                if len(values[name]) != 1:
                    raise ValueError(f"{_TRANSFORMERS_NAMES[name]} is {values[name]}; expected one id")
                values[name] = values[name][0]
            if values.get(name) is None:
                values.pop(name, None)
        for ours, value in values.items():
            if ours not in ("activation", "output_hidden_states") and (value is not None or ours != "projection"):
                values[ours] = _checked(ours, value, _TRANSFORMERS_NAMES[ours])
        if values.get("end_id") == 2:
            # Written before transformers' issue 24773: the ids of another model, start and pad included. OpenCLIP's
            # models, which pad with 0, are those with the exact GELU.
            values.update(start_id=49406, end_id=49407, pad_id=0 if values.get("activation") == "gelu" else 49407)
        return cls(**values)

    def to_transformers(self) -> dict[str, Any]:
        """The content of a `config.json` that transformers and diffusers load."""
        values = {theirs: getattr(self, ours) for ours, theirs in _TRANSFORMERS_NAMES.items()}
        if self.projection is None:
            values["projection_dim"] = self.width
        kind = "CLIPTextModel" if self.projection is None else "CLIPTextModelWithProjection"
        ours = {"cliptok_architecture": self.architecture} if self.architecture != kind else {}
        return {"architectures": [kind], "model_type": self.model_type, **values, "attention_dropout": 0.0, **ours}

    @property
    def context_length(self) -> int:
        """The most ids that a row may have."""
        return self.positions - self.class_token

    def to_dict(self) -> dict[str, Any]:
        """`to_transformers`, under the name that transformers' configurations have it."""
        return self.to_transformers()

    # transformers' names, which diffusers' pipelines and peft ask for
    @property
    def hidden_size(self) -> int:
        """`width`."""
        return self.width

    @property
    def num_hidden_layers(self) -> int:
        """`layers`."""
        return self.layers

    @property
    def max_position_embeddings(self) -> int:
        """`positions`."""
        return self.positions

    @property
    def vocab_size(self) -> int:
        """`vocabulary`."""
        return self.vocabulary

    @property
    def projection_dim(self) -> int:
        """`projection`, or `width` where that is None."""
        return self.width if self.projection is None else self.projection

    @property
    def bos_token_id(self) -> int:
        """`start_id`."""
        return self.start_id

    @property
    def eos_token_id(self) -> int:
        """`end_id`."""
        return self.end_id

    @property
    def pad_token_id(self) -> int:
        """`pad_id`."""
        return self.pad_id

    @property
    def num_attention_heads(self) -> int:
        """`heads`."""
        return self.heads

    @property
    def intermediate_size(self) -> int:
        """`mlp`."""
        return self.mlp

    @property
    def hidden_act(self) -> str:
        """`activation`."""
        return self.activation

    @property
    def model_type(self) -> str:
        """What transformers calls this model."""
        return "clip_text_model"

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> TextConfig:
        """Itself: what libraries ask a whole CLIP's configuration for."""
        return self

    @property
    def tie_word_embeddings(self) -> bool:
        """False: nothing here predicts tokens."""
        return False


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The text tower's part of a `config.json`: all of it, or what a whole CLIP says of its text half.

    `text_config_dict`, where an old file has it too, goes before `text_config`, and before it what it leaves out.
    """
    if "text_config" not in config:
        return config
    text = dict(wanted(config["text_config"], dict, "text_config"))
    text.setdefault("projection_dim", config.get("projection_dim"))
    if config.get("text_config_dict"):
        defaults = {theirs: getattr(TextConfig(projection=512), ours) for ours, theirs in _TRANSFORMERS_NAMES.items()}
        text.update({**defaults, **wanted(config["text_config_dict"], dict, "text_config_dict")})
    return text


def _checked(field: str, value: Any, what: str) -> Any:
    """A size, an id or an epsilon of the right type and range, which errors call `what`."""
    if field == "layer_norm_eps":
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{what} is {repr(value)[:80]}; expected a number")
        if not 0 < (epsilon := float(value)) <= 1:
            raise ValueError(f"{what} must be above 0 and at most 1, not {epsilon}")
        return epsilon
    least, most = (0, MAX_SIZES["vocabulary"] - 1) if field in _IDS else (1, MAX_SIZES[field])
    return whole_number(value, what, least, most)


def whole_number(value: Any, what: str, least: int, most: int) -> int:
    """`value` as an int. Raises TypeError and ValueError that call it `what` for another type and out of the range."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{what} is {'null' if value is None else repr(value)[:80]}; expected a whole number")
    if not least <= number <= most:
        raise ValueError(f"{what} must be at least {least} and at most {most}, not {str(number)[:80]}")
    return number


def _clip(width: int, layers: int, heads: int, **rest: Any) -> TextConfig:
    rest.setdefault("projection", width)
    return TextConfig(width=width, layers=layers, heads=heads, mlp=4 * width, **rest)


PRESETS = {
    "ViT-B-32": _clip(512, 12, 8),
    "ViT-B-16": _clip(512, 12, 8),
    "ViT-L-14": _clip(768, 12, 12),
    "SD1": _clip(768, 12, 12, projection=None),
    "SD2": _clip(1024, 23, 16, activation="gelu", projection=None, pad_id=0),
    "ViT-H-14": _clip(1024, 24, 16, activation="gelu", pad_id=0),
    "ViT-bigG-14": _clip(1280, 32, 20, activation="gelu", pad_id=0),
    "LongCLIP-B": _clip(512, 12, 8, positions=248),
    "LongCLIP-L": _clip(768, 12, 12, positions=248),
}
"""The published sizes by name."""
