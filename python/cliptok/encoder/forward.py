"""The forward pass for conditioning: no gradients, no waiting for the device, and few launches on CUDA."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cliptok.encoder.device import pinned, to_device
from cliptok.encoder.output import OUTPUTS, EndOfSequence, TextEncoderOutput
from cliptok.encoder.sharing import triton_kernels
from cliptok.encoder.sharing.attention import RowBatch
from cliptok.encoder.sharing.graphs import GraphRunner, Outputs, runner
from cliptok.encoder.sharing.linear_layers import Affine, Workspace
from cliptok.encoder.sharing.nodes import norm, through

if TYPE_CHECKING:
    from cliptok.encoder.model import TextModel

# Rows are padded to one of these, so that few shapes need a graph; more rows are several passes of the last.
ROWS = (1, 2, 4, 8, 16, 32, 64, 96, 128)


@torch.no_grad()
def forward(model: TextModel, input_ids: Tensor, states: Sequence[int] = ()) -> TextEncoderOutput:
    """`model(input_ids)` for ids (n, length), best given on the CPU, where finding end-of-text ids waits for nothing.

    `hidden_states` of the output has the states numbered `states` alone, in that order (negative ones count from the
    end, -1 is before the final LayerNorm), or is None. On CUDA graphs are replayed, of at most 128 rows each, unless
    autocast is on or the model has adapters or hooks.
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
    ids = input_ids.to(torch.int32)
    passes = [_replay(graphs, one, ids[start : start + ROWS[-1]]) for start in range(0, len(ids), ROWS[-1])]
    outputs = passes[0] if len(passes) == 1 else tuple(map(torch.cat, zip(*passes, strict=True)))
    return one.output(outputs, one.end(input_ids))


def _replay(graphs: GraphRunner, one: _Pass, ids: Tensor) -> Outputs:
    rows = len(ids)
    padded = next(size for size in ROWS if size >= rows)
    if padded > rows:
        ids = torch.cat([ids, ids[-1:].expand(padded - rows, -1)])
    packed = pinned(ids.contiguous(), one.model.device)
    return graphs.run(one.key(padded), one.compute, packed, lambda found: tuple(t[:rows].clone() for t in found))


def _graphs(model: TextModel, rows: int) -> GraphRunner | None:
    """The model's graphs, where it runs on CUDA and its weights are all that counts."""
    if model.device.type != "cuda" or not rows or torch.is_autocast_enabled("cuda"):
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
        self.fused = triton_kernels.chosen(model)

    def key(self, rows: int) -> Hashable:
        return ("forward", rows, self.length, self.states, self.fused)

    def end(self, input_ids: Tensor) -> EndOfSequence:
        """What checks pooled outputs when they are read: where the ids are, so without waiting if that is the CPU."""
        end_id = self.model.config.end_id
        return EndOfSequence((input_ids == end_id).any(dim=1), end_id)

    def compute(self, ids: Tensor) -> Outputs:
        """Last hidden state, pooled states, projected ones where there is a projection, the hidden states kept."""
        tower, config = self.model.text_model, self.model.config
        rows, length = ids.shape
        states = [tower.embeddings(ids, None, None).flatten(0, 1)]
        batch = RowBatch(rows, length, config.heads, config.causal, states[0].dtype, self.fused)
        blocks, work = list(tower.blocks()), Workspace()
        norms = [*(block.layer_norm1 for block in blocks), tower.final_layer_norm]
        normed: list[Tensor | None] = [None]
        kept, done = {}, 0
        for number in sorted({*self.states, len(blocks)}):
            normed = through(blocks[done:number], [batch], states, work, norms[number], normed)
            kept[number], done = states[0].view(rows, length, -1), number
            if number < len(blocks):
                states = [states[0].clone()]  # the blocks that follow work in place
        x = norm(kept[done], Affine.of(norms[-1], batch.dtype), norms[-1].eps) if normed[0] is None else normed[0]
        x = x.view(rows, length, -1)
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
