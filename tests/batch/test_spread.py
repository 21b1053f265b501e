"""One large file over several processes; workers that die; inputs that cannot be read. On Ray: `test_on_ray`."""

import json
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cliptok.batch.tasks as tasks
from cliptok import Tokenizer
from cliptok.batch import BadInputError, clean_outputs, embed_files, tokenize_files
from cliptok.batch.encoder_source import EncoderSource
from cliptok.batch.encoding import plan
from cliptok.batch.fingerprints import of_encoder
from cliptok.batch.pipeline import Job
from cliptok.batch.reading.inputs import as_shard
from cliptok.batch.reading.reader import Reading
from cliptok.batch.tasks import Task, Worker, tasks_of
from cliptok.batch.tokenizing import Tokenizing
from cliptok.batch.workers import setup
from cliptok.batch.writing.parts import folder_of
from cliptok.encoder import TextEncoder
from support.made import csv, json_lines, text_file, tree

TEXTS = [f"caption {number}, {'very ' * (number % 37)}small" for number in range(1003)]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "lines.txt").write_bytes(b"\xef\xbb\xbf" + text_file(TEXTS)[:-1])
    (folder / "objects.jsonl").write_bytes(json_lines(TEXTS).replace(b"\n", b"\r\n \t\r\n", 40))
    (folder / "quoted.csv").write_bytes(csv(TEXTS))
    pq.write_table(pa.table({"caption": TEXTS}), folder / "groups.parquet", row_group_size=270)
    (folder / "small.txt").write_bytes(text_file(TEXTS[:3]))
    return folder


def run(inputs: Path, out: Path, **options: Any) -> Any:
    """Two jobs, of inputs with and without columns."""
    options |= {"part_rows": 100, "on_null": "empty"}
    tokenize_files(inputs / "*.txt", out / "texts", **options)
    kinds = [inputs / name for name in ("objects.jsonl", "quoted.csv", "groups.parquet")]
    return tokenize_files(kinds, out / "columns", column="caption", keep="*", **options)


def test_on_two_processes(inputs: Path, tmp_path: Path) -> None:
    here = run(inputs, tmp_path / "here")
    there = run(inputs, tmp_path / "there", processes=2, json_log=tmp_path / "log")
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert there.counts == here.counts and there.texts_now == here.texts_now == 3009
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len(lines) == 11 + 1 + 3 * 11
    assert sum(line["texts"] for line in lines) == 4 * 1003 + 3
    assert lines[-1]["bytes_done"] <= lines[-1]["bytes_total"]


