"""Prompts to conditioning at ViT-L/14 size, beside a plain padded batch of the same prompts: CPU seconds, in one run.

    python benches/prompts.py [--rounds 3] [--prompts 64]

64 real prompts in each tool's own writing, three of their phrases, drawn with a fixed seed, weighted: two up and one
down; one negative for all. "plain" is
transformers' CLIPTextModel on one batch of 64 rows cut and padded to 77. Rounds are interleaved; the best counts.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch

from cliptok import TextEncoder, Tokenizer
from cliptok.prompts import DIALECTS, Conditioner, Planner

NEGATIVE = "blurry, ugly, lowres"
ROUND = {"up": ("(%s:1.2)", "(%s)1.2"), "down": ("(%s:0.8)", "(%s)0.8")}
DIALECT_SETTINGS = {
    "a1111": [("a1111", {})],
    "comfyui": [("comfyui", {})],
    "lpw": [("lpw", {})],
    "compel": [("compel", {})],
    "comfyui-adv": [(f"adv {mode}", {"interpretation": mode}) for mode in ("comfy++", "compel", "down_weight")],
}


def weighted(prompt: str, compel: bool) -> str:
    """The prompt with three of its phrases weighted: two up and one down. Which ones, the prompt alone decides."""
    phrases = [phrase.strip() for phrase in prompt.replace("(", "").replace(")", "").split(",")]
    places = [place for place, phrase in enumerate(phrases) if phrase]
    drawn = random.Random(prompt).sample(places, min(3, len(places)))
    for place, kind in zip(drawn, ("up", "up", "down"), strict=False):
        phrases[place] = ROUND[kind][compel] % phrases[place]
    return ", ".join(phrases)


def real_prompts(count: int, commas: int = 0) -> list[str]:
    """Prompts of Stable Diffusion's users with so many commas at least: DiffusionDB's, Pick-a-Pic's, open-prompts'."""
    shared = Path(os.environ.get("CLIPTOK_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    lines: list[str] = []
    for path in sorted((shared / "corpora" / "1_prompts").glob("sd_*.txt")):
        lines += path.read_text(encoding="utf-8").split("\n")
    if not lines:
        sys.exit(f"no prompts in {shared}/corpora; set CLIPTOK_SHARED")
    return [line for line in dict.fromkeys(lines) if line.count(",") >= commas][:count]


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def planning(prompts: list[str]) -> None:
    print(f"planning {len(prompts)} prompts, CPU seconds (the best of 3): as they are, with weights, and for SDXL")
    for name in DIALECTS:
        own = [weighted(prompt, name in ("compel", "invokeai")) for prompt in prompts]
        best = []
        for family, texts in (("sd1", prompts), ("sd1", own), ("sdxl", own)):
            planner = Planner(name, family, on_error="literal", max_chunks=None)
            planner.plan(texts[:100])
            best.append(min(seconds(lambda p=planner, texts=texts: p.plan(texts)) for _ in range(3)))  # type: ignore[misc]
        print(f"  {name:12s} {best[0]:6.2f} {best[1]:6.2f} {best[2]:6.2f}", flush=True)


def encoding(prompts: list[str], rounds: int) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, projection_dim=768, num_attention_heads=12, num_hidden_layers=12
    )
    torch.manual_seed(0)
    reference = CLIPTextModel(config).eval()
    from cliptok.prompts.sources import as_encoder

    encoder: TextEncoder = as_encoder(reference)
    ids = torch.from_numpy(Tokenizer().encode_batch(prompts, max_length=77))

    def plain() -> None:
        with torch.inference_mode():
            reference(ids)

    runs: dict[str, Callable[[], object]] = {"plain": plain}
    conditioners: dict[str, tuple[Conditioner, list[str], dict[str, str]]] = {}
    for dialect, variants in DIALECT_SETTINGS.items():
        texts = [weighted(prompt, dialect == "compel") for prompt in prompts]
        for label, settings in variants:
            cond = Conditioner(encoder, dialect=dialect)
            conditioners[label] = cond, texts, settings

            def run(cond: Conditioner = cond, texts: list[str] = texts, settings: dict[str, str] = settings) -> None:
                cond.cache.clear()
                cond(texts, negative=NEGATIVE, **settings)

            runs[label] = run
    plain()
    best = dict.fromkeys(runs, float("inf"))
    rows: dict[str, int] = {}
    for _ in range(rounds):
        for label, work in runs.items():
            before = conditioners[label][0].stats.encoded if label in conditioners else 0
            best[label] = min(best[label], seconds(work))
            if label in conditioners:
                rows[label] = conditioners[label][0].stats.encoded - before
    print(f"{len(prompts)} prompts and one negative, ViT-L/14, float32, {torch.backends.cpu.get_cpu_capability()}")
    for label, value in best.items():
        print(
            f"  {label:18s} {value:7.2f} s  {value / best['plain']:5.2f} x plain  {rows.get(label, len(ids)):4d} rows"
        )
    cond, texts, settings = conditioners["a1111"]
    again = seconds(lambda: cond(texts, negative=NEGATIVE, **settings))
    print(f"  a1111 again: {again:.3f} s, {again / best['plain']:.4f} x plain")
    cond(texts[:8], negative=NEGATIVE)
    before = cond.stats.encoded
    one = seconds(lambda: cond([*texts[:7], "another prompt, (altogether:1.2)"], negative=NEGATIVE))
    print(f"  one of eight changed: {one:.3f} s, {cond.stats.encoded - before} rows encoded")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--planned", type=int, default=10_000)
    options = parser.parse_args()
    planning(real_prompts(options.planned))
    encoding(real_prompts(options.prompts, commas=3), options.rounds)


if __name__ == "__main__":
    main()
