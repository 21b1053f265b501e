"""The tower over the nodes of a trie: every position-wise layer once per node, attention in chunks of nodes.

The arithmetic is `model.py`'s, arranged so that little but matrix products is left: scale factors are folded into the
linear layers, activations run in place or inside them, and the last block computes queries, output and MLP only at
end-of-sequence positions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cliptok.encoder.sharing.attention import NodeBatch, RowBatch, attend
from cliptok.encoder.sharing.eight_bit import EightBit, EightBitRows, quantized
from cliptok.encoder.sharing.linear_layers import Affine, Workspace, add_linear_, linear

if TYPE_CHECKING:
    from cliptok.encoder.model import Block, TextModel


@dataclasses.dataclass
class Layer:
    """A block's parameters in the dtype that is computed in."""

    norm1: Affine
    q: Affine | EightBit
    k: Affine | EightBit
    v: Affine | EightBit
    out: Affine | EightBit
    norm2: Affine
    fc1: Affine | EightBit
    fc2: Affine | EightBit
    quick_gelu: bool
    eps: float

    @classmethod
    def of(cls, block: Block, dtype: torch.dtype) -> Layer:
        a, mlp = block.self_attn, block.mlp
        linears = a.q_proj, a.k_proj, a.v_proj, a.out_proj, mlp.fc1, mlp.fc2
        q, k, v, out, fc1, fc2 = block.eight_bit or [Affine.of(linear, dtype) for linear in linears]
        return cls(
            norm1=Affine.of(block.layer_norm1, dtype),
            q=q,
            k=k,
            v=v,
            out=out,
            norm2=Affine.of(block.layer_norm2, dtype),
            fc1=fc1,
            fc2=fc2,
            quick_gelu=mlp.activation == "quick_gelu",
            eps=block.layer_norm1.eps,
        )


def residual_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype of the residual stream: float32 on CPUs, where half precision would round it at every addition.

    (GPUs keep the GEMMs' dtype: there the stream's traffic and the casts would cost more than they are worth.)
    """
    return torch.float32 if device.type == "cpu" and dtype.itemsize < 4 else dtype


def norm(x: Tensor, layer: Affine, eps: float) -> Tensor:
    """LayerNorm of the residual stream, in the dtype of its weights."""
    weight, bias = layer.weight.to(x.dtype), layer.bias.to(x.dtype)
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps).to(layer.weight.dtype)


def mlp_(x: Tensor, layer: Layer, work: Workspace) -> Tensor:
    """`x += block.mlp(block.layer_norm2(x))`."""
    h, scale = _activated(norm(x, layer.norm2, layer.eps), layer, work)
    return add_linear_(x, h, layer.fc2, work, scale)


def _activated(h: Tensor, layer: Layer, work: Workspace) -> tuple[Tensor | EightBitRows, float]:
    """What comes out of fc1 and its activation, and the factor that it lacks."""
    if isinstance(layer.fc1, EightBit):
        h = linear(h, layer.fc1, work, "mlp")
        return quantized(h, layer.fc1.weight.dtype, "quick_gelu" if layer.quick_gelu else "gelu"), 1.0
    if layer.quick_gelu:
        # x * sigmoid(1.702 x) is silu(1.702 x) / 1.702: both factors are folded into the linear layers.
        return linear(h, layer.fc1, work, "mlp", "silu", 1.702, 1.702), 1 / 1.702
    return linear(h, layer.fc1, work, "mlp", "gelu"), 1.0


def project(x: Tensor, layer: Layer, work: Workspace, h: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of every row; h is `block.layer_norm1(x)` where that is known."""
    h = norm(x, layer.norm1, layer.eps) if h is None else h
    rows = quantized(h, layer.q.weight.dtype) if isinstance(layer.q, EightBit) else h
    return linear(rows, layer.q, work, "q"), linear(rows, layer.k, work, "k"), linear(rows, layer.v, work, "v")


