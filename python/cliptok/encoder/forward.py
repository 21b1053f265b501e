"""The forward pass for conditioning: no gradients, no waiting for the device, and few launches on CUDA."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cliptok.encoder.device import pinned, to_device
from cliptok.encoder.model import eos_positions
from cliptok.encoder.output import TextEncoderOutput
from cliptok.encoder.sharing.graphs import GraphRunner, Outputs, runner

if TYPE_CHECKING:
    from cliptok.encoder.model import TextTower

# Rows are padded to one of these, so that few shapes need a graph. More rows keep a GPU busy for longer than launching
# their kernels takes.
ROWS = (1, 2, 4, 8, 16, 32)


@torch.no_grad()
def forward(tower: TextTower, input_ids: Tensor, states: Sequence[int] = ()) -> TextEncoderOutput:
    """`tower(input_ids)` for ids (n, length), best given on the CPU, where finding end-of-text ids waits for nothing.

    `hidden_states` of the output has the states numbered `states` alone, in that order (negative ones count from the
    end, -1 is before the final LayerNorm), or is None. On CUDA up to 32 rows replay a graph, unless autocast is on or
    the tower has adapters or hooks. Raises ValueError for a row without end-of-text id.
    """
    # Hooks of the tower run only where the tower is called.
    one = _Pass(tower, input_ids.shape[1], states)
    if tower._forward_hooks or tower._forward_pre_hooks or "forward" in tower.__dict__:
        output = tower(to_device(input_ids, tower.device), output_hidden_states=bool(states))
        assert isinstance(output, TextEncoderOutput)
        hidden = output.hidden_states and tuple(output.hidden_states[state] for state in one.states)
        return dataclasses.replace(output, hidden_states=hidden)
    graphs = _graphs(tower, len(input_ids))
    if graphs is None:
        return one.output(one.compute(to_device(one.pack(input_ids), tower.device)))
    rows = len(input_ids)
    padded = next(size for size in ROWS if size >= rows)
    packed = one.pack(input_ids)[torch.arange(padded).clamp_(max=rows - 1)]

    def take(outputs: Outputs) -> TextEncoderOutput:
        return one.output(tuple(tensor[:rows].clone() for tensor in outputs))

    return graphs.run(one.key(padded), one.compute, pinned(packed, tower.device), take)


def _graphs(tower: TextTower, rows: int) -> GraphRunner | None:
    """The tower's graphs, where a pass of so many rows can use them."""
    if tower.device.type != "cuda" or not 0 < rows <= ROWS[-1] or torch.is_autocast_enabled("cuda"):
        return None
    graphs = runner(tower)
    return graphs if graphs.fingerprint.obstacle is None else None


@torch.no_grad()
def warm_up(tower: TextTower, states: Sequence[int]) -> None:
    """Capture what `forward` needs for each number of rows, at the tower's length, with these hidden states."""
    one = _Pass(tower, tower.config.positions, states)
    for rows in ROWS:
        ids = torch.full((rows, one.length), tower.config.end_id)
        runner(tower).capture(one.key(rows), one.compute, pinned(one.pack(ids), tower.device))


class _Pass:
    """The forward pass as a computation from one packed tensor: per row its ids and its end-of-sequence position."""

    def __init__(self, tower: TextTower, length: int, states: Sequence[int]) -> None:
        count = tower.config.layers + 1
        self.tower, self.length = tower, length
        self.states = tuple(range(count)[state] for state in states)

    def key(self, rows: int) -> Hashable:
        return ("forward", rows, self.length, self.states)

    def pack(self, input_ids: Tensor) -> Tensor:
        """(rows, length + 1) int32."""
        pooled_at = eos_positions(input_ids, self.tower.config.end_id)
        return torch.cat([input_ids, pooled_at[:, None]], dim=1).to(torch.int32)

    def compute(self, packed: Tensor) -> Outputs:
        ids, pooled_at = packed[:, : self.length], packed[:, self.length].long()
        output = self.tower.compute(ids, pooled_at, None, None, set(self.states))
        kept = dict(zip(sorted(set(self.states)), output.hidden_states or (), strict=True))
        embeds = () if output.text_embeds is None else (output.text_embeds,)
        return (output.last_hidden_state, output.pooler_output, *embeds, *(kept[state] for state in self.states))

    def output(self, outputs: Outputs) -> TextEncoderOutput:
        last, pooled, *rest = outputs
        embeds = rest.pop(0) if self.tower.text_projection is not None else None
        return TextEncoderOutput(last, pooled, embeds, tuple(rest) or None)
