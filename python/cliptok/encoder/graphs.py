"""CUDA graphs: where a batch is small, launching its kernels takes longer than running them, and a graph launches once."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from .model import end_positions
from .output import TextEncoderOutput

if TYPE_CHECKING:
    from .model import TextEncoder

# Beyond this many tokens an H100 is busy for longer than the launches take.
GRAPH_TOKENS = 8192
KEPT = 16  # graphs per encoder, the least recently used goes first


class _Graph:
    """One captured forward pass of one shape. Its buffers are overwritten by the next replay."""

    def __init__(self, encoder: TextEncoder, input_ids: Tensor, ends: Tensor, hidden: bool) -> None:
        self.ids, self.ends = input_ids.clone(), ends.clone()
        side = torch.cuda.Stream(input_ids.device)
        side.wait_stream(torch.cuda.current_stream(input_ids.device))
        with torch.cuda.stream(side):
            for _ in range(3):  # cuBLAS and SDPA choose and allocate before the capture
                encoder.tower(self.ids, self.ends, None, None, hidden)
        torch.cuda.current_stream(input_ids.device).wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = encoder.tower(self.ids, self.ends, None, None, hidden)

    def __call__(self, input_ids: Tensor, ends: Tensor) -> TextEncoderOutput:
        self.ids.copy_(input_ids)
        self.ends.copy_(ends)
        self.graph.replay()
        states = self.output.hidden_states
        return TextEncoderOutput(
            last_hidden_state=self.output.last_hidden_state.clone(),
            pooler_output=self.output.pooler_output.clone(),
            text_embeds=None if self.output.text_embeds is None else self.output.text_embeds.clone(),
            hidden_states=None if states is None else tuple(state.clone() for state in states),
        )


_graphs: WeakKeyDictionary[TextEncoder, OrderedDict[tuple[object, ...], _Graph]] = WeakKeyDictionary()


def forward(encoder: TextEncoder, input_ids: Tensor, output_hidden_states: bool = False) -> TextEncoderOutput:
    """`encoder(input_ids)` without gradients; small batches on CUDA replay a graph, captured when a shape first comes."""
    if not input_ids.is_cuda or input_ids.numel() > GRAPH_TOKENS or encoder.training:
        output = encoder(input_ids, output_hidden_states=output_hidden_states)
        assert isinstance(output, TextEncoderOutput)
        return output
    ends = end_positions(input_ids, encoder.config.end_id)  # raises, which a graph cannot
    known = _graphs.setdefault(encoder, OrderedDict())
    # A graph holds addresses: weights that moved or changed dtype need another one.
    weights = hash(tuple(parameter.data_ptr() for parameter in encoder.parameters()))
    key = (tuple(input_ids.shape), output_hidden_states, weights)
    if key not in known:
        known[key] = _Graph(encoder, input_ids, ends, output_hidden_states)
        while len(known) > KEPT:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key](input_ids, ends)
