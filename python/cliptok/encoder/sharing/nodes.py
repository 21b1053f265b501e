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


def norm(x: Tensor, layer: Affine, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], layer.weight, layer.bias, eps)


def mlp_(x: Tensor, layer: Layer, work: Workspace) -> Tensor:
    """`x += block.mlp(block.layer_norm2(x))`."""
    h = norm(x, layer.norm2, layer.eps)
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
    add_linear_(x, attend(q, k, v, batch, work), layer.out, work)
    mlp_(x, layer, work)


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
    dtype = batches[0].dtype
    tokens, positions = tower.embeddings.token_embedding, tower.embeddings.position_embedding
    pairs = [tokens(batch.tokens).to(dtype) + positions(batch.positions).to(dtype) for batch in batches]
    states = [_of_nodes(x, batch) for x, batch in zip(pairs, batches, strict=True)]
    *blocks, last = tower.blocks()
    for depth, block in enumerate(blocks):
        layer = Layer.of(block, dtype)
        for i, batch in enumerate(batches):
            # Before any attention a state is its token and position: few pairs stand for many nodes.
            qkv = project(states[i] if depth else pairs[i], layer, work)
            rows = qkv if depth else (_of_nodes(part, batch) for part in qkv)
            attend_and_mlp_(states[i], rows, layer, batch, work)
    layer, final = Layer.of(last, dtype), tower.final_layer_norm
    pooled = (last_block(x, layer, batch, work) for x, batch in zip(states, batches, strict=True))
    return [norm(x, Affine.of(final, dtype), final.eps) for x in pooled]


def _of_nodes(pairs: Tensor, batch: NodeBatch) -> Tensor:
    """Rows of pairs to rows of nodes."""
    return pairs if batch.pair is None else pairs.index_select(0, batch.pair)
