"""What is tokenized: the corpora beside the repository, or the shipped prompts repeated where they are missing."""

import gzip
import os
import random
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("CLIPTOK_SHARED") or ROOT.parent / "shared")
PROMPTS = ROOT / "examples" / "prompts.txt"

FILES = {
    "captions": ("2_captions/flickr30k_en.txt.gz",),
    "long prompts": (
        "1_prompts/dpg_bench_long.txt",
        "1_prompts/drawbench_upsampled_long.txt",
        "1_prompts/ocr_quoted_text.txt",
        "1_prompts/sd_diffusiondb.txt",
        "1_prompts/sd_krea_open_prompts.txt",
        "1_prompts/sd_pickapic.txt",
    ),
    "multilingual": ("4_multilingual/*",),
    "dirty": (
        "5_dirty/blns.txt",
        "5_dirty/emoji_test.txt",
        "5_dirty/ftfy_cases.txt",
        "5_dirty/mojibake_DERIVED.txt",
        "5_dirty/tweets_*.txt",
    ),
    "prose": ("6_long/war_and_peace_en.txt.gz", "6_long/diffusers_docs_en.md.gz"),
}
"""Each kind of text, and its files below the folder of corpora."""

SCRIPTS = {
    "German": "4_multilingual/multi30k_de.txt",
    "Czech": "4_multilingual/multi30k_cs.txt",
    "Cyrillic": "4_multilingual/tatoeba_cyrillic.txt",
    "Greek": "4_multilingual/tatoeba_greek.txt",
    "Arabic, Persian": "4_multilingual/tatoeba_arabic_persian.txt",
    "Hindi, Bengali": "4_multilingual/tatoeba_hindi_bengali.txt",
    "Thai": "4_multilingual/tatoeba_thai.txt",
    "Chinese, Japanese, Korean": "4_multilingual/tatoeba_cjk.txt",
    "emoji": "5_dirty/emoji_test.txt",
}
"""Files that show one script each."""


class Corpus(NamedTuple):
    """Texts, and where they come from."""

    texts: list[str]
    source: str
    real: bool
    """Whether it is what was asked for, and not the shipped prompts in its stead."""


def available() -> bool:
    """Whether the corpora are here."""
    return (SHARED / "corpora").is_dir()


def explain() -> str:
    """One line about where texts come from."""
    if available():
        return f"Texts: the corpora in {SHARED.name}/corpora."
    return (
        f"Texts: no corpora at {SHARED / 'corpora'}, so every case has examples/prompts.txt, repeated, and nothing is"
        " judged. Set CLIPTOK_SHARED to the folder that holds `corpora`."
    )


@cache
def lines_of(name: str) -> tuple[str, ...]:
    """The lines of one file, split at line feeds alone."""
    path = SHARED / "corpora" / name
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return tuple(raw.decode().split("\n")[:-1])


@cache
def corpus(kind: str) -> Corpus:
    """All texts of a kind, shuffled with a fixed seed: files begin with their longest texts, or are sorted."""
    if not available():
        lines = PROMPTS.read_text(encoding="utf-8").split("\n")[:-1]
        return Corpus((lines * (20_000 // len(lines) + 1))[:20_000], "examples/prompts.txt, repeated", False)
    root = SHARED / "corpora"
    names = [path.relative_to(root).as_posix() for glob in FILES[kind] for path in sorted(root.glob(glob))]
    texts = [line for name in names for line in lines_of(name)]
    if kind != "prose":
        random.Random(0).shuffle(texts)
    return Corpus(texts, ", ".join(FILES[kind]), True)


def spread(texts: list[str], count: int) -> list[str]:
    """`count` of the texts at even distances: a corpus may begin with its longest."""
    if count >= len(texts):
        return texts
    return [texts[i * len(texts) // count] for i in range(count)]


def utf8_size(texts: list[str]) -> int:
    """Bytes of UTF-8 in all texts."""
    return sum(len(text.encode()) for text in texts)