def attend_and_mlp_(
    x: Tensor, qkv: Iterable[Tensor], layer: Layer, batch: NodeBatch | RowBatch, work: Workspace, after: Affine | None
) -> Tensor | None:
    """The rest of a block, in place: attention, its output layer and the MLP of every node.

    Fused, also the LayerNorm `after` the block, which is returned.
    """
    q, k, v = qkv
    y = attend(q, k, v, batch, work)
    if not batch.fused:
        mlp_(add_linear_(x, y, layer.out, work), layer, work)
        return None
    from cliptok.encoder.sharing.triton_kernels.add_norm import add_norm
    from cliptok.encoder.sharing.triton_kernels.linear import FEWEST_ROWS, linear_gelu

    h = torch.empty_like(x)
    add_norm(x, linear(y, layer.out, work, "sum"), 1.0, *layer.norm2, layer.eps, h)
    hidden: Tensor | EightBitRows
    if isinstance(layer.fc1, Affine) and len(h) >= FEWEST_ROWS:
        hidden = work.take("mlp", len(h), len(layer.fc1.weight), h)
        hidden, scale = linear_gelu(h, *layer.fc1, layer.quick_gelu, hidden), 1.0
    else:
        hidden, scale = _activated(h, layer, work)
    if after is None:
        add_linear_(x, hidden, layer.fc2, work, scale)
        return None
    return add_norm(x, linear(hidden, layer.fc2, work, "sum", scale=scale), 1.0, *after, layer.eps, h)


def last_block(x: Tensor, layer: Layer, batch: NodeBatch, work: Workspace, h: Tensor | None = None) -> Tensor:
    """The last block at end-of-sequence nodes alone, (m, width). Other queries are zero and their output is dropped.

    h is as in `project`.
    """
    h = norm(x, layer.norm1, layer.eps) if h is None else h
    k, v = linear(h, layer.k, work, "k"), linear(h, layer.v, work, "v")
    q = torch.zeros_like(h)
    # (Assigned by index: MPS has no `index_copy_` in torch 2.4. Padding repeats node 0, with the same value.)
    q[batch.eos_nodes.long()] = linear(h.index_select(0, batch.eos_nodes), layer.q, work, "q")
    y = attend(q, k, v, batch, work).index_select(0, batch.eos_nodes)
    return mlp_(add_linear_(x.index_select(0, batch.eos_nodes), y, layer.out, work), layer, work)


def encode_nodes(tower: TextModel, batches: Sequence[NodeBatch], work: Workspace) -> list[Tensor]:
    """Per batch the pooled outputs (M, width), after the final LayerNorm, of the texts that end in it.

    Each layer sees all batches before the next layer does, while its weights are in the cache. Without gradients: call
    it in `no_grad` or in inference mode.
    """
    *blocks, last = tower.blocks()
    states, normed = _embedded_through(tower, batches, blocks, work, last.layer_norm1)
    return _at_eos(tower, last, states, batches, work, normed)


def encode_states(
    tower: TextModel,
    batches: Sequence[NodeBatch],
    work: Workspace,
    depth: int,
    final_norm: bool,
    pooled: bool,
    vectors: Tensor | None = None,
) -> list[tuple[Tensor, Tensor | None]]:
    """Per batch the state of every node (N, width) after `depth` blocks, and its pooled outputs (M, width) if `pooled`.

    `final_norm` sends the states through the final LayerNorm. Token ids past the vocabulary are rows of `vectors`.
    """
    blocks, final, dtype = list(tower.blocks()), tower.final_layer_norm, batches[0].dtype
    affine = Affine.of(final, dtype)
    states, normed = _embedded_through(
        tower, batches, blocks[:depth], work, final if final_norm else None, vectors=vectors
    )
    if final_norm:
        found = [norm(x, affine, final.eps) if h is None else h for x, h in zip(states, normed, strict=True)]
    else:
        found = [x.to(dtype) for x in states]
    if not pooled:
        return [(x, None) for x in found]
    if depth == len(blocks):
        at = (x.index_select(0, batch.eos_nodes) for x, batch in zip(states, batches, strict=True))
        return [(x, norm(y, affine, final.eps)) for x, y in zip(found, at, strict=True)]
    if not final_norm and found[0] is states[0]:
        found = [x.clone() for x in found]  # the blocks that follow work in place
    normed = through(blocks[depth:-1], batches, states, work, blocks[-1].layer_norm1)
    return list(zip(found, _at_eos(tower, blocks[-1], states, batches, work, normed), strict=True))


