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
from torch import Tensor

from cliptok.encoder.sharing.attention import NodeBatch, attend
from cliptok.encoder.sharing.linear_layers import Affine, Workspace, add_linear_, linear

if TYPE_CHECKING:
    from cliptok.encoder.model import Block, TextModel


@dataclasses.dataclass
class Layer:
    """A block's parameters in the dtype that is computed in."""

    norm1: Affine
    q: Affine
    k: Affine
    v: Affine
    out: Affine
    norm2: Affine
    fc1: Affine
    fc2: Affine
    quick_gelu: bool
    eps: float

    @classmethod
    def of(cls, block: Block, dtype: torch.dtype) -> Layer:
        a, mlp = block.self_attn, block.mlp
        return cls(
            norm1=Affine.of(block.layer_norm1, dtype),
            q=Affine.of(a.q_proj, dtype),
            k=Affine.of(a.k_proj, dtype),
            v=Affine.of(a.v_proj, dtype),
            out=Affine.of(a.out_proj, dtype),
            norm2=Affine.of(block.layer_norm2, dtype),
            fc1=Affine.of(mlp.fc1, dtype),
            fc2=Affine.of(mlp.fc2, dtype),
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


def mlp_(x: Tensor, layer: Layer, work: Workspace, h: Tensor | None = None) -> Tensor:
    """`x += block.mlp(h)`, where h is `block.layer_norm2(x)`."""
    h = norm(x, layer.norm2, layer.eps) if h is None else h
    if layer.quick_gelu:
        # x * sigmoid(1.702 x) is silu(1.702 x) / 1.702: both factors are folded into the linear layers.
        return add_linear_(x, linear(h, layer.fc1, work, "mlp", "silu", 1.702, 1.702), layer.fc2, work, 1 / 1.702)
    return add_linear_(x, linear(h, layer.fc1, work, "mlp", "gelu"), layer.fc2, work)


def project(x: Tensor, layer: Layer, work: Workspace) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of every row."""
    h = norm(x, layer.norm1, layer.eps)
    return linear(h, layer.q, work, "q"), linear(h, layer.k, work, "k"), linear(h, layer.v, work, "v")


def attend_and_mlp_(x: Tensor, qkv: Iterable[Tensor], layer: Layer, batch: NodeBatch, work: Workspace) -> None:
    """The rest of a block, in place: attention, its output layer and the MLP of every node."""
    q, k, v = qkv
    y = attend(q, k, v, batch, work)
    if batch.trie is None:
        mlp_(add_linear_(x, y, layer.out, work), layer, work)
        return
    from cliptok.encoder.sharing.triton_kernels.add_norm import add_norm

    h = work.take("norm", x.shape[0], x.shape[1], x)
    add_norm(x, linear(y, layer.out, work, "sum"), 1.0, *layer.norm2, layer.eps, h)
    mlp_(x, layer, work, h)


def last_block(x: Tensor, layer: Layer, batch: NodeBatch, work: Workspace) -> Tensor:
    """The last block at end-of-sequence nodes alone, (m, width). Other queries are zero and their output is dropped."""
    h = norm(x, layer.norm1, layer.eps)
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
    states = _through(tower, batches, blocks, work)
    return _at_eos(tower, last, states, batches, work)


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
    states = _through(tower, batches, blocks[:depth], work, vectors=vectors)
    found = [norm(x, affine, final.eps) if final_norm else x.to(dtype) for x in states]
    if not pooled:
        return [(x, None) for x in found]
    if depth == len(blocks):
        at = (x.index_select(0, batch.eos_nodes) for x, batch in zip(states, batches, strict=True))
        return [(x, norm(y, affine, final.eps)) for x, y in zip(found, at, strict=True)]
    if not final_norm and found[0] is states[0]:
        found = [x.clone() for x in found]  # the blocks that follow work in place
    states = _through(tower, batches, blocks[depth:-1], work, states)
    return list(zip(found, _at_eos(tower, blocks[-1], states, batches, work), strict=True))


def _through(
    tower: TextModel,
    batches: Sequence[NodeBatch],
    blocks: Sequence[Block],
    work: Workspace,
    states: list[Tensor] | None = None,
    vectors: Tensor | None = None,
) -> list[Tensor]:
    """States (N, width) per batch after `blocks`; from the embeddings, or in place from `states`."""
    dtype = batches[0].dtype
    pairs: list[Tensor] = []
    if states is None:
        pairs = [_embed(tower, batch, vectors) for batch in batches]
        states = [_of_nodes(x, batch) for x, batch in zip(pairs, batches, strict=True)]
    for depth, block in enumerate(blocks):
        layer = Layer.of(block, dtype)
        for i, batch in enumerate(batches):
            # Before any attention a state is its token and position: few pairs stand for many nodes.
            first = depth == 0 and bool(pairs)
            qkv = project(pairs[i] if first else states[i], layer, work)
            rows = (_of_nodes(part, batch) for part in qkv) if first else qkv
            attend_and_mlp_(states[i], rows, layer, batch, work)
    return states


def _embed(tower: TextModel, batch: NodeBatch, vectors: Tensor | None) -> Tensor:
    """Token and position embeddings of the distinct pairs of a batch."""
    tokens, positions = tower.embeddings.token_embedding, tower.embeddings.position_embedding
    size = tokens.num_embeddings
    ids = batch.tokens if vectors is None else batch.tokens.clamp(max=size - 1)
    x: Tensor = tokens(ids).to(residual_dtype(batch.dtype, ids.device))
    if vectors is not None:
        others = batch.tokens >= size
        x[others] = vectors.to(x)[batch.tokens[others].long() - size]
    x += positions(batch.positions).to(x.dtype)
    return x


def _at_eos(
    tower: TextModel, block: Block, states: list[Tensor], batches: Sequence[NodeBatch], work: Workspace
) -> list[Tensor]:
    """The last block and the final LayerNorm, at end-of-sequence nodes alone."""
    dtype, final = batches[0].dtype, tower.final_layer_norm
    layer, affine = Layer.of(block, dtype), Affine.of(final, dtype)
    pooled = (last_block(x, layer, batch, work) for x, batch in zip(states, batches, strict=True))
    return [norm(x, affine, final.eps) for x in pooled]


def _of_nodes(pairs: Tensor, batch: NodeBatch) -> Tensor:
    """Rows of pairs to rows of nodes."""
    return pairs if batch.pair is None else pairs.index_select(0, batch.pair)
