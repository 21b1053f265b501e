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
    keys: Tensor  # (chunks * (P + C),) node of every key slot; slots without a node are masked
    mask: Tensor  # (chunks, 1, C, P + C), 0 or -inf, in the compute dtype
    ends: Tensor  # (m,)
    chunk: int

    @classmethod
    def of(cls, batch: Batch, dtype: torch.dtype, device: torch.device) -> NodeBatch:
        """Move a batch to `device` in one copy, asynchronous from pinned memory on CUDA."""
        packed = torch.from_numpy(batch.pack())
        if device.type == "cuda":
            packed = packed.pin_memory()
        packed = packed.to(device, non_blocking=True)
        return cls.unpack(packed, len(batch.tokens), batch.ancestors.shape[1], batch.chunk, dtype)

    @classmethod
    def unpack(cls, packed: Tensor, padded: int, slots: int, chunk: int, dtype: torch.dtype) -> NodeBatch:
        """From what `Batch.pack` laid out, for `padded` nodes and `slots` ancestors per chunk. No synchronisation."""
        chunks, device = padded // chunk, packed.device
        sizes = [padded, padded, padded, chunks * slots]
        tokens, positions, subtree_end, ancestors, ends = torch.split(packed, [*sizes, packed.shape[0] - sum(sizes)])
        ancestors = ancestors.view(chunks, slots)
        node = torch.arange(padded, device=device).view(-1, chunk)
        keys = torch.cat([ancestors, node], dim=1)
        # A slot without a node (key number `padded`) has no descendants.
        last = torch.cat([subtree_end, subtree_end.new_zeros(1)])[keys]
        seen = (keys[:, None, :] <= node[:, :, None]) & (node[:, :, None] < last[:, None, :])
        mask = torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, -torch.inf)
        return cls(tokens, positions, keys.clamp(max=padded - 1).flatten(), mask[:, None], ends, chunk)


class Workspace:
    """Buffers for one batch after another: on a CPU every fresh large tensor costs page faults."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, int], Tensor] = {}

    def take(self, name: str, rows: int, columns: int, like: Tensor) -> Tensor:
        """A (rows, columns) buffer of `like`'s dtype and device, its content undefined; one per name and width."""
        buffer = self._buffers.get((name, columns))
        if buffer is None or buffer.shape[0] < rows or buffer.dtype != like.dtype or buffer.device != like.device:
            buffer = self._buffers[name, columns] = like.new_empty(rows, columns)
        return buffer[:rows]


def attend(q: Tensor, k: Tensor, v: Tensor, batch: NodeBatch, heads: int, work: Workspace) -> Tensor:
    """Attention of nodes to their ancestors and themselves; q, k, v and the result are (N, width)."""
    chunks, slots, width = batch.mask.shape[0], len(batch.keys), q.shape[1]
    key = torch.index_select(k, 0, batch.keys, out=work.take("keys", slots, width, k))
    value = torch.index_select(v, 0, batch.keys, out=work.take("values", slots, width, v))
    q, key, value = (t.view(chunks, -1, heads, width // heads).transpose(1, 2) for t in (q, key, value))
    return F.scaled_dot_product_attention(q, key, value, attn_mask=batch.mask).transpose(1, 2).flatten(2).flatten(0, 1)


def linear(x: Tensor, layer: nn.Linear, work: Workspace, name: str, scale: float = 1.0, bias: float = 1.0) -> Tensor:
    """`scale * x @ weight.T + bias * layer.bias` in x's dtype, one matrix product, in the workspace's buffer `name`."""
    out = work.take(name, x.shape[0], layer.out_features, x)
    return torch.addmm(layer.bias.to(x.dtype), x, layer.weight.to(x.dtype).t(), beta=bias, alpha=scale, out=out)


def add_linear_(residual: Tensor, x: Tensor, layer: nn.Linear, work: Workspace, scale: float = 1.0) -> Tensor:
    """`residual += layer(scale * x)`. In float32 the sum happens inside the product; in half precision that would
    round the large residual twice.
    """
    if residual.dtype != torch.float32:
        return residual.add_(linear(x, layer, work, "sum", scale))
    residual += layer.bias.to(residual.dtype)
    return residual.addmm_(x, layer.weight.to(residual.dtype).t(), alpha=scale)


def norm(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    return F.layer_norm(x, layer.normalized_shape, layer.weight.to(x.dtype), layer.bias.to(x.dtype), layer.eps)


def mlp_(x: Tensor, block: Block, work: Workspace) -> Tensor:
    """`x += block.mlp(block.layer_norm2(x))`."""
    h = norm(x, block.layer_norm2)
    if block.mlp.activation == "quick_gelu":
        # x * sigmoid(1.702 x) is silu(1.702 x) / 1.702: both factors ride on the matrix products.
        h = F.silu(linear(h, block.mlp.fc1, work, "mlp", 1.702, 1.702), inplace=True)
        return add_linear_(x, h, block.mlp.fc2, work, 1 / 1.702)
    h = torch.ops.aten.gelu_(linear(h, block.mlp.fc1, work, "mlp"))
    return add_linear_(x, h, block.mlp.fc2, work)


@torch.inference_mode()
def encode_nodes(encoder: TextEncoder, batch: NodeBatch, work: Workspace | None = None) -> Tensor:
    """The pooled output (m, width), after the final LayerNorm, of the texts that end at `batch.ends`."""
    work = Workspace() if work is None else work
    dtype, heads = batch.mask.dtype, encoder.config.heads
    embeddings = encoder.embeddings
    x = embeddings.token_embedding(batch.tokens).to(dtype) + embeddings.position_embedding(batch.positions).to(dtype)
    blocks = list(encoder.blocks())
    for block in blocks[:-1]:
        a = block.self_attn
        h = norm(x, block.layer_norm1)
        q, k, v = linear(h, a.q_proj, work, "q"), linear(h, a.k_proj, work, "k"), linear(h, a.v_proj, work, "v")
        add_linear_(x, attend(q, k, v, batch, heads, work), a.out_proj, work)
        mlp_(x, block, work)
    block = blocks[-1]
    a = block.self_attn
    h = norm(x, block.layer_norm1)
    k, v = linear(h, a.k_proj, work, "k"), linear(h, a.v_proj, work, "v")
    # Only the ends ask: every other query is left zero and its answer dropped.
    q = torch.zeros_like(h).index_copy_(0, batch.ends, linear(h[batch.ends], a.q_proj, work, "q"))
    y = attend(q, k, v, batch, heads, work)[batch.ends]
    x = add_linear_(x[batch.ends], y, a.out_proj, work)
    return norm(mlp_(x, block, work), encoder.final_layer_norm)
