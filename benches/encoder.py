"""The text encoder against transformers: texts per second, outputs checked equal before anything is timed.

    python benches/encoder.py                   # on the CPU, float32 and bfloat16
    python benches/encoder.py --device cuda     # float16 and bfloat16
    python benches/encoder.py --smoke           # a test of seconds, figures meaningless, nothing written

ViT-L/14 sizes with random weights. Captions: 2,048 of `2_captions/flickr30k_en`, picked with a fixed seed. Zero-shot
prompts: the 80 templates of `3_imagenet` times 50 class names. Every repeat runs all competitors in turn, and a ratio
is the median of the repeats' ratios. transformers gets token ids, ours gets texts: tokenization is in our time only.

Ours always encodes all texts. On a CPU transformers would take minutes for them, so it is timed on a part of its
batches, evenly spaced over the sorted batches and others in every repeat; `share` says how much. Writes a JSON file
per dtype to `benches/results`.
"""

import argparse
import dataclasses
import json
import random
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import encoder_peer as peers
import machine
import torch
from encoder_parts import computed, flop_per_text, matrix_rates, seconds, time_by_part
from inputs import ROOT, available, explain, lines_of

from cliptok import Tokenizer
from cliptok.encoder import TextEncoder
from cliptok.encoder.forward import forward
from cliptok.encoder.sharing.execution import sizes_of
from cliptok.encoder.sharing.linear_layers import compute_dtype

WANTED = {
    ("captions", "padded", "float32"): 7.0,
    ("captions", "padded", "bfloat16"): 7.0,
    ("captions", "sorted", "float32"): 1.5,
    ("captions", "sorted", "bfloat16"): 1.4,
    ("zero-shot", "sorted", "float32"): 2.5,
    ("zero-shot", "sorted", "bfloat16"): 2.2,
}
WANTED_ON_CUDA = {
    ("captions", "padded", "float16"): 8.0,
    ("captions", "bound", "bfloat16"): 0.6,
    ("77 positions, batch 1", "padded", "float16"): 2.0,
    ("77 positions, batch 64", "padded", "float16"): 1.5,
}


def texts_of(smoke: bool) -> dict[str, list[str]]:
    """The two sets of texts, picked with a fixed seed."""
    if not available():
        raise SystemExit(explain())
    pick = random.Random(0)
    captions = pick.sample(lines_of("2_captions/flickr30k_en.txt.gz"), 256 if smoke else 2048)
    names = pick.sample(lines_of("3_imagenet/classnames.txt"), 3 if smoke else 50)
    return {
        "captions": captions,
        "zero-shot": [template.format(name) for name in names for template in lines_of("3_imagenet/templates.txt")],
    }


def compare(
    device: torch.device, repeats: int, ours: Callable[[], Any], count: int, rivals: dict[str, Callable[[int], Any]]
) -> dict[str, Any]:
    """Texts per second of ours, of `count` texts, and of each rival, interleaved.

    A rival is called with the number of the repeat, or -1 to warm up, and returns a call and its number of texts.
    """
    ours()
    for rival in rivals.values():
        rival(-1)[0]()
    mine: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in range(repeats):
        for name, rival in rivals.items():
            run, texts = rival(turn)
            theirs[name].append(texts / seconds(device, run))
        mine.append(count / seconds(device, ours))
    return {
        "ours": statistics.median(mine),
        "peers": {name: statistics.median(rates) for name, rates in theirs.items()},
        "ratios": {
            name: statistics.median(m / t for m, t in zip(mine, rates, strict=True)) for name, rates in theirs.items()
        },
        "all": {"ours": mine, **theirs},
    }


