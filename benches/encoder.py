"""The text encoder against transformers on a CPU: texts per second, outputs checked equal before anything is timed.

    python benches/encoder.py             # float32 and bfloat16
    python benches/encoder.py --smoke     # a test of seconds, figures meaningless, nothing written

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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import encoder_peer as peers
import machine
import torch
from encoder_parts import computed, flop_per_text, matrix_rates, time_by_part
from inputs import ROOT, available, explain, lines_of

from cliptok import Tokenizer
from cliptok.encoder import TextEncoder
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
        self.tokens = {
            which: [self.tokenizer.encode(t, truncation=True, max_length=peers.POSITIONS) for t in texts]
            for which, texts in self.texts.items()
        }
        self.rows: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """All rows, printed as they come."""
        dtype = getattr(torch, self.dtype)
        computed_in = compute_dtype(dtype, self.device)
        encoder, peer = peers.build(dtype, self.device, layers=self.layers)
        print(f"\n{self.dtype}, where the encoder computes in {computed_in}")
        # A CPU that emulates the dtype takes minutes in transformers' layers.
        slow = computed_in != dtype
        for which in self.texts:
            self.encode(which, encoder, peer, computed_in, slow)
        return {"dtype": self.dtype, "computed_in": str(computed_in), "rows": self.rows}

    def encode(self, which: str, encoder: TextEncoder, peer: Any, computed_in: torch.dtype, slow: bool) -> None:
        """`encode` against transformers' padded and length-sorted batches."""
        texts, tokens = self.texts[which], self.tokens[which]
        worst = peers.check_equal(encoder, peer, texts, tokens, self.tokenizer)
        shares = {"padded": 1 / 64 if slow else 1 / 16, "sorted": 1 / 8 if slow else 1 / 2}
        rivals: dict[str, Callable[[int], Any]] = {}
        for how in ("padded", "sorted") if which == "captions" else ("sorted",):
            whole = peers.batches(tokens, how, self.device, 64)
            rivals[how] = partial(self.rival, peer, whole, shares[how])
        ours = partial(encoder.encode, texts, self.tokenizer)
        # Before and after, since other work on the machine may have slowed one of them.
        before = matrix_rates(self.device, encoder.dtype, computed_in)
        result = peers.compare(self.device, self.repeats, ours, len(texts), rivals)
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

    def say(self, which: str, how: str, result: dict[str, Any]) -> None:
        ratio = result["ratios"][how]
        print(
            f"  {which:9} {how}: ours {result['ours']:.1f} texts/s, transformers {result['peers'][how]:.1f}, "
            f"{ratio:.2f} times{self.verdict(which, how, ratio)}",
            flush=True,
        )

    def verdict(self, which: str, how: str, value: float) -> str:
        wanted = WANTED.get((which, how, self.dtype))
        return f" (wanted {wanted:g}: {'yes' if value >= wanted else 'NO'})" if wanted and self.judged else ""


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="everything small, in seconds; writes nothing")
    parser.add_argument("--repeats", type=int, help="default: 3, in a smoke run 1")
    parser.add_argument("--dtypes", nargs="*", help="float32 bfloat16 float16; by default those with a goal")
    parser.add_argument("--out", type=Path, default=ROOT / "benches" / "results", help="folder for the results")
    options = parser.parse_args()
    device, tokenizer, texts = torch.device("cpu"), Tokenizer(), texts_of(options.smoke)
    layers, repeats = (2, options.repeats or 1) if options.smoke else (12, options.repeats or 3)
    described = machine.describe()
    name = machine.cpu_name()
    threads = torch.get_num_threads()
    print(f"{name}, {threads} threads; torch {torch.__version__}; ViT-L/14, {layers} layers, {repeats} repeats")
    for dtype in options.dtypes or ("float32", "bfloat16"):
        result = Bench(device, dtype, repeats, layers, tokenizer, texts, judged=not options.smoke).run()
        if not options.smoke:
            options.out.mkdir(parents=True, exist_ok=True)
            path = options.out / f"encoder-{dtype}-{machine.file_name(described, name)}"
            record = {**described, "device": name, "threads": threads, "repeats": repeats, **result}
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            print(f"  written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
