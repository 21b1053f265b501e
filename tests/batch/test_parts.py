"""Large inputs in parts: whatever is there of them, the output is that of an uninterrupted job, byte for byte."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cliptok.batch.disk as disk
import cliptok.batch.job as job
import cliptok.batch.pipeline as pipeline
import cliptok.batch.reading.lines as read_lines
import cliptok.batch.reading.parquet as read_parquet
import cliptok.batch.reading.reader as reader
import cliptok.batch.reading.tar as read_tar
import cliptok.batch.writer as writer
from cliptok import Tokenizer
from cliptok.batch import BadInputError, embed_files, tokenize_files
from cliptok.batch.tokenizing import Tokenizing
from cliptok.batch.writing.parts import Parts, folder_of
from support.made import csv, ids_in, json_lines, packed, tar, text_file, tree

TEXTS = [f"caption {number}, {'very ' * (number % 37)}small" for number in range(1003)]


class Killed(BaseException):
    """Stands in for a kill."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_lines, "BLOCK", 5000)
    monkeypatch.setattr(read_parquet, "_ROWS", 90)
    monkeypatch.setattr(read_tar, "ROWS", 70)
    monkeypatch.setattr(pipeline, "TAR_ROWS", 100)


def written(folder: Path, kind: str) -> tuple[Path, dict[str, Any]]:
    """An input of that kind with the texts, and the options for reading it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"a.{kind}"
    column: dict[str, Any] = {} if "txt" in kind or "tar" in kind else {"column": "caption"}
    if kind == "parquet":
        table = pa.table({"id": range(len(TEXTS)), "caption": TEXTS})
        pq.write_table(table, path, row_group_size=270, compression="none", write_statistics=False)
    elif kind.startswith("tar"):
        path.write_bytes(packed(tar(TEXTS), kind.partition(".")[2]))
    elif kind.startswith("jsonl"):
        path.write_bytes(b"\xef\xbb\xbf" + json_lines(TEXTS).replace(b"\n", b"\n \n", 40))
    else:
        make: Callable[[Any], bytes] = csv if kind.startswith("csv") else text_file
        path.write_bytes(packed(make(TEXTS), kind.partition(".")[2]))
    return path, column


def killed(monkeypatch: pytest.MonkeyPatch, after: int, make: Callable[..., Any], *paths: Path, **options: Any) -> None:
    """Run a job that ends after so many commits."""
    commit = Parts.commit
    left = [after]

    def commits(self: Parts, *arguments: Any) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        commit(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "commit", commits)
        with pytest.raises(Killed):
            make(*paths, **options)


KINDS = ["txt", "txt.gz", "jsonl", "csv", "parquet", "tar", "tar.zst"]


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_parts_may_be_there(kind: str, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = written(tmp_path / "in", kind)
    options |= {"part_rows": 100, "format": format}
    if format == "parquet" and kind in ("jsonl", "csv", "parquet"):
        options["keep"] = "*"
    whole = tokenize_files(path, tmp_path / "whole", **options)
    wanted = tree(tmp_path / "whole")
    ids = Tokenizer().encode_batch(TEXTS, 77)
    if format == "npy":
        assert np.array_equal(np.load(tmp_path / "whole" / f"{path.stem.partition('.')[0]}.npy"), ids)
    out = tmp_path / "out"
    killed(monkeypatch, 7, tokenize_files, path, out, **options)
    (parts,) = out.glob(".*.parts")
    assert len(list(parts.iterdir())) == 7
    shutil.rmtree(tmp_path / "kept", ignore_errors=True)
    shutil.copytree(out, tmp_path / "kept")
    for gone in ([], [0], [3, 4], [0, 2, 6]):
        shutil.rmtree(out)
        shutil.copytree(tmp_path / "kept", out)
        for number in gone:
            (parts / f"{number:06}.part").unlink()
        report = tokenize_files(path, out, resume=True, **options)
        assert tree(out) == wanted
        assert report.counts == whole.counts
        assert report.texts_now == len(TEXTS) - 100 * (7 - len(gone))


def test_all_parts_but_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = written(tmp_path / "in", "jsonl")
    options |= {"part_rows": 100}
    tokenize_files(path, tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "join", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            tokenize_files(path, tmp_path / "out", **options)
    report = tokenize_files(path, tmp_path / "out", resume=True, **options)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert (report.texts_now, report.counts.texts) == (0, len(TEXTS))


KILLED_AT = """
import os, signal, sys
import cliptok.batch.writer as writer
from cliptok.batch import tokenize_files
from cliptok.batch.writing.parts import Parts

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def kill_at(owner, name, count, is_after=False):
    own = getattr(owner, name)
    def patched(*arguments):
        nonlocal count
        count -= 1
        if not count and not is_after:
            kill()
        found = own(*arguments)
        if not count:
            kill()
        return found
    setattr(owner, name, patched)

