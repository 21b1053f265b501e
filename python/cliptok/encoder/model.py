"""The CLIP text tower: token and position embeddings, pre-norm causal blocks, a final LayerNorm, a projection.

Module and parameter names are those of transformers 5, so that state dicts, adapters and optimiser groups carry over.
Nothing here knows of files, texts or tokenizers: `text_encoder.py` adds those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cliptok.encoder.config import TextConfig
from cliptok.encoder.dot_product import attention
from cliptok.encoder.hidden_states import kept_states
from cliptok.encoder.output import OUTPUTS, EndOfSequence, TextEncoderOutput
from cliptok.encoder.state_dicts import load_whole


def quick_gelu(x: Tensor) -> Tensor:
    """OpenAI's approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATION: dict[str, Callable[[Tensor], Tensor]] = {"quick_gelu": quick_gelu, "gelu": F.gelu}


# Before torch 2.5 a query that may look nowhere (padding on the left) gets NaN, which the next block spreads.
_NEEDS_KEYS = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 5)


def _table(rows: int, width: int) -> nn.Embedding:
    """A table with values yet to be set. `nn.Embedding(...)` draws them, which takes seconds on the meta device."""
    table: nn.Embedding = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
        torch.empty(rows, width), freeze=False
    )
    return table


class TextEmbeddings(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = _table(config.vocabulary, config.width)
        self.position_embedding = _table(config.positions, config.width)
        self.class_embedding = nn.Parameter(torch.empty(config.width)) if config.class_token else None

    def forward(
        self, input_ids: Tensor | None = None, position_ids: Tensor | None = None, inputs_embeds: Tensor | None = None
    ) -> Tensor:
        x: Tensor = self.token_embedding(input_ids) if inputs_embeds is None else inputs_embeds
        if self.class_embedding is not None:
            x = torch.cat([x, self.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)], dim=1)
        if position_ids is None:
            position_ids = torch.arange(x.shape[1], device=x.device)
        positions: Tensor = self.position_embedding(position_ids)
        return x + positions


class Attention(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.heads, self.causal = config.heads, config.causal
        self.q_proj = nn.Linear(config.width, config.width)
        self.k_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (
            f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj)
        )
        y = attention(q, k, v, mask, causal=self.causal and mask is None)
        out: Tensor = self.out_proj(y.transpose(1, 2).flatten(2))
        return out


