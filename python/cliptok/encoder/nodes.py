"""The tower over the nodes of a trie: every position-wise layer once per node, attention in chunks of nodes.

The arithmetic is `model.py`'s, arranged so that little but matrix products is left: residual sums accumulate inside the
products, activations work in place, and the last layer computes queries, output and MLP only where texts end.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .plan import Batch

if TYPE_CHECKING:
    from .model import Block, TextEncoder


@dataclasses.dataclass
class NodeBatch:
    """A `Batch` as tensors on the encoder's device."""

    tokens: Tensor  # (N,)
    positions: Tensor  # (N,)
    keys: Tensor  # (chunks * (P + C),) node of every key slot; slots without a node point at 0 and are masked
    mask: Tensor  # (chunks, 1, C, P + C), 0 or -inf, in the compute dtype
    ends: Tensor  # (m,)
    chunk: int

    @classmethod
    def of(cls, batch: Batch, chunk: int, dtype: torch.dtype, device: torch.device) -> NodeBatch:
        """Move a batch to `device` in one copy, asynchronous from pinned memory on CUDA."""
        packed = torch.from_numpy(batch.pack())
        if device.type == "cuda":
            packed = packed.pin_memory()
        return cls.unpack(packed.to(device, non_blocking=True), len(batch.tokens), batch.ancestors.shape[1], chunk, dtype)

    @classmethod
    def unpack(cls, packed: Tensor, padded: int, slots: int, chunk: int, dtype: torch.dtype) -> NodeBatch:
        """From what `Batch.pack` laid out, for `padded` nodes and `slots` ancestors per chunk. No synchronisation."""
        chunks, device = padded // chunk, packed.device
        sizes = [padded, padded, padded, chunks * slots]
        tokens, positions, subtree_end, ancestors, ends = packed.split([*sizes, packed.shape[0] - sum(sizes)])
        ancestors = ancestors.view(chunks, slots)
        node = torch.arange(padded, device=device).view(-1, chunk)
        keys = torch.cat([ancestors, node], dim=1)
        # A slot without a node (key number `padded`) has no descendants.
        last = torch.cat([subtree_end, subtree_end.new_zeros(1)])[keys]
        seen = (keys[:, None, :] <= node[:, :, None]) & (node[:, :, None] < last[:, None, :])
        mask = torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, -torch.inf)
        return cls(tokens, positions, keys.clamp(max=padded - 1).flatten(), mask[:, None], ends, chunk)


def attend(q: Tensor, k: Tensor, v: Tensor, batch: NodeBatch, heads: int) -> Tensor:
    """Attention of nodes to their ancestors and themselves; q, k, v and the result are (N, width)."""
    chunks = batch.mask.shape[0]
    q = q.view(chunks, batch.chunk, heads, -1).transpose(1, 2)
    k = k.index_select(0, batch.keys).view(chunks, -1, heads, q.shape[-1]).transpose(1, 2)
    v = v.index_select(0, batch.keys).view(chunks, -1, heads, q.shape[-1]).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=batch.mask).transpose(1, 2).flatten(2).flatten(0, 1)


def linear(x: Tensor, layer: nn.Linear, dtype: torch.dtype, scale: float = 1.0, bias: float = 1.0) -> Tensor:
    """`scale * x @ weight.T + bias * layer.bias`, one matrix product."""
    return torch.addmm(layer.bias.to(dtype), x, layer.weight.to(dtype).t(), beta=bias, alpha=scale)


def add_linear_(residual: Tensor, x: Tensor, layer: nn.Linear, scale: float = 1.0) -> Tensor:
    """`residual += layer(scale * x)`. In float32 the sum happens inside the product; in half precision that would
    round the large residual twice."""
    dtype = residual.dtype
    if dtype != torch.float32:
        return residual.add_(linear(x, layer, dtype, scale))
    residual += layer.bias.to(dtype)
    return residual.addmm_(x, layer.weight.to(dtype).t(), alpha=scale)


def norm(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    return F.layer_norm(x, layer.normalized_shape, layer.weight.to(x.dtype), layer.bias.to(x.dtype), layer.eps)


def mlp_(x: Tensor, block: Block) -> Tensor:
    """`x += block.mlp(block.layer_norm2(x))`."""
    h = norm(x, block.layer_norm2)
    if block.mlp.activation == "quick_gelu":
        # x * sigmoid(1.702 x) is silu(1.702 x) / 1.702: both factors ride on the matrix products.
        h = F.silu(linear(h, block.mlp.fc1, x.dtype, 1.702, 1.702), inplace=True)
        return add_linear_(x, h, block.mlp.fc2, 1 / 1.702)
    h = torch.ops.aten.gelu_(linear(h, block.mlp.fc1, x.dtype))
    return add_linear_(x, h, block.mlp.fc2)


@torch.inference_mode()
def encode_nodes(encoder: TextEncoder, batch: NodeBatch) -> Tensor:
    """The pooled output (m, width), after the final LayerNorm, of the texts that end at `batch.ends`."""
    dtype, heads = batch.mask.dtype, encoder.config.heads
    embeddings = encoder.embeddings
    x = embeddings.token_embedding(batch.tokens).to(dtype) + embeddings.position_embedding(batch.positions).to(dtype)
    blocks = list(encoder.blocks())
    for block in blocks[:-1]:
        a = block.self_attn
        h = norm(x, block.layer_norm1)
        q, k, v = (linear(h, f, dtype) for f in (a.q_proj, a.k_proj, a.v_proj))
        add_linear_(x, attend(q, k, v, batch, heads), a.out_proj)
        mlp_(x, block)
    block = blocks[-1]
    a = block.self_attn
    h = norm(x, block.layer_norm1)
    k, v = linear(h, a.k_proj, dtype), linear(h, a.v_proj, dtype)
    # Only the ends ask: every other query is left zero and its answer dropped.
    q = torch.zeros_like(h).index_copy_(0, batch.ends, linear(h[batch.ends], a.q_proj, dtype))
    y = attend(q, k, v, batch, heads)[batch.ends]
    x = add_linear_(x[batch.ends], y, a.out_proj)
    return norm(mlp_(x, block), encoder.final_layer_norm)
