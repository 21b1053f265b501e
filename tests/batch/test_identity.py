"""What makes an output anew: other content and other settings, not a newer cliptok, a copy or a touch."""

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cliptok.batch.job as job
from cliptok import Tokenizer
from cliptok.batch import tokenize_files
from cliptok.batch.reading.reader import Reading
from cliptok.batch.writing.results import RESULTS
from cliptok.tokenizer.profiles import PROFILES
from support.made import TEXTS, csv, json_lines, packed, tar, text_file

KINDS: dict[str, Callable[[list[str]], bytes]] = {
    "txt": text_file,
    "txt.gz": lambda texts: packed(text_file(texts), "gz"),
    "txt.xz": lambda texts: packed(text_file(texts), "xz"),
    "jsonl": json_lines,
    "csv": csv,
    "tar": tar,
    "tar.zst": lambda texts: packed(tar(texts), "zst"),
    "parquet": lambda texts: parquet_bytes(texts),
    "arrow": lambda texts: arrow_bytes(texts),
}


def parquet_bytes(texts: list[str]) -> bytes:
    sink = pa.BufferOutputStream()
    # Without statistics and compression the footer is the same whatever letters a text has.
    table = pa.table({"id": range(len(texts)), "caption": texts})
    pq.write_table(table, sink, compression="none", write_statistics=False)
    return bytes(sink.getvalue())


def arrow_bytes(texts: list[str]) -> bytes:
    table = pa.table({"caption": texts})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return bytes(sink.getvalue())


def anew(inputs: Path, out: Path, **options: Any) -> int:
    """How many outputs a resumed job makes anew."""
    report = tokenize_files(inputs, out, resume=True, **options)
    assert report.finished_before + report.made_anew == report.files
    return report.made_anew


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
@pytest.mark.parametrize("kind", KINDS)
def test_copied_and_touched(kind: str, format: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"format": format}
    if not kind.startswith(("txt", "tar")):
        options["column"] = "caption"
    for name in ("a", "b"):
        path = tmp_path / "in" / f"{name}.{kind}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(KINDS[kind]([f"{name} {text}" for text in TEXTS]))
    tokenize_files(tmp_path / "in", tmp_path / "out", **options)
    shutil.copytree(tmp_path / "in", tmp_path / "copy", copy_function=shutil.copyfile)
    for path in (tmp_path / "copy").iterdir():
        os.utime(path, ns=(0, 1_700_000_000_000_000_000))
    shutil.copytree(tmp_path / "out", tmp_path / "moved")
    assert anew(tmp_path / "copy", tmp_path / "moved", **options) == 0
    path = tmp_path / "copy" / f"b.{kind}"
    size = path.stat().st_size
    if kind in ("txt", "jsonl", "csv", "tar", "parquet", "arrow"):  # One letter: the size is the same.
        content = path.read_bytes()
        path.write_bytes(content.replace(b"photo", b"phota"))
        assert path.stat().st_size == size and path.read_bytes() != content
    else:
        path.write_bytes(KINDS[kind]([f"c {text}" for text in TEXTS]))
    assert anew(tmp_path / "copy", tmp_path / "moved", **options) == 1
    assert anew(tmp_path / "copy", tmp_path / "moved", **options) == 0


