"""Where the encoder's time goes: the machine's matrix products, the tokens that are computed, the parts of a run."""

import statistics
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from encoder_peer import POSITIONS, seconds

from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.encode import WINDOW
from cliptok.encoder.sharing.execution import Sizes, sizes_of
from cliptok.encoder.sharing.linear_layers import Affine, Workspace, linear
from cliptok.encoder.sharing.plan import Window, build_batch

# Words in the names of the profiler's events; attention's own GEMMs are attention.
ATTENTION = ("bmm", "attention", "softmax", "index_select", "indexselect", "fmha", "flash")
PRODUCTS = ("addmm", "aten::mm", "linear_pointwise", "gemm", "cutlass", "nvjet", "linear_activation")


def matrix_rates(device: torch.device, dtype: torch.dtype, computed_in: torch.dtype) -> dict[str, float]:
    """FLOP per second of an MLP's two linear layers: `F.linear`, as transformers calls it, and the encoder's own."""
    rows, loops = sizes_of(device).budget, 2

    def made(dtype: torch.dtype) -> tuple[torch.Tensor, list[Affine]]:
        x = torch.randn(rows, 768, device=device, dtype=dtype)
        shapes = ((3072, 768), (768, 3072))
        weights = [torch.randn(shape, device=device, dtype=dtype) * 0.03 for shape in shapes]
        return x, [Affine(w, torch.zeros(len(w), device=device, dtype=dtype)) for w in weights]

    def torchs(x: torch.Tensor, layers: list[Affine]) -> None:
        for _ in range(loops):
            F.linear(F.linear(x, *layers[0]), *layers[1])

    def ours(x: torch.Tensor, layers: list[Affine]) -> None:
        for _ in range(loops):
            linear(linear(x, layers[0], work, "a"), layers[1], work, "b")

    work = Workspace()
    flop = loops * 4 * rows * 768 * 3072
    rates = {}
    for name, run, kind in (("torch", torchs, dtype), ("encoder", ours, computed_in)):
        inputs = made(kind)
        run(*inputs)
        rates[name] = flop / min(seconds(device, lambda run=run, inputs=inputs: run(*inputs)) for _ in range(9))
    return rates


def computed(rows: list[list[int]], sizes: Sizes) -> dict[str, float]:
    """The share of the texts' tokens that is computed, and of the 77 positions that a padded run computes."""
    nodes = 0
    for start in range(0, len(rows), WINDOW):
        part = rows[start : start + WINDOW]
        ids, offsets = np.concatenate(part).astype(np.int32), np.cumsum([0, *map(len, part)])
        window = Window(ids, offsets, 49407, POSITIONS, 49408, 0)
        nodes += sum(build_batch(window, *rows, sizes.chunk).nodes for rows in window.split(sizes.budget))
    return {"of the tokens": nodes / sum(map(len, rows)), "of 77 positions": nodes / (POSITIONS * len(rows))}


def time_by_part(encoder: TextEncoder, texts: list[str], tokenizer: Any, whole: float) -> dict[str, float]:
    """Shares of a run that takes `whole` seconds: by the profiler's events, and planning, timed by itself.

    Activations inside a GEMM count as matrix product.
    """
    sizes = sizes_of(encoder.device)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        encoder.encode(texts, tokenizer)
    parts = {"matrix products": 0.0, "attention": 0.0, "pointwise and copies": 0.0}
    for event in profile.key_averages():
        spent = event.self_cpu_time_total
        name = event.key.lower()
        if any(
            word in name for word in ("bmm", "attention", "softmax", "index_select", "indexselect", "fmha", "flash")
        ):
            parts["attention"] += spent
        elif any(word in name for word in PRODUCTS):
            parts["matrix products"] += spent
        elif name.startswith("aten::"):
            parts["pointwise and copies"] += spent
    total = sum(parts.values())
    shares = {name: spent / total for name, spent in parts.items()}

    def plan() -> None:
        packed = tokenizer.encode_packed(texts, max_length=POSITIONS, dtype="int32")
        window = Window(packed.input_ids, packed.offsets, 49407, POSITIONS, 49408, 0)
        for cut in window.split(sizes.budget):
            build_batch(window, *cut, sizes.chunk)

    # It runs in threads of its own, beside the others.
    shares["tokenization and planning (overlapped)"] = seconds(torch.device("cpu"), plan) / whole
    return shares


def flop_per_text(rows: list[list[int]], config: TextConfig) -> float:
    """What one text costs without sharing, on average."""
    d, n = config.width, config.layers
    return statistics.fmean(
        24 * d * d * n * len(row) + 4 * len(row) ** 2 * d * n + 2 * d * config.projection_dim for row in rows
    )
