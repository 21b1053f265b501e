"""The forward pass for conditioning: no gradients, no waiting for the device, and few launches on CUDA."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cliptok.encoder.device import pinned, to_device
from cliptok.encoder.output import OUTPUTS, EndOfSequence, TextEncoderOutput
from cliptok.encoder.sharing.graphs import GraphRunner, Outputs, runner

if TYPE_CHECKING:
    from cliptok.encoder.model import TextModel

# Rows are padded to one of these, so that few shapes need a graph. More rows keep a GPU busy for longer than launching
# their kernels takes.
ROWS = (1, 2, 4, 8, 16, 32)


@torch.no_grad()
def forward(model: TextModel, input_ids: Tensor, states: Sequence[int] = ()) -> TextEncoderOutput:
    """`model(input_ids)` for ids (n, length), best given on the CPU, where finding end-of-text ids waits for nothing.

    `hidden_states` of the output has the states numbered `states` alone, in that order (negative ones count from the
    end, -1 is before the final LayerNorm), or is None. On CUDA up to 32 rows replay a graph, unless autocast is on or
    the model has adapters or hooks.
    """
    one = _Pass(model, input_ids.shape[1], states)
    graphs = _graphs(model, len(input_ids))
    if graphs is None:
        output = model(to_device(input_ids, model.device), output_hidden_states=bool(states))
        assert isinstance(output, TextEncoderOutput)
        if states:
            output["hidden_states"] = tuple(output["hidden_states"][state] for state in one.states)
        output.end = one.end(input_ids)
        return output
    rows = len(input_ids)
    padded = next(size for size in ROWS if size >= rows)
    packed = input_ids.to(torch.int32)[torch.arange(padded).clamp_(max=rows - 1)]

    def take(outputs: Outputs) -> TextEncoderOutput:
        return one.output(tuple(tensor[:rows].clone() for tensor in outputs), one.end(input_ids))

    return graphs.run(one.key(padded), one.compute, pinned(packed, model.device), take)


def _graphs(model: TextModel, rows: int) -> GraphRunner | None:
    """The model's graphs, where a pass of so many rows can use them."""
    if model.device.type != "cuda" or not 0 < rows <= ROWS[-1] or torch.is_autocast_enabled("cuda"):
        return None
    if model.config.class_token or _hooked(model) or _hooked(model.text_model):
        return None
    graphs = runner(model)
    return graphs if graphs.fingerprint.obstacle is None else None


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__)


@torch.no_grad()
def warm_up(model: TextModel, states: Sequence[int]) -> None:
    """Capture what `forward` needs for each number of rows, at the model's length, with these hidden states."""
    one = _Pass(model, model.config.positions, states)
    for rows in ROWS:
        ids = torch.full((rows, one.length), model.config.end_id, dtype=torch.int32)
        runner(model).capture(one.key(rows), one.compute, pinned(ids, model.device))


class _Pass:
    """The forward pass as a computation from ids (rows, length) alone, keeping few hidden states."""

    def __init__(self, model: TextModel, length: int, states: Sequence[int]) -> None:
        count = model.depth + 1
        self.model, self.length = model, length
        self.states = tuple(range(count)[state] for state in states)

    def key(self, rows: int) -> Hashable:
        return ("forward", rows, self.length, self.states)

    def end(self, input_ids: Tensor) -> EndOfSequence:
        """What checks pooled outputs when they are read: where the ids are, so without waiting if that is the CPU."""
        end_id = self.model.config.end_id
        return EndOfSequence((input_ids == end_id).any(dim=1), end_id)

    def compute(self, ids: Tensor) -> Outputs:
        """Last hidden state, pooled states, projected ones where there is a projection, the hidden states kept."""
        tower = self.model.text_model
        x = tower.embeddings(ids, None, None)
        kept = {0: x}
        for number, block in enumerate(tower.blocks(), 1):
            x = block(x, None)
            if number in self.states:
                kept[number] = x
        x = tower.final_layer_norm(x)
        pooled, _ = tower._pool(x, ids)
        projection = self.model.text_projection
        embeds = () if projection is None else (projection(pooled),)
        return (x, pooled, *embeds, *(kept[state] for state in self.states))

    def output(self, outputs: Outputs, end: EndOfSequence) -> TextEncoderOutput:
        last, pooled, *rest = outputs
        embeds = rest.pop(0) if self.model.text_projection is not None else None
        values = {
            "last_hidden_state": last,
            "pooler_output": pooled,
            "text_embeds": embeds,
            "hidden_states": tuple(rest) or None,
        }
        return OUTPUTS[self.model.config.architecture](values, end)