def _embedded_through(
    tower: TextModel,
    batches: Sequence[NodeBatch],
    blocks: Sequence[Block],
    work: Workspace,
    after: nn.LayerNorm | None,
    vectors: Tensor | None = None,
) -> tuple[list[Tensor], list[Tensor | None]]:
    """States (N, width) per batch, from the embeddings through `blocks`, and what `through` returns."""
    pairs = [_embed(tower, batch, vectors) for batch in batches]
    states = [_of_nodes(x, batch) for x, batch in zip(pairs, batches, strict=True)]
    return states, through(blocks, batches, states, work, after, pairs=pairs)


def through(
    blocks: Sequence[Block],
    batches: Sequence[NodeBatch | RowBatch],
    states: Sequence[Tensor],
    work: Workspace,
    after: nn.LayerNorm | None,
    normed: Sequence[Tensor | None] = (),
    pairs: Sequence[Tensor] = (),
) -> list[Tensor | None]:
    """Change states (N, width) per batch in place to what they are after `blocks`.

    Returns, where it has been computed on the way, the LayerNorm `after` of them; `normed` is that of the first block.
    `pairs` are what the states are made of, where these are embeddings.
    """
    dtype = batches[0].dtype
    known = list(normed) or [None] * len(batches)
    for depth, block in enumerate(blocks):
        layer = Layer.of(block, dtype)
        following = blocks[depth + 1].layer_norm1 if depth + 1 < len(blocks) else after
        next_norm = None if following is None else Affine.of(following, dtype)
        for i, batch in enumerate(batches):
            # Before any attention a state is its token and position: few pairs stand for many nodes.
            if depth == 0 and pairs and isinstance(batch, NodeBatch):
                qkv = tuple(_of_nodes(part, batch) for part in project(pairs[i], layer, work))
            else:
                qkv = project(states[i], layer, work, known[i])
            known[i] = attend_and_mlp_(states[i], qkv, layer, batch, work, next_norm)
    return known


def _embed(tower: TextModel, batch: NodeBatch, vectors: Tensor | None) -> Tensor:
    """Token and position embeddings of the distinct pairs of a batch."""
    tokens, positions = tower.embeddings.token_embedding, tower.embeddings.position_embedding
    size = tokens.num_embeddings
    ids = batch.tokens if vectors is None else batch.tokens.clamp(max=size - 1)
    x: Tensor = tokens(ids).to(residual_dtype(batch.dtype, ids.device))
    if vectors is not None and len(vectors) > 0:
        # Not with the mask as an index: a device would be waited for, to count what it takes.
        others = vectors.to(x)[(batch.tokens.long() - size).clamp_(min=0)]
        x = torch.where((batch.tokens >= size)[:, None], others, x)
    x += positions(batch.positions).to(x.dtype)
    return x


def _at_eos(
    tower: TextModel,
    block: Block,
    states: Sequence[Tensor],
    batches: Sequence[NodeBatch],
    work: Workspace,
    normed: Sequence[Tensor | None],
) -> list[Tensor]:
    """The last block and the final LayerNorm, at end-of-sequence nodes alone."""
    dtype, final = batches[0].dtype, tower.final_layer_norm
    layer, affine = Layer.of(block, dtype), Affine.of(final, dtype)
    pooled = (last_block(x, layer, batch, work, h) for x, batch, h in zip(states, batches, normed, strict=True))
    return [norm(x, affine, final.eps) for x in pooled]


def _of_nodes(pairs: Tensor, batch: NodeBatch) -> Tensor:
    """Rows of pairs to rows of nodes."""
    return pairs if batch.pair is None else pairs.index_select(0, batch.pair)
