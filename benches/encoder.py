"""The text encoder against transformers: texts per second, outputs checked equal before anything is timed.

    python benches/encoder.py --device cpu      # or cuda
    python benches/encoder.py --quick           # a smoke test of seconds, figures meaningless

ViT-L/14 sizes with random weights. Captions: 2,048 of `2_captions/flickr30k_en`, picked with a fixed seed. Zero-shot
prompts: the 80 templates of `3_imagenet` times 50 class names. Every repeat runs all competitors in turn, and a ratio
is the median of the repeats' ratios. transformers gets token ids, ours gets text: tokenization is in our time only.

A slow competitor is timed on a part of its batches, evenly spaced over the sorted batches, so that its length
distribution stays; `share` in the output says how much. Writes JSON to `benches/results/`.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cliptok import Tokenizer
from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.encode import CPU_BUDGET, CUDA_BUDGET, WINDOW
from cliptok.encoder.plan import cut_batches, sort_window
from cliptok.encoder.products import compute_dtype
from cliptok.encoder.stable_diffusion import forward

HERE = Path(__file__).parent
END, POSITIONS = 49407, 77


def corpora() -> Path:
    for folder in (HERE.parent / "shared/corpora", HERE.parent.parent / "shared/corpora"):
        if folder.is_dir():
            return folder
    raise SystemExit("the corpora are not here; give their folder with --corpora")


def texts_of(folder: Path, count: int, names: int) -> dict[str, list[str]]:
    lines = gzip.decompress((folder / "2_captions/flickr30k_en.txt.gz").read_bytes()).decode().split("\n")[:-1]
    templates = (folder / "3_imagenet/templates.txt").read_text(encoding="utf-8").split("\n")[:-1]
    classes = (folder / "3_imagenet/classnames.txt").read_text(encoding="utf-8").split("\n")[:-1]
    pick = random.Random(0)
    return {
        "captions": pick.sample(lines, count),
        "zero-shot": [t.format(c) for c in pick.sample(classes, names) for t in templates],
    }


class Clock:
    """Wall time of a call, on CUDA with the device finished before and after; or the process's CPU time."""

    def __init__(self, device: torch.device, kind: str) -> None:
        self.device = device
        self.now = time.process_time if kind == "cpu" else time.perf_counter

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def time(self, run: Callable[[], Any]) -> float:
        self.wait()
        start = self.now()
        run()
        self.wait()
        return self.now() - start


def matrix_rate(device: torch.device, dtype: torch.dtype, clock: Clock) -> float:
    """FLOP per second of the tower's own matrix products, in `dtype`, at a batch's number of rows."""
    rows = CUDA_BUDGET if device.type == "cuda" else CPU_BUDGET
    x = torch.randn(rows, 768, device=device, dtype=dtype)
    w1, w2 = torch.randn(3072, 768, device=device, dtype=dtype), torch.randn(768, 3072, device=device, dtype=dtype)

    def run() -> None:
        for _ in range(10 if device.type == "cuda" else 2):
            x @ w1.t() @ w2.t()

    run()
    flop = 4 * rows * 768 * 3072 * (10 if device.type == "cuda" else 2)
    return flop / min(clock.time(run) for _ in range(7))


def pad(rows: list[list[int]], device: torch.device, length: int | None = None) -> torch.Tensor:
    length = length or max(map(len, rows))
    return torch.tensor([row + [END] * (length - len(row)) for row in rows], device=device)


def peer_batches(rows: list[list[int]], how: str, device: torch.device, size: int, share: float) -> list[torch.Tensor]:
    """transformers' batches: padded to 77, or sorted by length and padded to the longest; every 1/share-th of them."""
    if how == "sorted":
        rows = sorted(rows, key=len)
    batches = [rows[i : i + size] for i in range(0, len(rows), size)]
    count = max(round(len(batches) * share), 1)
    picked = [batches[int((i + 0.5) * len(batches) / count)] for i in range(count)]
    return [pad(batch, device, POSITIONS if how == "padded" else None) for batch in picked]


