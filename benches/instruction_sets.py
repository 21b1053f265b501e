"""Ours with each set of vector instructions that the machine has, in one run."""

import os
import re
import subprocess
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from agree import IdsDifferError
from case import GIGATOKEN, OURS, Bench, Case
from inputs import ROOT
from measure import Contender
from peers import WIDTH

import cliptok

VARIABLE = "CLIPTOK_INSTRUCTIONS"
SETS = ("avx512", "avx2", "sse", "neon", "plain")


def instruction_sets(bench: Bench) -> Case:
    """A list to int64 on one thread with each set, beside the peers that have one way only."""
    found = bench.texts("captions")
    texts, out = found.texts, np.zeros((len(found.texts), WIDTH), np.int64)
    tokenizers = available()
    contenders = [Contender(f"{OURS} {name}", _into(tok, texts, out), len(texts)) for name, tok in tokenizers.items()]
    expected = tokenizers["plain"].encode_batch(texts)
    for name, tok in tokenizers.items():
        if not np.array_equal(tok.encode_batch(texts), expected):
            raise IdsDifferError(f"cliptok's {name} and plain")
    contenders += bench.against(
        ("tokenizers", "instant-clip-tokenizer", GIGATOKEN), texts, lambda peer, some: peer.rows(some)
    )
    return Case(
        "instruction-sets", "Captions to int64 (n, 77), one thread, out=, by set of instructions", "captions",
        contenders, source=found.source, judged=found.real, notes=[] if bench.smoke else counted(),
    )  # fmt: skip


def available() -> dict[str, cliptok.Tokenizer]:
    """A tokenizer for each set that the machine has, the fastest first: it reads the variable when it is made."""
    before, found = os.environ.get(VARIABLE), dict[str, cliptok.Tokenizer]()
    try:
        for name in SETS:
            os.environ[VARIABLE] = name
            try:
                found[name] = cliptok.Tokenizer()
            except ValueError:
                continue  # not on this machine
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before
    return found


def counted() -> list[str]:
    """Instructions per caption and per byte, by valgrind, which knows all sets but AVX-512; nothing without it."""
    try:
        done = subprocess.run([ROOT / "benches" / "instructions.sh"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return [f"instructions: not counted ({error})"]
    return re.findall(r"^instructions: .+$", done.stdout, re.MULTILINE)


def _into(tok: cliptok.Tokenizer, texts: list[str], out: npt.NDArray[np.int64]) -> Callable[[], object]:
    return lambda: tok.encode_batch(texts, out=out, threads=1)