def test_what_is_unchanged_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text_file(TEXTS))
    tokenize_files(path, tmp_path / "out")
    monkeypatch.setattr(Reading, "fingerprint", lambda *_: pytest.fail("it was read"))
    assert anew(path, tmp_path / "out") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_fingerprint_of_parts_is_that_of_the_whole(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(KINDS[kind](TEXTS * 20))
    options: dict[str, Any] = {} if kind.startswith(("txt", "tar")) else {"column": "caption"}
    found = []
    for part_rows in (None, 30):
        tokenize_files(path, tmp_path / "out.parquet", part_rows=part_rows, **options)
        found.append(json.loads(pq.read_metadata(tmp_path / "out.parquet").metadata[b"cliptok"])["input"])
    assert found[0] == found[1] and len(found[0]["sha256"]) == 64
    if kind in ("txt", "txt.gz", "txt.xz", "jsonl", "csv", "arrow", "tar.zst"):
        assert found[0]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_file_of_the_same_size_and_time(tmp_path: Path) -> None:
    for name, text in (("a", b"a cat\n"), ("b", b"a dog\n")):
        (tmp_path / f"{name}.txt").write_bytes(text)
        os.utime(tmp_path / f"{name}.txt", ns=(0, 10**18))
    tokenize_files(tmp_path / "a.txt", tmp_path / "ids.parquet")
    assert anew(tmp_path / "b.txt", tmp_path / "ids.parquet") == 1
    shutil.copy2(tmp_path / "b.txt", tmp_path / "c.txt")  # The same content under another name.
    assert anew(tmp_path / "c.txt", tmp_path / "ids.parquet") == 0


def test_a_stream_is_never_known(tmp_path: Path) -> None:
    for text in (b"a cat\n", b"a dog\n"):
        os.mkfifo(tmp_path / "pipe")
        child = os.fork()
        if child == 0:
            (tmp_path / "pipe").write_bytes(text)
            os._exit(0)
        report = tokenize_files(tmp_path / "pipe", tmp_path / "ids.parquet", input_format="txt", resume=True)
        os.waitpid(child, 0)
        (tmp_path / "pipe").unlink()
        assert (report.finished_before, report.texts_now) == (0, 1)


@pytest.mark.parametrize(
    "name", ["out-parquet/a.parquet", "out-npy/a.npy", "out-safetensors/a.safetensors", "out-b/b.parquet"]
)
def test_outputs_of_0_1_0(name: str, tmp_path: Path) -> None:
    recorded = json.loads((Path(__file__).parents[1] / "recorded" / "outputs_of_0_1_0.json").read_text())
    for path, content in recorded.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(base64.b64decode(content))
    source = tmp_path / f"{Path(name).stem}.{'parquet' if 'b.' in name else 'txt'}"
    options: dict[str, Any] = {"format": Path(name).suffix[1:]}
    if source.suffix == ".parquet":
        options |= {"column": "caption", "keep": ["id"]}
    out = (tmp_path / name).parent
    os.utime(source, ns=(10**18, 10**18))
    assert anew(source, out, **options) == 0
    assert anew(source, out, **options, check=True) == 0
    assert anew(source, out, **options, max_length=9) == 1
    (tmp_path / name).write_bytes(base64.b64decode(recorded[name]))
    if "npy" in name:
        (out / "index.jsonl").write_bytes(base64.b64decode(recorded["out-npy/index.jsonl"]))
    os.utime(source)  # It has no fingerprint to compare the content with.
    assert anew(source, out, **options) == 1
    os.utime(source)
    assert anew(source, out, **options) == 0


def test_a_newer_cliptok_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text_file(TEXTS))
    tokenize_files(path, tmp_path / "out")
    monkeypatch.setattr("cliptok.__version__", "0.2.0")
    assert anew(path, tmp_path / "out") == 0
    monkeypatch.setattr(job, "RESULTS", RESULTS + 1)
    assert anew(path, tmp_path / "out") == 1


def test_what_the_number_stands_for(tmp_path: Path) -> None:
    """Where this fails because results changed on purpose, RESULTS goes up, and this digest with it."""
    texts = [
        *TEXTS,
        "  It’s “quoted” &amp;amp; naÃ¯ve ",
        "<|startoftext|>!!!",
        "x" * 300,
        "日本語 ñ Å ½ 🙂",
        "a\u00a0b\u2028c",
    ]
    found = hashlib.sha256()
    for profile in PROFILES:
        for kind, column in (("jsonl", "caption"), ("tar", "txt")):
            path = tmp_path / f"a.{kind}"
            path.write_bytes(KINDS[kind](texts))
            tok = Tokenizer(profile)  # type: ignore[arg-type]
            tokenize_files(path, tmp_path / "a.npy", column=column, tokenizer=tok, max_length=20)
            found.update((tmp_path / "a.npy").read_bytes())
    assert (RESULTS, found.hexdigest()[:16]) == (1, "5aab8366a8aea533")