source, out, format = sys.argv[1:]
places = [
    (writer.Writer, "_write", 3),  # Inside a part.
    (Parts, "commit", 3),  # A part is written, and has no name.
    (Parts, "commit", 2, True),
    (writer, "join", 1),
    (writer, "join", 1, True),  # All is written, and has no name.
    (Parts, "remove", 1),  # It has its name, and the parts are still there.
]
for place in places:
    child = os.fork()
    if child == 0:
        kill_at(*place)
        tokenize_files(source, out, format=format, part_rows=100, resume=True)
        os._exit(0)
    print(os.waitpid(child, 0)[1], end=" ")
report = tokenize_files(source, out, format=format, part_rows=100, resume=True)
print(report.texts_now)
"""


@pytest.mark.parametrize("format", ["parquet", "tar"])
def test_killed_inside_parts_and_while_they_are_joined(format: Any, tmp_path: Path) -> None:
    path, _ = written(tmp_path / "in", "txt")
    tokenize_files(path, tmp_path / "whole", format=format, part_rows=100)
    command = [sys.executable, "-c", KILLED_AT, path, tmp_path / "out", format]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["9"] * 6 + ["0"]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


MANY = """
import resource, sys
from cliptok.batch import tokenize_files

source, out = sys.argv[1:]
for format in ("parquet", "npy", "safetensors", "arrow", "tar"):
    tokenize_files(source, f"{out}/whole.{format}")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, limit[1]))
    tokenize_files(source, f"{out}/parts.{format}", part_rows=10)
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
"""


def test_more_parts_than_a_process_may_open_files(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    path, _ = written(tmp_path / "in", "txt")
    subprocess.run([sys.executable, "-c", MANY, path, tmp_path], check=True, timeout=300)
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert ids_in(tmp_path / "parts.parquet") == ids_in(tmp_path / "whole.parquet")


def test_a_kill_at_90_percent_costs_at_most_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All sizes a hundredth of those of 10 M rows. The kill comes at the worst moment, before a part gets its name."""
    rows, scale = 100_000, 100
    for name in ("_PART", "ROWS"):
        monkeypatch.setattr(job, name, getattr(job, name) // scale)
    monkeypatch.setattr(job, "_WHOLE", 0)
    (tmp_path / "a.txt").write_bytes(text_file([f"caption {number}" for number in range(rows)]))
    tokenized = 0
    table = Tokenizing.table

    def counted(self: Tokenizing, texts: pa.Table, *more: Any) -> pa.Table:
        nonlocal tokenized
        tokenized += len(texts)
        return table(self, texts, *more)

    monkeypatch.setattr(Tokenizing, "table", counted)
    killed(monkeypatch, 9 * rows // 10 // job._PART, tokenize_files, tmp_path / "a.txt", tmp_path / "out")
    assert tokenized > 0.9 * rows
    report = tokenize_files(tmp_path / "a.txt", tmp_path / "out", resume=True)
    assert report.counts.texts == rows and 0 < tokenized - rows <= 0.02 * rows


def left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str = "txt") -> tuple[Path, dict[str, Any]]:
    """A job that ended after seven parts."""
    path, options = written(tmp_path / "in", kind)
    options |= {"part_rows": 100}
    tokenize_files(path, tmp_path / "whole", **options)
    killed(monkeypatch, 7, tokenize_files, path, tmp_path / "out", **options)
    return path, options


def test_damaged_parts_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = left_over(tmp_path, monkeypatch)
    folder = folder_of(tmp_path / "out" / "a.parquet")
    for number, damage in ((1, lambda b: b[:100] + b"?" + b[101:]), (2, lambda b: b[:-1]), (5, lambda _: b"")):
        part = folder / f"{number:06}.part"
        part.write_bytes(damage(part.read_bytes()))
    (folder / ".000003.part.0123456789ab.tmp").write_bytes(b"half")
    report = tokenize_files(path, tmp_path / "out", resume=True, **options)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert report.texts_now == len(TEXTS) - 400


def test_parts_of_something_else_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for change in ({"max_length": 9}, {"part_rows": 99}, {"resume": False}):
        path, options = left_over(tmp_path, monkeypatch)
        report = tokenize_files(path, tmp_path / "out", **{"resume": True, **options, **change})
        assert report.texts_now == len(TEXTS)
        assert not list((tmp_path / "out").glob(".*"))
        shutil.rmtree(tmp_path / "out")
    path, options = left_over(tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes().replace(b"very", b"VERY"))
    tokenize_files(path, tmp_path / "out", resume=True, **options)
    tokenize_files(path, tmp_path / "again", **options)
    assert tree(tmp_path / "out") == tree(tmp_path / "again")


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_a_file_that_was_touched_stay(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = left_over(tmp_path, monkeypatch, kind)
    os.utime(path, ns=(0, 10**18))
    # What begins in the middle is known again too: it is killed once more, without the second part.
    (folder_of(tmp_path / "out" / "a.parquet") / "000001.part").unlink()
    killed(monkeypatch, 2, tokenize_files, path, tmp_path / "out", resume=True, **options)
    os.utime(path, ns=(0, 2 * 10**18))
    report = tokenize_files(path, tmp_path / "out", resume=True, **options)
    tokenize_files(path, tmp_path / "whole", **options)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert (report.texts_now, report.parts_before) == (len(TEXTS) - 800, 8)


@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv", "parquet", "tar"])
def test_parts_of_other_content_of_the_same_size_are_made_anew(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, options = left_over(tmp_path, monkeypatch, kind)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"caption 450, ", b"CAPTION 450, "))
    assert len(content) == path.stat().st_size and content != path.read_bytes()
    report = tokenize_files(path, tmp_path / "out", resume=True, **options)
    tokenize_files(path, tmp_path / "again", **options)
    assert tree(tmp_path / "out") == tree(tmp_path / "again")
    assert report.texts_now >= len(TEXTS) - 400  # The parts up to there may stay; the one with the change does not.


@pytest.mark.parametrize(
    ("kind", "unit"), [("txt", "line"), ("jsonl", "row"), ("csv", "row"), ("parquet", "row"), ("tar", "sample")]
)
def test_rows_count_from_the_beginning_of_the_file(
    kind: str, unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, options = left_over(tmp_path, monkeypatch, kind)

    def clean(table: pa.Table, named: str, *rest: Any) -> Any:
        numbers = rest[-1].tolist()
        if 850 in numbers:
            raise BadInputError(f"{named} 850 is {table.column(0)[numbers.index(850)]}")
        return reader_clean(table, named, *rest)

    reader_clean = reader.clean
    monkeypatch.setattr(reader, "clean", clean)
    with pytest.raises(BadInputError, match=f"{unit} 850 is (b')?caption 849,"):
        tokenize_files(path, tmp_path / "out", resume=True, **options)


def test_random_captions_do_not_depend_on_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    rows: Iterator[dict[str, Any]] = ({"caption": [f"{n} a", f"{n} b", f"{n} c"][: n % 4]} for n in range(500))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options: dict[str, Any] = {"column": "caption", "on_null": "empty", "seed": 3}
    for captions in ("first", "all", "random"):
        options |= {"captions": captions, "seed": 3 if captions == "random" else None}
        tokenize_files(path, tmp_path / "one.parquet", **options)
        tokenize_files(path, tmp_path / "many.parquet", part_rows=60, **options)
        assert ids_in(tmp_path / "many.parquet") == ids_in(tmp_path / "one.parquet")
        killed(monkeypatch, 3, tokenize_files, path, tmp_path / "two.parquet", part_rows=60, **options)
        tokenize_files(path, tmp_path / "two.parquet", part_rows=60, resume=True, **options)
        assert (tmp_path / "two.parquet").read_bytes() == (tmp_path / "many.parquet").read_bytes()


def test_a_field_that_no_line_has_is_said_after_a_kill_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"caption": null}\n' * 1000)
    options: dict[str, Any] = {"column": "caption", "on_null": "skip", "part_rows": 100}
    killed(monkeypatch, 1, tokenize_files, path, tmp_path / "out", **options)
    for resume in (True, False):
        with pytest.raises(BadInputError, match=r"a\.jsonl: no line has a text in the field 'caption'"):
            tokenize_files(path, tmp_path / "out", resume=resume, **options)


@pytest.mark.parametrize("output", ["text_embeds", "hidden"])
@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_embeddings(format: str, output: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = written(tmp_path / "in", "txt")
    options |= {"part_rows": 200, "model": model, "format": format, "output": output, "device": "cpu"}
    options["max_length"] = 12
    embed_files(path, tmp_path / "whole", **options)
    killed(monkeypatch, 3, embed_files, path, tmp_path / "out", **options)
    (tmp_path / "out" / f".a.{format}.parts" / "000001.part").unlink()
    report = embed_files(path, tmp_path / "out", resume=True, **options)
    assert report.texts_now == len(TEXTS) - 400
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    one = embed_files(path, tmp_path / "one", **{**options, "part_rows": 5000})
    assert one.counts == report.counts
    if format == "npy":
        found, wanted = np.load(tmp_path / "out" / "a.npy"), np.load(tmp_path / "one" / "a.npy")
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_file_of_one_part_has_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = written(tmp_path / "in", "csv")
    monkeypatch.setattr(Parts, "commit", lambda *_: pytest.fail("a part was committed"))
    tokenize_files(path, tmp_path / "a", **options)
    tokenize_files(path, tmp_path / "b", part_rows=len(TEXTS), **options)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_rows_of_chunks_depend_on_the_rows_alone(tmp_path: Path) -> None:
    from cliptok.batch.reading.chunks import Chunks

    pick = random.Random(0)
    texts = ["x" * pick.choice([0, 10, 5_000, 200_000, 3_000_000]) for _ in range(400)]
    table = pa.table({"caption": texts, "more": [list(range(n % 50)) for n in range(400)]})

    def lengths(cuts: list[int]) -> list[int]:
        chunks, found = Chunks(150), []
        for begin, end in zip([0, *cuts], [*cuts, 400], strict=True):
            found += chunks.add(table.slice(begin, end - begin))
        return [len(chunk) for chunk in [*found, *chunks.rest()]]

    once = lengths([])
    assert sum(once) == 400 and max(once) < 150
    for _ in range(20):
        assert lengths(sorted(pick.sample(range(400), 9))) == once


def test_samples_of_one_name_on_both_sides_of_a_part_s_end(tmp_path: Path) -> None:
    keys = [f"s{row}" for row in range(100)]
    for at, message in ((50, "'s49'"), (33, "'s32'")):
        names = [*keys[:at], keys[at - 1], *keys[at + 1 :]]
        pq.write_table(pa.table({"caption": ["a cat"] * 100, "__key__": names}), tmp_path / "a.parquet")
        for part_rows in (10, 50, 1000):
            with pytest.raises(BadInputError, match=f"a.parquet: two rows after another have the name {message}"):
                tokenize_files(
                    tmp_path / "a.parquet", tmp_path / "o.tar", column="caption", keep="__key__", part_rows=part_rows
                )


def test_the_disk_that_a_job_needs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = written(tmp_path / "in", "txt")
    options: dict[str, Any] = {"part_rows": 100, "format": "npy"}
    killed(monkeypatch, 7, tokenize_files, path, tmp_path / "out", **options)
    (planned,) = tokenize_files(path, tmp_path / "out", resume=True, dry_run=True, **options).outputs
    taken = [file.stat().st_size for file in folder_of(tmp_path / "out" / "a.npy").iterdir()]
    assert (planned.action, planned.parts, planned.parts_bytes) == ("make", 7, sum(taken))
    log = tmp_path / "log"
    with monkeypatch.context() as patch:
        patch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.warns(UserWarning, match=r"needs about [\d.]+ kB of disk in .*out, where 10 bytes are free"):
            report = tokenize_files(path, tmp_path / "out", resume=True, json_log=log, **options)
    needed = [json.loads(line)["disk_needed"] for line in log.read_text().splitlines()]
    # What was needed at each time: the parts to come, and all of the output once more.
    size = (tmp_path / "out" / "a.npy").stat().st_size
    assert len(needed) == 4 and report.disk_needed == 0
    for number, found in enumerate(needed, 8):
        assert found == pytest.approx(
            size * (11 - number) / 11 + size, rel=0.25
        )  # A part is read in blocks, some of them ahead.
