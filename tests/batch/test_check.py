"""Checksums find every damaged byte, and inputs that change while they are read are not taken for whole."""

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cliptok.batch import BadInputError, check_outputs, tokenize_files
from support.made import text_file, tree

TEXTS = [f"caption {number} of a cat" for number in range(50)]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    for name in ("in/a.txt", "in/deep/b.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text_file(TEXTS))
    return tmp_path / "in"


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_every_flipped_byte_is_found(format: str, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tokenize_files(inputs, out, format=format)
    whole = tree(out)
    assert check_outputs(out) == []
    path, pick = out / f"a.{format}", random.Random(0)
    content = path.read_bytes()
    places = {0, 3, 8, len(content) - 1, len(content) - 9, *(pick.randrange(len(content)) for _ in range(60))}
    for place in sorted(places):
        damaged = bytearray(content)
        damaged[place] ^= 1 << pick.randrange(8)
        path.write_bytes(damaged)
        (found,) = check_outputs(out)
        assert found.path == str(path), place
    report = tokenize_files(inputs, out, format=format, resume=True, check=True)
    assert (report.finished_before, report.made_anew) == (1, 1)
    assert tree(out) == whole


@pytest.mark.parametrize("shape", [["x"], [None], [[1]], [1.5]])
def test_a_number_of_rows_that_is_none(shape: list[object], inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "ids.safetensors"
    tokenize_files(inputs / "a.txt", out)
    content = out.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for tensor in header.values():
        if "shape" in tensor:
            tensor["shape"] = shape
    changed = json.dumps(header).encode()
    out.write_bytes(len(changed).to_bytes(8, "little") + changed + content[8 + length :])
    (found,) = check_outputs(out)
    assert "damaged" in found.what


def test_single_files_and_what_is_missing(inputs: Path, tmp_path: Path) -> None:
    tokenize_files(inputs / "a.txt", tmp_path / "ids.parquet")
    assert check_outputs(tmp_path / "ids.parquet") == []
    tokenize_files(inputs / "a.txt", tmp_path / "ids.npy")
    (found,) = check_outputs(tmp_path / "ids.npy")  # One alone has no record.
    assert "record" in found.what
    tokenize_files(inputs, tmp_path / "out", format="npy")
    (tmp_path / "out" / "deep" / "b.npy").unlink()
    (found,) = check_outputs(tmp_path / "out")
    assert found.path.endswith("b.npy") and "missing" in found.what
    with pytest.raises(BadInputError, match="no output"):
        check_outputs(inputs)


def test_the_command(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tokenize_files(inputs, out)

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "cliptok", "check", out], capture_output=True, text=True, timeout=60
        )

    done = run()
    assert (done.returncode, done.stdout) == (0, "")
    (out / "a.parquet").write_bytes((out / "a.parquet").read_bytes()[:-1])
    done = run()
    assert (done.returncode, done.stdout) == (2, f"{out}/a.parquet: damaged: it cannot be read\n")


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_an_input_that_changes_while_it_is_read(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cliptok.batch.reading.lines as lines

    path = tmp_path / "a.txt"
    path.write_bytes(text_file(TEXTS) * 100)
    blocks = lines.blocks_of_lines

    def changing(stream: object, offset: int) -> object:
        for number, block in enumerate(blocks(stream, offset)):
            if number == 1:
                content = path.read_bytes()
                time.sleep(0.01)
                new = {"grow": content + b"more\n", "shrink": content[:-6], "rewrite": content[::-1]}[change]
                path.write_bytes(new)
            yield block

    monkeypatch.setattr(lines, "BLOCK", 50_000)
    monkeypatch.setattr(lines, "blocks_of_lines", changing)
    with pytest.raises(BadInputError, match=r"a\.txt: it changed while it was read"):
        tokenize_files(path, tmp_path / "out")
    assert not list(tmp_path.glob("out/*.parquet"))
    assert threading.active_count() < 20
