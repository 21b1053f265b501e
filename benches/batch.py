"""Files to files: the jobs of `cliptok.batch` beside the scripts that people write. `make bench-batch`.

- tokenize: captions from Parquet to Parquet ids, beside pyarrow with transformers' tokenizer and beside `datasets.map`
  with it, both on a tenth of the captions. Ids are compared first; then all run in turn, and a ratio is the median of
  the rounds' ratios. `alone` is the engine on the same column in memory: what the job costs beyond is files.
- embed: the job beside `TextEncoder.encode` on the same texts, ViT-L/14 sizes, random weights, on the CPU.
- memory: the most that a process of the job takes, for a number of captions and a hundred times as many, in one file.

`--smoke` is all of it in seconds, figures meaningless, writing nothing.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import machine
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from inputs import ROOT, corpus

from cliptok import Tokenizer
from cliptok.batch import embed_files, tokenize_files

Rounds = dict[str, list[float]]


def write_captions(path: Path, count: int) -> None:
    """Captions of the corpus, drawn with a fixed seed: so many rows, in row groups of 100,000."""
    texts, pick = corpus("captions").texts, random.Random(0)
    schema = pa.schema([("id", pa.int64()), ("caption", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for begin in range(0, count, 100_000):
            rows = range(begin, min(begin + 100_000, count))
            writer.write_table(pa.table({"id": rows, "caption": pick.choices(texts, k=len(rows))}, schema))


def in_turn(rounds: int, contenders: dict[str, Callable[[], object]], agree: Callable[[], None]) -> Rounds:
    """Seconds of each contender in each round, after one run to warm up, whose results must `agree`."""
    seconds: Rounds = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            begin = perf_counter()
            run()
            if number:
                seconds[name].append(perf_counter() - begin)
        if not number:
            agree()
    return seconds


def tokenize(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    """The job beside the two scripts."""
    from datasets import Dataset, disable_progress_bars
    from transformers import CLIPTokenizerFast

    disable_progress_bars()
    write_captions(folder / "all.parquet", count)
    write_captions(folder / "tenth.parquet", count // 10)
    Tokenizer().save_pretrained(folder / "tokenizer")
    peer = CLIPTokenizerFast.from_pretrained(folder / "tokenizer")

    def ids_of(batch: dict[str, list[str]]) -> dict[str, Any]:
        return {"input_ids": peer(batch["caption"], truncation=True, max_length=77)["input_ids"]}

    def script() -> None:
        file = pq.ParquetFile(folder / "tenth.parquet")
        with pq.ParquetWriter(folder / "script.parquet", pa.schema([("input_ids", pa.list_(pa.int32()))])) as writer:
            for batch in file.iter_batches(10_000, columns=["caption"]):
                ids = pa.array(ids_of(batch.to_pydict())["input_ids"], pa.list_(pa.int32()))
                writer.write_table(pa.table({"input_ids": ids}))

    def mapped() -> None:
        data = Dataset.from_parquet(str(folder / "tenth.parquet"), columns=["caption"], cache_dir=str(folder / "cache"))
        made = data.map(ids_of, batched=True, remove_columns=["caption"], load_from_cache_file=False)
        made.to_parquet(folder / "mapped.parquet")

    reports = []

    def job() -> None:
        reports.append(tokenize_files(folder / "all.parquet", folder / "ids.parquet", column="caption", progress=False))

    column = pq.read_table(folder / "all.parquet", columns=["caption"]).column(0)
    tok = Tokenizer()

    def alone() -> None:
        for begin in range(0, count, 65_536):
            tok.encode_packed(column.slice(begin, 65_536), 77)

    def agree() -> None:
        tokenize_files(folder / "tenth.parquet", folder / "ids.parquet", column="caption")
        ours = pq.read_table(folder / "ids.parquet").column(0).to_pylist()
        for name in ("script", "mapped"):
            assert pq.read_table(folder / f"{name}.parquet").column(0).to_pylist() == ours, f"the ids of {name} differ"

    names = {
        "cliptok": job,
        "pyarrow and transformers": script,
        "datasets.map with transformers": mapped,
        "alone": alone,
    }
    seconds = in_turn(rounds, names, agree)
    own, own_alone = seconds["cliptok"], seconds["alone"]
    per_text = {
        name: [s / (count if name in ("cliptok", "alone") else count // 10) for s in x] for name, x in seconds.items()
    }
    result = {
        "captions": count,
        "seconds": seconds,
        "texts_per_second": {name: 1 / statistics.median(x) for name, x in per_text.items()},
        "ratios": {
            name: statistics.median(t / o for t, o in zip(per_text[name], per_text["cliptok"], strict=True))
            for name in list(names)[1:3]
        },
        "tokenizing_share_of_work": statistics.median(report.shares["tokenizing"] for report in reports[1:]),
        "tokenizing_alone_of_wall": statistics.median(a / o for a, o in zip(own_alone, own, strict=True)),
        "shares": reports[-1].shares,
    }
    print(f"tokenize, {count:,} captions:")
    for name, rate in result["texts_per_second"].items():
        print(f"  {name:32}{rate:12,.0f} texts/s")
    for name, ratio in result["ratios"].items():
        print(f"  {ratio:.0f} times {name} (at least 50)")
    print(f"  tokenizing: {result['tokenizing_share_of_work']:.0%} of the work of all stages;", end=" ")
    print(f"alone it takes {result['tokenizing_alone_of_wall']:.0%} of the job's time (under 50%)", flush=True)
    return result


def embed(folder: Path, count: int, rounds: int, preset: str, layers: int | None) -> dict[str, Any]:
    """The job beside `encode` on texts in memory."""
    import torch

    from cliptok.encoder import PRESETS, TextEncoder

    torch.manual_seed(0)
    config = PRESETS[preset]
    if layers is not None:
        import dataclasses

        config = dataclasses.replace(config, layers=layers)
    encoder = TextEncoder(config).eval()
    texts = random.Random(0).choices(corpus("captions").texts, k=count)
    pq.write_table(pa.table({"caption": texts}), folder / "some.parquet")
    found: dict[str, Any] = {}

    def encode() -> None:
        found["encode"] = encoder.encode(texts, Tokenizer())

    def job() -> None:
        embed_files(folder / "some.parquet", folder / "e.npy", model=encoder, column="caption", progress=False)
        found["job"] = np.load(folder / "e.npy")

    def agree() -> None:
        assert np.array_equal(found["job"], found["encode"].numpy()), "the embeddings differ"

    seconds = in_turn(rounds, {"embed_files": job, "encode": encode}, agree)
    ratio = statistics.median(j / e for j, e in zip(*seconds.values(), strict=True))
    print(f"embed, {count:,} captions, {preset}: {ratio - 1:+.1%} on encode alone (at most +5%)", flush=True)
    return {"texts": count, "preset": preset, "seconds": seconds, "ratio": ratio}


_PEAK = """
import re, sys
from cliptok.batch import tokenize_files
tokenize_files(sys.argv[1], sys.argv[2], column="caption", progress=False)
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def write_few_captions(path: Path, count: int) -> None:
    """So many rows of 5,000 short captions of the corpus: a file of 3.5 bytes a row."""
    short = [text for text in sorted(set(corpus("captions").texts)) if len(text) < 40]
    texts, generator = pa.array(short[:5000]), np.random.default_rng(0)
    schema = pa.schema([("caption", pa.dictionary(pa.int32(), pa.string()))])
    with pq.ParquetWriter(path, schema) as writer:
        for begin in range(0, count, 100_000):
            rows = generator.integers(0, len(texts), min(100_000, count - begin), np.int32)
            writer.write_table(pa.table([pa.DictionaryArray.from_arrays(rows, texts)], schema))