@dataclasses.dataclass
class Bench:
    """One dtype on one device."""

    device: torch.device
    dtype: str
    repeats: int
    layers: int
    tokenizer: Any
    texts: dict[str, list[str]]
    judged: bool

    def __post_init__(self) -> None:
        self.cuda = self.device.type == "cuda"
        self.tokens = {
            which: [self.tokenizer.encode(t, truncation=True, max_length=peers.POSITIONS) for t in texts]
            for which, texts in self.texts.items()
        }
        self.rows: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """All rows, printed as they come."""
        dtype = getattr(torch, self.dtype)
        computed_in = compute_dtype(dtype, self.device)
        encoder, peer = peers.build(dtype, self.device, self.layers)
        print(f"\n{self.dtype}, where the encoder computes in {computed_in}")
        # A CPU that emulates the dtype takes minutes in transformers' layers.
        slow = not self.cuda and computed_in != dtype
        for which in self.texts:
            self.encode(which, encoder, peer, computed_in, slow)
        if self.cuda and self.dtype == "float16":
            for size in (1, 64):
                self.stable_diffusion(encoder, peer, size)
        return {"dtype": self.dtype, "computed_in": str(computed_in), "rows": self.rows}

    def encode(self, which: str, encoder: TextEncoder, peer: Any, computed_in: torch.dtype, slow: bool) -> None:
        """`encode` against transformers' padded and length-sorted batches."""
        texts, tokens = self.texts[which], self.tokens[which]
        worst = peers.check_equal(encoder, peer, texts, tokens, self.tokenizer)
        shares = {"padded": 1 / 64 if slow else 1 / 16, "sorted": 1 / 8 if slow else 1 / 2}
        if self.cuda:
            shares = {"padded": 1.0, "sorted": 1.0}
        rivals: dict[str, Callable[[int], Any]] = {}
        for how in ("padded", "sorted") if which == "captions" else ("sorted",):
            whole = peers.batches(tokens, how, self.device, 256 if self.cuda else 64)
            rivals[how] = partial(self.rival, peer, whole, shares[how])
        ours = partial(encoder.encode, texts, self.tokenizer)
        # Before and after, since other work on the machine may have slowed one of them.
        before = matrix_rates(self.device, encoder.dtype, computed_in)
        result = compare(self.device, self.repeats, ours, len(texts), rivals)
        after = matrix_rates(self.device, encoder.dtype, computed_in)
        rates = result["matrix_rates"] = {name: max(before[name], after[name]) for name in before}
        result["bound"] = result["ours"] * flop_per_text(tokens, encoder.config) / rates["encoder"]
        result["computed"] = computed(tokens, sizes_of(self.device))
        result["parts"] = time_by_part(encoder, texts, self.tokenizer, len(texts) / result["ours"])
        self.rows.append({"texts": which, "difference": worst, "share": shares, **result})
        for how in rivals:
            self.say(which, how, result)
        print(
            f"            matrix products {rates['torch'] / 1e9:.0f} GF/s in torch's linear layer, "
            f"{rates['encoder'] / 1e9:.0f} in the encoder's"
        )
        print(
            f"            {result['bound']:.0%} of what the matrix rate allows without sharing"
            f"{self.verdict(which, 'bound', result['bound'])}; largest relative difference {worst:.0e}"
        )
        print("            computed " + ", ".join(f"{share:.1%} {of}" for of, share in result["computed"].items()))
        print("            " + ", ".join(f"{part} {share:.1%}" for part, share in result["parts"].items()), flush=True)

    def rival(self, peer: Any, whole: list[torch.Tensor], share: float, turn: int) -> tuple[Callable[[], Any], int]:
        """transformers on this repeat's part of its batches, and the number of texts in it."""
        part = peers.part(whole, share, turn, self.repeats) if turn >= 0 else whole[:1]
        return lambda: [peer(batch) for batch in part], sum(map(len, part))

    def stable_diffusion(self, encoder: TextEncoder, peer: Any, size: int) -> None:
        """All 77 positions, as Stable Diffusion needs them."""
        ids, loops = peers.pad(self.tokens["captions"][:size], self.device, peers.POSITIONS), 50
        mine, theirs = forward(encoder, ids).last_hidden_state, peer(ids).last_hidden_state
        torch.testing.assert_close(mine, theirs, rtol=0.05, atol=0.05)

        def repeated(run: Callable[[torch.Tensor], Any]) -> Callable[[], Any]:
            return lambda: [run(ids) for _ in range(loops)] and None

        rivals: dict[str, Callable[[int], Any]] = {"padded": lambda _: (repeated(peer), size * loops)}
        result = compare(self.device, self.repeats, repeated(partial(forward, encoder)), size * loops, rivals)
        which = f"77 positions, batch {size}"
        self.rows.append({"texts": which, **result})
        self.say(which, "padded", result)

    def say(self, which: str, how: str, result: dict[str, Any]) -> None:
        ratio = result["ratios"][how]
        print(
            f"  {which:9} {how}: ours {result['ours']:.1f} texts/s, transformers {result['peers'][how]:.1f}, "
            f"{ratio:.2f} times{self.verdict(which, how, ratio)}",
            flush=True,
        )

    def verdict(self, which: str, how: str, value: float) -> str:
        wanted = (WANTED_ON_CUDA if self.cuda else WANTED).get((which, how, self.dtype))
        return f" (wanted {wanted:g}: {'yes' if value >= wanted else 'NO'})" if wanted and self.judged else ""


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--smoke", action="store_true", help="everything small, in seconds; writes nothing")
    parser.add_argument("--repeats", type=int, help="default: 3, in a smoke run 1")
    parser.add_argument("--dtypes", nargs="*", help="float32 bfloat16 float16; by default those with a goal")
    parser.add_argument("--out", type=Path, default=ROOT / "benches" / "results", help="folder for the results")
    options = parser.parse_args()
    device, tokenizer, texts = torch.device(options.device), Tokenizer(), texts_of(options.smoke)
    cuda = device.type == "cuda"
    if cuda and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here")
    layers, repeats = (2, options.repeats or 1) if options.smoke else (12, options.repeats or 3)
    described = machine.describe()
    name = torch.cuda.get_device_name() if cuda else machine.cpu_name()
    threads = torch.get_num_threads()
    print(f"{name}, {threads} threads; torch {torch.__version__}; ViT-L/14, {layers} layers, {repeats} repeats")
    for dtype in options.dtypes or (("float16", "bfloat16") if cuda else ("float32", "bfloat16")):
        result = Bench(device, dtype, repeats, layers, tokenizer, texts, judged=not options.smoke).run()
        if not options.smoke:
            options.out.mkdir(parents=True, exist_ok=True)
            path = options.out / f"encoder-{dtype}-{machine.file_name(described, name)}"
            record = {**described, "device": name, "threads": threads, "repeats": repeats, **result}
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            print(f"  written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    if not cuda:
        print("\nThe GPU rows are open: they need `--device cuda` on a machine that has one.")


if __name__ == "__main__":
    main()
