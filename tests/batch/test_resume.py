"""Whatever happens to a job, a resumed one ends with what an uninterrupted one writes."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cliptok import Tokenizer
from cliptok.batch import tokenize_files
from support.made import expected, ids_in, text_file, tree


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Some files of different sizes in a folder."""
    for number in range(6):
        path = tmp_path / "in" / ("deep" if number % 2 else "") / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text_file([f"caption {i} of {number} cats" for i in range(10 * number + 1)]))
    return tmp_path / "in"


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_killed_at_any_moment(format: str, tmp_path: Path) -> None:
    folder, pick = tmp_path / "in", random.Random(0)
    for number in range(80):
        path = folder / str(number % 3) / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text_file([f"caption {i} of {number} cats" for i in range(pick.randrange(5_000))]))
    tokenize_files(folder, tmp_path / "whole", format=format, lists="fixed")
    done = subprocess.run(
        [sys.executable, Path(__file__).parents[1] / "support/killed.py", folder, tmp_path / "out", format, "0"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    killed, in_the_middle = map(int, done.stdout.split())
    assert killed >= 15 and in_the_middle > 0
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_finished_outputs_stay_as_they_are(format: str, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = tokenize_files(inputs, out, format=format)
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob(f"*.{format}")}
    whole = tree(out)
    again = tokenize_files(inputs, out, format=format, resume=True)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert (again.finished_before, again.made_anew, again.texts_now) == (6, 0, 0)
    assert again.counts == first.counts
    (out / "deep" / f"1.{format}").unlink()
    missing = tokenize_files(inputs, out, format=format, resume=True)
    assert (missing.finished_before, missing.made_anew, missing.texts_now) == (5, 0, 11)
    assert missing.counts == first.counts
    assert tree(out) == whole


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_damaged_outputs_are_made_anew(format: str, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tokenize_files(inputs, out, format=format)
    whole = tree(out)
    for number, damage in ((0, lambda content: content[:-5]), (2, lambda _: b""), (4, lambda _: b"something else")):
        path = out / f"{number}.{format}"
        path.write_bytes(damage(path.read_bytes()))
    report = tokenize_files(inputs, out, format=format, resume=True)
    assert (report.finished_before, report.made_anew) == (3, 3)
    assert tree(out) == whole


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_other_settings_or_inputs_are_made_anew(format: str, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tokenize_files(inputs, out, format=format)

    def anew(**settings: object) -> int:
        report = tokenize_files(inputs, out, format=format, resume=True, **settings)  # type: ignore[arg-type]
        assert report.finished_before + report.made_anew == 6
        return report.made_anew

    assert anew() == 0
    for settings in (
        {"max_length": 9},
        {"max_length": 9, "dtype": "int64"},
        {"max_length": 9, "on_null": "skip"},
        {"tokenizer": Tokenizer("open_clip")},
        {"tokenizer": Tokenizer("open_clip", pad_token="a</w>")},
    ):
        assert anew(**settings) == 6, settings
        assert anew(**settings) == 0, settings
    assert anew() == 6
    path = inputs / "2.txt"
    path.write_bytes(b"other\n")
    assert anew() == 1
    stamp = path.stat()
    path.write_bytes(b"third\n")  # Of the same size.
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert anew() == 1
    tokenize_files(inputs, tmp_path / "whole", format=format)
    assert tree(out) == tree(tmp_path / "whole")


def test_an_added_token_is_another_setting(inputs: Path, tmp_path: Path) -> None:
    tok = Tokenizer()
    tokenize_files(inputs, tmp_path / "out", tokenizer=tok)
    tok.add_tokens("caption")
    assert tokenize_files(inputs, tmp_path / "out", tokenizer=tok, resume=True).made_anew == 6
    tok.save_pretrained(tmp_path / "tok")
    loaded = Tokenizer.from_pretrained(tmp_path / "tok")
    assert tokenize_files(inputs, tmp_path / "out", tokenizer=loaded, resume=True).counts.texts == 156


def test_the_index_of_arrays(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tokenize_files(inputs, out, format="npy")
    lines = [json.loads(line) for line in (out / "index.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == ["0.npy", "2.npy", "4.npy", "deep/1.npy", "deep/3.npy", "deep/5.npy"]
    assert [line["rows"] for line in lines] == [len(np.load(out / line["file"])) for line in lines]
    index = (out / "index.jsonl").read_bytes()
    (out / "index.jsonl").write_bytes(index[:-30])  # A line cut short by a kill.
    report = tokenize_files(inputs, out, format="npy", resume=True)
    assert (report.finished_before, report.made_anew) == (5, 1)
    assert (out / "index.jsonl").read_bytes() == index


def test_a_single_file_resumes_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a cat\n")
    for format, finished in (("parquet", 1), ("safetensors", 1), ("npy", 0)):  # A lone .npy has no index.
        out = tmp_path / f"ids.{format}"
        tokenize_files(tmp_path / "a.txt", out)
        assert tokenize_files(tmp_path / "a.txt", out, resume=True).finished_before == finished
        assert tokenize_files(tmp_path / "a.txt", out).finished_before == 0


def test_only_leftovers_of_the_same_outputs_are_removed(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ours, others = out / ".0.parquet.0123456789ab.tmp", [out / ".9.parquet.0123456789ab.tmp", out / ".0.parquet.tmp"]
    for path in (ours, *others):
        path.write_bytes(b"half")
    tokenize_files(inputs, out)
    assert not ours.exists()
    assert all(path.exists() for path in others)


def test_the_record_in_a_file(inputs: Path, tmp_path: Path) -> None:
    tokenize_files(inputs / "2.txt", tmp_path / "ids.parquet", max_length=9)
    record = json.loads(pq.read_metadata(tmp_path / "ids.parquet").metadata[b"cliptok"])
    assert record["settings"]["max_length"] == 9
    assert record["input"]["name"] == "2.txt"
    assert record["counts"]["texts"] == 21
    assert ids_in(tmp_path / "ids.parquet") == expected([f"caption {i} of 2 cats" for i in range(21)], 9)