def memory(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    """The most memory that a process has for `count` captions, the median, and for a hundred times as many, once."""
    found: dict[int, list[float]] = {count: [], 100 * count: []}
    for captions, values in found.items():
        write_few_captions(folder / f"{captions}.parquet", captions)
        for _ in range(rounds if captions == count else 1):
            command = [sys.executable, "-c", _PEAK, folder / f"{captions}.parquet", folder / "ids.parquet"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            values.append(int(done.stdout) / 1024)
    peaks = {captions: statistics.median(values) for captions, values in found.items()}
    ratio = peaks[100 * count] / peaks[count]
    print(
        f"memory: {', '.join(f'{p:.0f} MiB for {c:,} captions' for c, p in peaks.items())}: {ratio - 1:+.1%}", end=" "
    )
    print("(at most +10%)", flush=True)
    return {"mib": found, "ratio": ratio}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="everything small; writes nothing")
    parser.add_argument("--only", choices=("tokenize", "embed", "memory"), action="append", help="may be given again")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benches" / "results", help="the folder for results")
    options = parser.parse_args()
    smoke, rounds = options.smoke, 1 if options.smoke else options.rounds
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {
        "tokenize": lambda folder: tokenize(folder, 10_000 if smoke else 1_000_000, rounds),
        "embed": lambda folder: embed(folder, 64 if smoke else 1000, rounds, "ViT-L-14", 1 if smoke else None),
        "memory": lambda folder: memory(folder, 10_000 if smoke else 1_000_000, rounds),
    }
    described = machine.describe()
    print(f"{machine.cpu_name()}, {machine.available_cpus()} CPUs, {machine.memory_gib()} GiB", flush=True)
    path = options.out / f"batch-{machine.file_name(described)}"
    # Parts that were measured in another run of the day stay.
    results = json.loads(path.read_text()) if path.is_file() and not smoke else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or parts:
            results[name] = parts[name](Path(folder))
    if not smoke:
        options.out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**described, **results}, indent=1) + "\n", encoding="utf-8")
        print(f"Wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