def build(dtype: torch.dtype, device: torch.device, layers: int) -> tuple[TextEncoder, Any]:
    """The same random weights in ours and in transformers' model."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig.preset("ViT-L-14", layers=layers), dtype=dtype, device=device).eval()
    values = encoder.config.to_transformers()
    config = {k: v for k, v in values.items() if k not in ("architectures", "model_type")}
    peer = CLIPTextModelWithProjection(CLIPTextConfig(**config, attn_implementation="sdpa"))
    own = {k if k.startswith("text_projection") else f"text_model.{k}": v for k, v in encoder.state_dict().items()}
    peer.load_state_dict(own)
    return encoder, peer.to(device, dtype).eval()


def check_equal(encoder: TextEncoder, peer: Any, texts: list[str], rows: list[list[int]], tokenizer: Any) -> float:
    """The largest relative difference over 64 texts; raises when it is more than rounding."""
    pick = random.Random(1).sample(range(len(texts)), 64)
    got = encoder.encode([texts[i] for i in pick], tokenizer).double()
    expected = torch.cat([peer(pad([rows[i]], encoder.device)).text_embeds for i in pick]).double()
    worst = float((got - expected).abs().max() / expected.abs().max())
    limit = 1e-5 if encoder.dtype == torch.float32 else 0.03
    if not worst < limit:
        raise SystemExit(f"outputs differ by {worst:.1e} in {encoder.dtype}; nothing was timed")
    return worst


def planned(rows: list[list[int]], budget: int) -> dict[str, float]:
    """The share of the tokens that is computed, and of the 77-position tokens that a padded run computes."""
    nodes = 0
    for start in range(0, len(rows), WINDOW):
        part = rows[start : start + WINDOW]
        window = sort_window(np.concatenate(part), np.cumsum([0, *map(len, part)]))
        for first, last in cut_batches(window, budget):
            shared = window.shared[first:last].copy()
            shared[0] = 0
            nodes += int((window.lengths[first:last] - shared).sum())
    tokens = sum(map(len, rows))
    return {"of the tokens": nodes / tokens, "of 77 positions": nodes / (POSITIONS * len(rows))}


def time_by_part(encoder: TextEncoder, texts: list[str], tokenizer: Any, seconds: float) -> dict[str, float]:
    """Shares of the time in matrix products, attention and pointwise work (the profiler's), and in planning."""
    cuda = encoder.device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CUDA if cuda else torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profile:
        encoder.encode(texts, tokenizer)
    parts = {"matrix products": 0.0, "attention": 0.0, "pointwise and copies": 0.0}
    for event in profile.key_averages():
        spent = event.self_device_time_total if cuda else event.self_cpu_time_total
        name = event.key.lower()
        if any(word in name for word in ("addmm", "aten::mm", "gemm", "cutlass_80_tensorop", "nvjet")):
            parts["matrix products"] += spent
        elif any(word in name for word in ("attention", "index_select", "fmha", "flash")):
            parts["attention"] += spent
        elif name.startswith("aten::") or cuda:
            parts["pointwise and copies"] += spent
    total = sum(parts.values())
    shares = {name: spent / total for name, spent in parts.items()}
    start = time.perf_counter()
    packed = tokenizer.encode_packed(texts, max_length=POSITIONS, dtype="int32")
    window = sort_window(packed.input_ids, packed.offsets)
    from cliptok.encoder.encode import _batches

    list(_batches(window, CUDA_BUDGET if cuda else CPU_BUDGET, False))
    # Planning runs in threads of its own: its share is of the whole run's time, beside the others.
    shares["tokenization and planning (overlapped)"] = (time.perf_counter() - start) / seconds
    return shares


def flop_per_text(rows: list[list[int]], config: TextConfig) -> float:
    d, n = config.width, config.layers
    return statistics.fmean(
        24 * d * d * n * len(r) + 4 * len(r) ** 2 * d * n + 2 * d * config.projection_dim for r in rows
    )


def compare(
    clock: Clock, repeats: int, ours: Callable[[], Any], count: int, peers: dict[str, tuple[Callable[[], Any], int]]
) -> dict[str, Any]:
    """Texts per second of ours and of each peer (a call and its number of texts), interleaved.

    Everything ran once before, when the outputs were compared.
    """
    mine, theirs = [], {name: [] for name in peers}
    for _ in range(repeats):
        for name, (run, texts) in peers.items():
            theirs[name].append(texts / clock.time(run))
        mine.append(count / clock.time(ours))
    return {
        "ours": statistics.median(mine),
        "peers": {name: statistics.median(rates) for name, rates in theirs.items()},
        "ratios": {
            name: statistics.median(m / t for m, t in zip(mine, rates, strict=True)) for name, rates in theirs.items()
        },
        "repeats": repeats,
        "all": {"ours": mine, **theirs},
    }


WANTED = {
    ("captions", "padded", "float32"): 7.0,
    ("captions", "padded", "bfloat16"): 7.0,
    ("captions", "sorted", "float32"): 1.5,
    ("captions", "sorted", "bfloat16"): 1.4,
    ("zero-shot", "sorted", "float32"): 2.5,
    ("zero-shot", "sorted", "bfloat16"): 2.2,
    ("captions", "padded", "float16"): 8.0,
}


@dataclasses.dataclass
class Bench:
    """What all measurements of one run share."""

    device: torch.device
    clock: Clock
    repeats: int
    layers: int
    tokenizer: Any
    texts: dict[str, list[str]]
    rows: dict[str, list[list[int]]]
    report: dict[str, Any]

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    def dtype(self, name: str) -> None:
        """All rows of one dtype."""
        dtype = getattr(torch, name)
        encoder, peer = build(dtype, self.device, self.layers)
        computed_in = compute_dtype(dtype, self.device)
        rates = {d: matrix_rate(self.device, d, self.clock) for d in dict.fromkeys((dtype, computed_in))}
        self.report.setdefault("matrix_rate", {}).update({str(d): rate for d, rate in rates.items()})
        print(f"{name}: matrix products " + ", ".join(f"{rate / 1e9:.0f} GF/s in {d}" for d, rate in rates.items()))
        for which in self.texts:
            # On a CPU without bf16 instructions transformers' runs take minutes: a part of the batches is enough.
            self.encode(which, name, encoder, peer, rates[computed_in], slow=not self.cuda and computed_in != dtype)
        for size, wanted in ((1, 2.0), (64, 1.5)):
            if self.cuda:
                self.stable_diffusion(name, encoder, peer, size, wanted)

    def encode(self, which: str, name: str, encoder: TextEncoder, peer: Any, rate: float, slow: bool) -> None:
        """`encode` against transformers' padded and length-sorted batches."""
        texts, rows = self.texts[which], self.rows[which]
        worst = check_equal(encoder, peer, texts, rows, self.tokenizer)
        full = {"padded": 1.0, "sorted": 1.0}
        shares = (
            full if self.cuda else {"padded": 1 / 64, "sorted": 1 / 8} if slow else {"padded": 1 / 16, "sorted": 1 / 2}
        )
        peers: dict[str, tuple[Callable[[], Any], int]] = {}
        for kind in ("padded", "sorted") if which == "captions" else ("sorted",):
            size = 256 if self.cuda else 32 if slow and kind == "padded" else 64
            batches = peer_batches(rows, kind, self.device, size, shares[kind])
            peers[kind] = (partial(all_of, peer, batches), sum(map(len, batches)))
        ours = partial(encoder.encode, texts, self.tokenizer)
        result = compare(self.clock, self.repeats, ours, len(texts), peers)
        result["bound"] = result["ours"] * flop_per_text(rows, encoder.config) / rate
        result["parts"] = time_by_part(encoder, texts, self.tokenizer, len(texts) / result["ours"])
        self.report["rows"].append({"texts": which, "dtype": name, "difference": worst, "share": shares, **result})
        for kind in peers:
            wanted = WANTED.get((which, kind, name))
            reached = (
                "" if wanted is None else f" (wanted {wanted:g}: {'yes' if result['ratios'][kind] >= wanted else 'NO'})"
            )
            print(
                f"  {which:9} {kind}: ours {result['ours']:.1f} texts/s, transformers {result['peers'][kind]:.1f}",
                end="",
            )
            print(f", {result['ratios'][kind]:.2f} times{reached}", flush=True)
        print(
            f"  {which:9} {result['bound']:.0%} of what the matrix rate allows without sharing; difference {worst:.0e}"
        )
        print("            " + ", ".join(f"{part} {share:.1%}" for part, share in result["parts"].items()), flush=True)

    def stable_diffusion(self, name: str, encoder: TextEncoder, peer: Any, size: int, wanted: float) -> None:
        """The whole 77 positions, as Stable Diffusion needs them."""
        ids, loops = pad(self.rows["captions"][:size], self.device, POSITIONS), 50
        mine, theirs = forward(encoder, ids).last_hidden_state, peer(ids).last_hidden_state
        torch.testing.assert_close(mine, theirs, rtol=0.05, atol=0.05)
        peers = {"77 positions": (partial(repeatedly, loops, peer, ids), size * loops)}
        result = compare(
            self.clock, self.repeats, partial(repeatedly, loops, partial(forward, encoder), ids), size * loops, peers
        )
        self.report["rows"].append({"texts": f"77 positions, batch {size}", "dtype": name, **result})
        print(
            f"  77 positions, batch {size}: {result['ratios']['77 positions']:.2f} times (wanted {wanted:g})",
            flush=True,
        )


def all_of(peer: Any, batches: list[torch.Tensor]) -> None:
    for batch in batches:
        peer(batch)


def repeatedly(loops: int, run: Callable[[torch.Tensor], Any], ids: torch.Tensor) -> None:
    for _ in range(loops):
        run(ids)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--corpora", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--texts", type=int, default=2048)
    parser.add_argument("--dtypes", nargs="*", help="float32 bfloat16 float16; by default what the device's goals name")
    parser.add_argument("--threads", type=int, help="of torch, on the CPU")
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu, with --threads 1, where other work shares the machine",
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device, tokenizer = torch.device(options.device), Tokenizer()
    cuda = device.type == "cuda"
    texts = texts_of(options.corpora or corpora(), 256 if options.quick else options.texts, 3 if options.quick else 50)
    rows = {
        which: [tokenizer.encode(t, truncation=True, max_length=POSITIONS) for t in texts[which]] for which in texts
    }
    processor = platform.processor() or platform.machine()
    machine = torch.cuda.get_device_name() if cuda else f"{processor}, {torch.get_num_threads()} threads"
    report: dict[str, Any] = {"device": machine, "clock": options.clock, "torch": torch.__version__, "rows": []}
    layers, repeats = (2, 1) if options.quick else (12, options.repeats)
    bench = Bench(device, Clock(device, options.clock), repeats, layers, tokenizer, texts, rows, report)
    print(f"{machine}; {options.clock} time; torch {torch.__version__}; ViT-L/14, {layers} layers, random weights")
    report["computed"] = {which: planned(rows[which], CUDA_BUDGET if cuda else CPU_BUDGET) for which in texts}
    for which, share in report["computed"].items():
        mean = statistics.fmean(map(len, rows[which]))
        print(f"{which}: {len(rows[which])} texts, {mean:.1f} tokens each; computed", end=" ")
        print(", ".join(f"{part:.0%} {of}" for of, part in share.items()), flush=True)
    for name in options.dtypes or (("float16", "bfloat16") if cuda else ("float32", "bfloat16")):
        bench.dtype(name)
    if not options.quick:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"encoder-{'cuda' if cuda else 'cpu'}{'-one-thread' if options.threads == 1 else ''}.json"
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        print(f"written to {path}")
    if not cuda:
        print("The GPU rows are open: they need `--device cuda` on a machine that has one.")


if __name__ == "__main__":
    main()
