"""CUDA graphs: launching a small batch's kernels takes longer than running them, and a graph launches once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from cliptok.encoder.model import TextTower
from cliptok.encoder.output import TextEncoderOutput
from cliptok.encoder.sharing.attention import NodeBatch
from cliptok.encoder.sharing.linear_layers import Workspace
from cliptok.encoder.sharing.nodes import encode_nodes
from cliptok.encoder.sharing.plan import Batch

# Beyond this many tokens a large GPU is busy for longer than the launches take.
GRAPH_TOKENS = 8192
KEPT = 32  # graphs per encoder; the least recently used goes first
EOS_ROUNDED = 32  # end-of-sequence nodes are padded to a multiple of this, so that fewer shapes need a graph


class Graph:
    """A captured call `compute(*inputs)`. Its buffers are its own, and the next replay overwrites the result."""

    def __init__(self, compute: Callable[..., Any], inputs: tuple[Tensor, ...]) -> None:
        self.inputs = tuple(tensor.clone() for tensor in inputs)
        device = inputs[0].device
        side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(3):  # cuBLAS and attention choose and allocate before the capture
                compute(*self.inputs)
        torch.cuda.current_stream(device).wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = compute(*self.inputs)

    def __call__(self, *inputs: Tensor) -> Any:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        self.graph.replay()
        return self.output


class GraphCache:
    """The graphs of one encoder, by shape. A shape is captured the second time that it comes."""

    def __init__(self) -> None:
        self._graphs: OrderedDict[object, Graph | None] = OrderedDict()

    def run(self, key: object, compute: Callable[..., Any], *inputs: Tensor) -> Any:
        """`compute(*inputs)`, from a graph if there is one. The caller copies the result before the next run."""
        graph = self._graphs.get(key)
        if graph is None and key in self._graphs:
            graph = self._graphs[key] = Graph(compute, inputs)
        self._graphs[key] = graph
        self._graphs.move_to_end(key)
        while len(self._graphs) > KEPT:
            self._graphs.popitem(last=False)
        return compute(*inputs) if graph is None else graph(*inputs)


_caches: WeakKeyDictionary[TextTower, GraphCache] = WeakKeyDictionary()


def _weights(encoder: TextTower) -> int:
    """A graph holds addresses: weights that moved, or changed dtype, need another one."""
    return hash(tuple((parameter.data_ptr(), parameter.dtype) for parameter in encoder.parameters()))


@torch.no_grad()
def forward(encoder: TextTower, input_ids: Tensor, output_hidden_states: bool = False) -> TextEncoderOutput:
    """`encoder(input_ids)` without gradients; on CUDA, small batches replay a graph."""
    if not input_ids.is_cuda or input_ids.numel() > GRAPH_TOKENS or encoder.training:
        output = encoder(input_ids, output_hidden_states=output_hidden_states)
        assert isinstance(output, TextEncoderOutput)
        return output
    key = ("forward", tuple(input_ids.shape), input_ids.dtype, output_hidden_states, _weights(encoder))

    def compute(ids: Tensor) -> Any:
        return encoder(ids, output_hidden_states=output_hidden_states)

    replayed: TextEncoderOutput = _caches.setdefault(encoder, GraphCache()).run(key, compute, input_ids)
    return replayed.clone()


class GraphedNodes:
    """`encode_nodes` on CUDA for small batches: one copy to the device and one launch."""

    def __init__(self, encoder: TextTower, dtype: torch.dtype) -> None:
        self.encoder, self.dtype = encoder, dtype
        self.cache = _caches.setdefault(encoder, GraphCache())
        self.weights = _weights(encoder)

    def __call__(self, batch: Batch) -> Tensor:
        """The pooled outputs (m, width) of a batch of at most `GRAPH_TOKENS` nodes."""
        shape = batch.shape
        eos = -(-len(batch.eos_nodes) // EOS_ROUNDED) * EOS_ROUNDED
        packed = torch.from_numpy(batch.pack(eos)).pin_memory().to(self.encoder.device, non_blocking=True)

        def compute(packed: Tensor) -> Tensor:
            nodes = NodeBatch.unpack(packed, shape, self.encoder.config.heads, self.dtype)
            return encode_nodes(self.encoder, [nodes], Workspace())[0]

        key = ("nodes", shape, eos, self.dtype, self.weights)
        pooled: Tensor = self.cache.run(key, compute, packed)
        return pooled[: len(batch.eos_nodes)].clone()
