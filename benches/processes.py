"""Cases that need a process of their own: start-up and peak memory."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from time import perf_counter

import peers
from case import GIGATOKEN, OURS, Bar, Bench, Case, Skip
from inputs import spread
from measure import Contender

from support import references

MAKE = {
    OURS: "import cliptok; tok = cliptok.Tokenizer()",
    "instant-clip-tokenizer": "import instant_clip_tokenizer; tok = instant_clip_tokenizer.Tokenizer()",
    "kitoken": "import kitoken; tok = kitoken.Kitoken.from_tokenizers_file({json!r})",
    "tokenizers": "import tokenizers; tok = tokenizers.Tokenizer.from_file({json!r})",
    GIGATOKEN: "import gigatoken; tok = gigatoken.Tokenizer({gpt2!r})",
    "transformers": "import transformers; tok = transformers.CLIPTokenizer.from_pretrained({folder!r})",
    "open_clip": (
        "import importlib.util as u; spec = u.spec_from_file_location('t', {open_clip!r});"
        " m = u.module_from_spec(spec); spec.loader.exec_module(m); tok = m.SimpleTokenizer()"
    ),
}
"""How each is imported and constructed."""

ENCODE = {
    OURS: "tok.encode_batch(texts)",
    f"{OURS} uint16": "tok.encode_batch(texts, dtype='uint16')",
    "instant-clip-tokenizer": "tok.tokenize_batch(texts, context_length=77)",
    "kitoken": "tok.encode_all(texts, True)",
    "tokenizers": "tok.encode_batch_fast(texts)",
    GIGATOKEN: "tok.encode_batch_padded(texts, 50256, max_length=77, pad_to_max_length=True, truncate=True)",
    "transformers": "tok(texts, padding='max_length', max_length=77, truncation=True, return_tensors='pt')",
    "open_clip": "tok(texts)",
}
"""How each does a batch."""

HEAVY = ("transformers", "open_clip")
"""They import torch, some seconds each time: a smoke run starts them once, for `startup`, and not again."""

# The peak since the program was loaded. getrusage would count what the parent held when it started this one.
PEAK = "print(next(int(l.split()[1]) / 1024 for l in open('/proc/self/status') if l.startswith('VmHWM')))"
QUIET = "import os; os.environ['TRANSFORMERS_VERBOSITY'] = 'error'; "


def startup(bench: Bench) -> Case:
    """Import and construction, timed inside a fresh process: what the interpreter itself takes is not in it."""
    contenders = []
    for name in MAKE:
        if name == OURS or bench.peer(name) is not None:
            code = f"{QUIET}from time import perf_counter; begin = perf_counter(); {_make(name)}; end = perf_counter()"
            run = partial(_answer, f"{code}; print(end - begin)")
            contenders.append(Contender(name, run, 1, reports=True))
    if not bench.smoke:
        _warm(contenders)
    bars = [Bar("instant-clip-tokenizer", 1), Bar("transformers", 15)]
    return Case("startup", "Import and construct", "calls", contenders, bars, rounds=bench.size(7, 1))


def process(bench: Bench) -> Case:
    """The same from outside: a whole process that tokenizes one prompt, beside one that does nothing."""
    calls = {
        OURS: "tok.encode('a photo of a cat')",
        "instant-clip-tokenizer": "tok.encode('a photo of a cat')",
        "transformers": "tok.encode('a photo of a cat')",
    }
    contenders = [
        Contender(name, partial(_whole, f"{QUIET}{_make(name)}; {call}"), 1, reports=True)
        for name, call in calls.items()
        if name == OURS or _wanted(bench, name)
    ]
    contenders.append(Contender("(python alone)", partial(_whole, "pass"), 1, reports=True))
    title = "A whole process that tokenizes one prompt"
    return Case("process", title, "calls", contenders, rounds=bench.size(7, 1))


def memory(bench: Bench) -> Case:
    """Peak memory of a process that turns captions into rows, everything that it imports included."""
    if not Path("/proc/self/status").exists():
        raise Skip("peak memory is read from /proc")
    found = bench.texts("captions")
    texts = spread(found.texts, bench.size(20_000, 1000))
    file = peers.files() / "captions.txt"
    file.write_text("\n".join(texts), encoding="utf-8")
    load = f"texts = open({str(file)!r}, encoding='utf-8').read().split('\\n')"
    contenders = []
    for name, encode in ENCODE.items():
        maker = OURS if name.startswith(OURS) else name
        if maker == OURS or _wanted(bench, maker):
            code = f"{QUIET}{load}; {_make(maker)}; result = {encode}; {PEAK}"
            contenders.append(Contender(name, partial(_answer, code), 1, reports=True))
    contenders.append(Contender("(python and the list)", partial(_answer, f"{load}; {PEAK}"), 1, reports=True))
    title = f"Peak memory of a process, {len(texts):,} captions to (n, 77)"
    return Case("memory", title, "MiB", contenders, source=found.source, rounds=bench.size(3, 1))


def _wanted(bench: Bench, name: str) -> bool:
    return bench.peer(name) is not None and not (bench.smoke and name in HEAVY)


def _make(name: str) -> str:
    # The real files: open_clip reads its vocabulary from beside its module.
    places = {
        "json": str(peers.tokenizer_json()),
        "folder": str(peers.files()),
        "gpt2": str(peers.GPT2),
        "open_clip": str(references.open_clip_folder() / "tokenizer.py") if "open_clip" in name else "",
    }
    return MAKE[name].format(**places)


def _warm(contenders: list[Contender]) -> None:
    """Once for the byte code and the disk's cache."""
    for contender in contenders:
        contender.run()


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{code}\nended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def _answer(code: str) -> float:
    return float(_run(code).split()[-1])


def _whole(code: str) -> float:
    begin = perf_counter()
    _run(code)
    return perf_counter() - begin