def test_embed_in_parts(inputs: Path, model: Path, tmp_path: Path) -> None:
    """On processes; on Ray it is tested with an encoder that dies."""
    options: dict[str, Any] = {"model": model, "device": "cpu", "part_rows": 200, "format": "npy"}
    embed_files(inputs / "lines.txt", tmp_path / "here", **options)
    embed_files(inputs / "lines.txt", tmp_path / "there", **{**options, "device": "cpu,cpu"})
    found, wanted = (np.load(tmp_path / name / "lines.npy") for name in ("there", "here"))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_worker_that_dies(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the part it had in hand with it, once."""
    import cliptok.batch.spread as spread

    submit, killed = spread.Processes.submit, []

    def kills(self: spread.Processes, task: Task) -> Any:
        future = submit(self, task)
        if len(killed) < 2 and task.run is not None and task.run.first == 4 and self._pool._processes:
            pid = next(iter(self._pool._processes))
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)
        return future

    options: dict[str, Any] = {"part_rows": 100}
    tokenize_files(inputs / "lines.txt", tmp_path / "here", **options)
    monkeypatch.setattr(spread.Processes, "submit", kills)
    report = tokenize_files(inputs / "lines.txt", tmp_path / "there", processes=2, **options)
    assert len(killed) == 2
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert report.texts_now == 1003


def test_workers_that_find_other_weights(model: Path) -> None:
    """As where a hub name is another revision on another machine."""
    encoder = TextEncoder.from_pretrained(model)
    source = EncoderSource(str(model))
    encoding, tokenizing = plan(encoder, None, False, Tokenizer(), None)
    for found in (of_encoder(encoder), "another"):
        job = Job(Reading("caption"), tokenizing, 10, {"model": found}, 10)
        make = pickle.loads(pickle.dumps(setup(job, source, encoding, 1)))
        if found == "another":
            with pytest.raises(BadInputError, match=r"model.*: a worker finds other weights there than the job was"):
                make("cpu", None)
        else:
            assert isinstance(make("cpu", None), Worker)


@pytest.mark.parametrize("how", [{}, {"processes": 2}])
def test_one_bad_file_of_many(how: dict[str, Any], inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:02}.txt").write_bytes(text_file(TEXTS[:150]) + (b"\xff\n" if number == 7 else b""))
    with pytest.raises(BadInputError, match=r"07\.txt: line 151 is not UTF-8.*19 other outputs are finished"):
        tokenize_files(folder, tmp_path / "out", part_rows=100, **how)
    assert [path.stem for path in sorted((tmp_path / "out").glob("*.parquet"))] == [
        f"{number:02}" for number in range(20) if number != 7
    ]
    (folder / "07.txt").write_bytes(text_file(TEXTS[:150]))
    report = tokenize_files(folder, tmp_path / "out", part_rows=100, resume=True, **how)
    assert (report.finished_before, report.files) == (19, 20)
    assert not list((tmp_path / "out").glob(".*"))


def test_where_parts_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In lines found by scanning, whatever blocks that is done in, as where reading all of it comes by."""
    monkeypatch.setattr(tasks, "_BLOCK", 97)
    job = Job(Reading("caption"), Tokenizing(None), 1000, {}, 10)
    for name, content in (
        ("a.txt", text_file(TEXTS[:95])),
        ("b.txt", text_file(TEXTS[:100])[:-1]),
        ("c.txt", b"\xef\xbb\xbf" + text_file(TEXTS[:101])),
        ("d.txt", b"\n"),
        ("e.txt", b"\n" * 50),
        ("f.jsonl", json_lines(TEXTS[:60]).replace(b"\n", b"\n\n \r\n", 30)),
        ("g.jsonl", b"\xef\xbb\xbf\n\n" + json_lines(TEXTS[:61])[:-1]),
        ("h.jsonl", json_lines(TEXTS[:20]) + b" \n"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        shard = as_shard(path, tmp_path / "out" / f"{path.stem}.parquet")
        found = list(tasks_of(job, shard, job.parts(shard), False))
        lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        lines = lines[:-1] if lines[-1] == b"" else lines
        rows = [line for line in lines if shard.kind == "txt" or line.strip()]
        assert len(found) == max(1, -(-len(rows) // 10)), name
        for number, task in enumerate(found):
            assert task.run is not None and task.run.first == number
            assert task.run.place.row == number * 10
            if rows[number * 10 : number * 10 + 1]:
                rest = content[task.run.place.offset :].removeprefix(b"\xef\xbb\xbf" if number == 0 else b"")
                assert rest.lstrip(b"\n" if number == 0 and shard.kind == "jsonl" else b"").startswith(
                    rows[number * 10]
                )
                before = content[: task.run.place.offset].count(b"\n")
                assert task.run.place.line == before + 1


def test_lines_that_are_not_one_object_each(tmp_path: Path) -> None:
    for content, trouble in (
        (b'{"caption": "a"}{"caption": "b"}\n', "Extra data"),
        (b'{"caption":\n"a"}\n', "Expecting"),
    ):
        (tmp_path / "a.jsonl").write_bytes(b'{"caption": "x"}\n' + content)
        with pytest.raises(BadInputError, match=rf"a\.jsonl: line 2 is no JSON: {trouble}"):
            tokenize_files(tmp_path / "a.jsonl", tmp_path / "out", column="caption")


def test_clean(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tokenize_files(inputs / "lines.txt", out / "deep")
    parts = folder_of(out / "deep" / "lines.parquet")
    parts.mkdir()
    (parts / "000000.part").write_bytes(b"12345")
    (out / ".a.npy.0123456789ab.tmp").write_bytes(b"123")
    others = [out / ".merges.txt.0123456789ab.tmp", out / "deep" / ".other.parts", out / "deep" / "lines.parquet"]
    others[0].write_bytes(b"1")
    others[1].mkdir()
    for is_dry in (True, False):
        found = clean_outputs(out, dry_run=is_dry)
        assert [(Path(left.path).name, left.size) for left in found] == [
            (".a.npy.0123456789ab.tmp", 3),
            (".lines.parquet.parts", 5),
        ]
    assert clean_outputs(out) == [] == clean_outputs(out / "deep" / "lines.parquet")
    assert all(path.exists() for path in others) and not parts.exists()
    for wrong in (out / "no.npy", out / "nowhere"):
        with pytest.raises(BadInputError, match="no such"):
            clean_outputs(wrong)
