"""The CLIP text tower: token and position embeddings, pre-norm causal blocks, a final LayerNorm, a projection.

Module and parameter names are transformers', so that state dicts, adapters and optimiser groups carry over.
Nothing here knows of files, texts or tokenizers: `text_encoder.py` adds those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils.checkpoint import checkpoint

from cliptok.encoder.config import TextConfig
from cliptok.encoder.output import TextEncoderOutput


def quick_gelu(x: Tensor) -> Tensor:
    """OpenAI's approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATION: dict[str, Callable[[Tensor], Tensor]] = {"quick_gelu": quick_gelu, "gelu": F.gelu}


class TextEmbeddings(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.positions, config.width)

    def forward(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        tokens: Tensor = self.token_embedding(input_ids)
        if position_ids is None:
            positions: Tensor = self.position_embedding.weight[: input_ids.shape[-1]]
        else:
            positions = self.position_embedding(position_ids)
        return tokens + positions


class Attention(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q_proj = nn.Linear(config.width, config.width)
        self.k_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (
            f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj)
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
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
    """Token ids in, hidden states and pooled embeddings out. Weights are random, by CLIP's own initialisation.

    Takes a `TextConfig` or the name of a preset, such as "ViT-L-14".
    """

    def __init__(
        self,
        config: TextConfig | str = "ViT-B-32",
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.config = TextConfig.preset(config) if isinstance(config, str) else config
        self.gradient_checkpointing = False
        self.rows_without_inversions: int | None = None  # of the token table, before textual inversions were added
        with torch.device(device if device is not None else torch.get_default_device()):
            self.embeddings = TextEmbeddings(self.config)
            self.encoder = Blocks(self.config)
            self.final_layer_norm = nn.LayerNorm(self.config.width, eps=self.config.layer_norm_eps)
            projection = self.config.projection
            self.text_projection = None if projection is None else nn.Linear(self.config.width, projection, bias=False)
        self.reset_parameters()
        if dtype is not None:
            self.to(dtype)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """CLIP's own initialisation."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm):
                module.reset_parameters()  # what is not set below, as CLIP leaves it
        width, layers = self.config.width, self.config.layers
        nn.init.normal_(self.embeddings.token_embedding.weight, std=0.02)
        nn.init.normal_(self.embeddings.position_embedding.weight, std=0.01)
        for block in self.blocks():
            for linear in (block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj):
                nn.init.normal_(linear.weight, std=width**-0.5)
                nn.init.zeros_(linear.bias)
            nn.init.normal_(block.self_attn.out_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)
            nn.init.zeros_(block.self_attn.out_proj.bias)
            nn.init.normal_(block.mlp.fc1.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.fc2.weight, std=width**-0.5 * (2 * layers) ** -0.5)
        if self.text_projection is not None:
            nn.init.normal_(self.text_projection.weight, std=width**-0.5)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_hidden_states: bool = False,
        return_dict: bool = True,
    ) -> TextEncoderOutput | tuple[Any, ...]:
        """Encode `input_ids` (n, length), any integer dtype, length at most `config.positions`.

        `attention_mask` (n, length) has 1 or True where attention may look; without one it is causal only, which is
        what Stable Diffusion uses, padding and all. Pooled outputs are taken at each row's first end-of-text id.
        `return_dict=False` returns the tuple. Raises ValueError for a wrong shape and for a row without end of text.
        """
        if input_ids.ndim != 2:
            raise ValueError(f"input_ids must have shape (n, length), not {tuple(input_ids.shape)}")
        length = input_ids.shape[1]
        if length > self.config.positions:
            raise ValueError(
                f"input_ids has rows of {length} ids but the encoder has {self.config.positions} positions; "
                "tokenize with truncation=True"
            )
        if input_ids.dtype not in (torch.int32, torch.int64):
            input_ids = input_ids.long()
        mask = None if attention_mask is None else causal_mask(attention_mask, input_ids)
        pooled_at = eos_positions(input_ids, self.config.end_id)
        output = self.compute(input_ids, pooled_at, mask, position_ids, output_hidden_states)
        return output if return_dict else output.to_tuple()

    def compute(
        self, input_ids: Tensor, pooled_at: Tensor, mask: Tensor | None, position_ids: Tensor | None, hidden: bool
    ) -> TextEncoderOutput:
        """`forward` without its checks, so that nothing waits for the device; row i is pooled at `pooled_at[i]`."""
        x = self.embeddings(input_ids, position_ids)
        states = [x]
        for block in self.encoder.layers:
            if self.gradient_checkpointing and self.training:
                x = cast(Tensor, checkpoint(block, x, mask, use_reentrant=False))
            else:
                x = block(x, mask)
            if hidden:
                states.append(x)
        x = self.final_layer_norm(x)
        pooled = x[torch.arange(x.shape[0], device=x.device), pooled_at]
        return TextEncoderOutput(
            last_hidden_state=x,
            pooler_output=pooled,
            text_embeds=None if self.text_projection is None else self.text_projection(pooled),
            hidden_states=tuple(states) if hidden else None,
        )

    def blocks(self) -> Iterator[Block]:
        """The transformer blocks in order, typed."""
        yield from (cast(Block, block) for block in self.encoder.layers)

    @property
    def device(self) -> torch.device:
        return self.final_layer_norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.final_layer_norm.weight.dtype


def causal_mask(attention_mask: Tensor, input_ids: Tensor) -> Tensor:
    """The boolean mask (n, 1, length, length): a query sees itself and what is before it, less what is masked out."""
    if attention_mask.shape != input_ids.shape:
        raise ValueError(
            f"attention_mask has shape {tuple(attention_mask.shape)} but input_ids has {tuple(input_ids.shape)}; "
            "give one value per id"
        )
    length = input_ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
    return causal & attention_mask.to(input_ids.device, torch.bool)[:, None, None, :]


def eos_positions(input_ids: Tensor, end_id: int) -> Tensor:
    """The end-of-sequence position (n,) of each row: its first `end_id`. Raises ValueError for a row without one."""
    is_end = input_ids == end_id
    if torch.compiler.is_compiling() or isinstance(input_ids, FakeTensor):
        # A graph cannot branch on data: the assertion travels in it.
        torch._assert_async(is_end.any(dim=1).all(), "input_ids has a row without the end-of-text id")
    elif not bool(is_end.any(dim=1).all()):
        row = int((~is_end.any(dim=1)).nonzero()[0])
        raise ValueError(
            f"input_ids row {row} has no end-of-text id ({end_id}), where its pooled output would be taken; "
            "tokenize with special tokens, and truncate long texts with truncation=True"
        )
    return is_end.int().argmax(dim=1)