class MLP(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.fc1 = nn.Linear(config.width, config.mlp)
        self.fc2 = nn.Linear(config.mlp, config.width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(ACTIVATION[self.activation](self.fc1(x)))
        return out

    def extra_repr(self) -> str:
        return f"activation={self.activation}"


class Block(nn.Module):
    eight_bit: tuple[Any, ...] | None = None
    """What stands for its linear layers in `QuantizedEncoder`; no part of the state."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.width, eps=config.layer_norm_eps)
        self.self_attn = Attention(config)
        self.layer_norm2 = nn.LayerNorm(config.width, eps=config.layer_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x), mask)
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


class Blocks(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))


class TextTower(nn.Module):
    """Token ids in, hidden states and pooled states out, as transformers' `CLIPTextModel`."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        """Whether training computes each block anew in the backward pass, which saves memory. For users to set."""
        self.rows_without_inversions: int | None = None
        """Rows of the token table before textual inversions were added; None until one is."""
        self.embeddings = TextEmbeddings(config)
        """The tables of tokens and positions."""
        self.encoder = Blocks(config)
        """The blocks, in `encoder.layers`."""
        self.final_layer_norm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)
        """After the last block."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_hidden_states: bool | int | Sequence[int] | None = None,
        return_dict: bool | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
    ) -> TextEncoderOutput | tuple[Any, ...]:
        """Encode `input_ids` (n, length), any integer dtype, length at most `config.context_length`.

        `attention_mask` (n, length) has 1 or True where attention may look; without one it is causal only, which is
        what Stable Diffusion uses, padding and all. `inputs_embeds` (n, length, width) stand for `input_ids`, before
        positions are added. `output_hidden_states` may be numbers of hidden states: those alone are kept, the others
        are None; without it `config.output_hidden_states` holds. Pooled outputs are taken at each row's first
        end-of-sequence id: reading them raises ValueError for a row without one, and for `inputs_embeds`, where nobody
        knows. `return_dict=False` returns the tuple. Raises ValueError for a wrong shape and for attention maps, which
        are never computed.
        """
        if output_attentions:
            raise ValueError("output_attentions: attention maps are not computed here; use transformers' model")
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        if input_ids is not None:
            check_ids(input_ids)
        given = cast(Tensor, inputs_embeds if input_ids is None else input_ids)
        if given.shape[1] > self.config.context_length:
            raise ValueError(
                f"input_ids has rows of {given.shape[1]} ids but the encoder has {self.config.context_length} "
                "positions; tokenize with truncation=True"
            )
        if input_ids is not None and input_ids.dtype not in (torch.int32, torch.int64):
            input_ids = input_ids.long()
        mask = self._mask(given, attention_mask)
        if mask is not None and _NEEDS_KEYS:
            mask = mask | ~mask.any(-1, keepdim=True)
        try:
            x = self.embeddings(input_ids, position_ids, inputs_embeds)
        except IndexError as error:  # On CUDA the device reports it, later.
            raise IndexError(
                f"input_ids or position_ids is out of range; the encoder has {self.config.vocabulary} tokens and"
                f" {self.config.context_length} positions"
            ) from error
        keep = kept_states(
            self.config.output_hidden_states if output_hidden_states is None else output_hidden_states, self.depth + 1
        )
        states: list[Tensor | None] = [x if 0 in keep else None]
        for number, block in enumerate(self.encoder.layers, 1):
            if self.gradient_checkpointing and self.training:
                x = cast(Tensor, checkpoint(block, x, mask, use_reentrant=False))
            else:
                x = block(x, mask)
            states.append(x if number in keep else None)
        x = self.final_layer_norm(x)
        end = None
        if self.config.class_token:
            x, pooled = x[:, :-1], x[:, -1]
        else:
            pooled, end = self._pool(x, input_ids)
        output = TextEncoderOutput(
            last_hidden_state=x,
            pooler_output=pooled,
            hidden_states=tuple(states) if keep else None,
            end=end,
        )
        return output.to_tuple() if return_dict is False else output

    def _mask(self, given: Tensor, attention_mask: Tensor | None) -> Tensor | None:
        """None, which is causal or nothing by the configuration, or a boolean mask (n, 1, queries, keys)."""
        if attention_mask is not None and attention_mask.shape != given.shape[:2]:
            raise ValueError(
                f"attention_mask has shape {tuple(attention_mask.shape)} but input_ids has {tuple(given.shape[:2])}; "
                "give one value per id"
            )
        if self.config.class_token:
            return class_token_mask(given, self.config.pad_id, attention_mask)
        if attention_mask is None:
            return None
        keys = attention_mask.to(given.device, torch.bool)[:, None, None, :]
        return keys & causal_mask(given.shape[1], given.device) if self.config.causal else keys

    def _pool(self, x: Tensor, input_ids: Tensor | None) -> tuple[Tensor, EndOfSequence | None]:
        """The states (n, width) at the end-of-sequence positions, NaN in a row without one, and what checks that."""
        if input_ids is None:
            found = torch.zeros(x.shape[0], dtype=torch.bool, device=x.device)
            position = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        else:
            is_end = input_ids == self.config.end_id
            found, position = is_end.any(dim=1), is_end.int().argmax(dim=1)
        pooled = x[torch.arange(x.shape[0], device=x.device), position]
        pooled = pooled.masked_fill(~found.to(x.device)[:, None], torch.nan)
        graph = torch.compiler.is_compiling() or _is_tracing()
        return pooled, None if graph else EndOfSequence(found, self.config.end_id)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """CLIP's own initialisation."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm):
                module.reset_parameters()  # what is not set below, as CLIP leaves it
        width, layers = self.config.width, self.config.layers
        nn.init.normal_(self.embeddings.token_embedding.weight, std=0.02)
        nn.init.normal_(self.embeddings.position_embedding.weight, std=0.01)
        if self.embeddings.class_embedding is not None:
            nn.init.normal_(self.embeddings.class_embedding, std=0.01)
        for block in self.blocks():
            for linear in (block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj):
                nn.init.normal_(linear.weight, std=width**-0.5)
                nn.init.zeros_(linear.bias)
            nn.init.normal_(block.self_attn.out_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)
            nn.init.zeros_(block.self_attn.out_proj.bias)
            nn.init.normal_(block.mlp.fc1.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.fc2.weight, std=width**-0.5 * (2 * layers) ** -0.5)

    def blocks(self) -> Iterator[Block]:
        """The transformer blocks in order, typed."""
        yield from (cast(Block, block) for block in self.encoder.layers)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._first_weight().device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self._first_weight().dtype

    @property
    def depth(self) -> int:
        """How many blocks there are now: `config.layers`, unless someone has taken some away."""
        return len(self.encoder.layers)

    def _first_weight(self) -> Tensor:
        weight = getattr(self.final_layer_norm, "weight", None)  # the last to change its dtype, and quickly found
        return weight if isinstance(weight, Tensor) else next(self.parameters())


# What a `TextModel` has as attributes of its own, wherever the tower is.
_PARTS = ("embeddings", "encoder", "final_layer_norm", "gradient_checkpointing", "rows_without_inversions")


class TextModel(TextTower):
    """A tower, and its projection where it has one; modules are where transformers' class for the checkpoint has them.

    Without a projection that is `CLIPTextModel`: the tower itself. With one it is `CLIPTextModelWithProjection`: the
    tower is the submodule `text_model`, beside `text_projection`. Both have the tower's parts as attributes. Takes a
    `TextConfig` or the name of a preset, such as "ViT-L-14"; weights are random, by CLIP's own initialisation.
    """

    def __init__(
        self,
        config: TextConfig | str = "ViT-B-32",
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        config = TextConfig.preset(config) if isinstance(config, str) else config
        self.text_projection: nn.Linear | None
        """From the pooled state to `text_embeds`, without bias; None in a tower without one."""
        with torch.device(device if device is not None else torch.get_default_device()):
            if config.projection is None:
                super().__init__(config)
                self.text_projection = None
            else:
                nn.Module.__init__(self)
                self.config = config
                """The sizes and ids."""
                self._modules["text_model"] = TextTower(config)
                self.text_projection = nn.Linear(config.width, config.projection, bias=False)
        if self.device.type != "meta":  # Drawing nothing there imports torch's compiler, which takes seconds.
            self.reset_parameters()
        if dtype is not None:
            self.to(dtype)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_hidden_states: bool | int | Sequence[int] | None = None,
        return_dict: bool | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
    ) -> TextEncoderOutput | tuple[Any, ...]:
        """As `TextTower.forward`, with the fields that transformers' class for the checkpoint has."""
        given = (input_ids, attention_mask, position_ids, output_hidden_states)
        more = (inputs_embeds, output_attentions)
        if self.text_projection is None:
            output = cast(TextEncoderOutput, super().forward(*given, True, *more))
        else:
            output = self._projected(self.tower(*given, True, *more), self.text_projection)
        # TorchScript's tracer takes tuples of tensors only.
        return output.to_tuple() if return_dict is False or _is_tracing() else output

    def _projected(self, output: TextEncoderOutput, projection: nn.Linear) -> TextEncoderOutput:
        pooled = output.unchecked("pooler_output")
        return OUTPUTS[self.config.architecture](
            last_hidden_state=output.last_hidden_state,
            pooler_output=pooled,
            text_embeds=projection(pooled),
            hidden_states=output.hidden_states,
            end=output.end,
        )

    @property
    def text_model(self) -> TextTower:
        """The tower; the encoder itself where it has no projection."""
        return self.tower

    @property
    def tower(self) -> TextTower:
        """The same as `text_model`."""
        return cast(TextTower, self._modules.get("text_model", self))

    def __getattr__(self, name: str) -> Any:
        if name in _PARTS and "text_model" in self._modules:
            return getattr(self._modules["text_model"], name)
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _PARTS and "text_model" in self.__dict__.get("_modules", ()):
            setattr(self._modules["text_model"], name, value)
        else:
            super().__setattr__(name, value)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Names with and without `text_model.` load, as the versions of transformers write them."""
        nested = "text_model" in self._modules
        for name in [name for name in state_dict if name.startswith(prefix)]:
            own = name.removeprefix(prefix)
            if nested and own.split(".")[0] in _PARTS:
                state_dict[f"{prefix}text_model.{own}"] = state_dict.pop(name)
            elif not nested and own.startswith("text_model."):
                state_dict[prefix + own.removeprefix("text_model.")] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As torch's, but where it raises nothing is loaded. Names with and without `text_model.` are taken.

        Raises RuntimeError as torch does, and ValueError for integers, complex numbers and tensors without values.
        """
        load = super().load_state_dict
        return load_whole(self, lambda assigned: load(state_dict, strict=strict, assign=assigned), assign)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """CLIP's own initialisation, of the projection too."""
        super().reset_parameters()
        if self.text_projection is not None:
            nn.init.normal_(self.text_projection.weight, std=self.config.width**-0.5)


def _is_tracing() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def causal_mask(length: int, device: torch.device) -> Tensor:
    """(length, length), True where a query may look: at itself and at what is before it."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def check_ids(input_ids: Any) -> None:
    """Raise TypeError for what is no tensor of whole numbers, ValueError for another shape than (n, length)."""
    if not isinstance(input_ids, Tensor):
        kind = type(input_ids).__name__
        raise TypeError(f"input_ids is of type {kind}; expected a tensor (n, length) of ids; texts go to encode()")
    if input_ids.is_floating_point() or input_ids.is_complex() or input_ids.dtype == torch.bool:
        raise TypeError(f"input_ids is of dtype {input_ids.dtype}; expected int64 or int32")
    if input_ids.ndim != 2:
        raise ValueError(f"input_ids must have shape (n, length), not {tuple(input_ids.shape)}")


def class_token_mask(given: Tensor, pad_id: int, attention_mask: Tensor | None) -> Tensor:
    """CoCa's mask (n, 1, length + 1, length + 1), with the class token as last query and key.

    As released, and as its weights were trained: a key is visible where the id *before* it is no padding, since the
    class token's place was taken to be the first. open_clip calls that "incorrect legacy mode".
    """
    if given.ndim == 3 and attention_mask is None:
        raise ValueError("inputs_embeds of a tower with a class token need attention_mask, to know the padding")
    valid = attention_mask.to(given.device, torch.bool) if attention_mask is not None else given != pad_id
    keys = torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1)
    return keys[:, None, None, :] & causal_mask(given.shape[1] + 1, given.device)
