"""`embed --cache`: nothing is encoded twice, in whichever file or run, and a killed job resumes byte for byte."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("lmdb")

from cliptok.batch import embed_files
from cliptok.cli import main
from cliptok.encoder import EmbeddingCache
from support.made import text_file, tree

TEXTS = [f"a photo of {number % 50} cats" for number in range(120)]


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_bytes(text_file(TEXTS[number * 40 : number * 40 + 40]))
    return folder


def embed(captions: Path, out: Path, model: Path, **more: Any) -> Any:
    return embed_files(captions, out, model=model, device="cpu", part_rows=16, **more)


def test_repeats_are_found_in_other_parts_files_and_runs(captions: Path, model: Path, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "cache", max_bytes=1 << 26)
    plain = embed(captions, tmp_path / "plain", model)
    assert plain.reused is None and "not encoded" not in str(plain)
    first = embed(captions, tmp_path / "first", model, cache=cache)
    assert first.reused == len(TEXTS) - 50 == 70 and first.texts_now == 120
    assert "70 (58%) not encoded" in str(first) and json.loads(first.to_json())["reused"] == 70
    again = embed(captions, tmp_path / "again", model, cache=str(tmp_path / "cache"))
    assert again.reused == 120 and tree(tmp_path / "again") == tree(tmp_path / "first")
    for number in range(3):
        wanted, found = (
            np.array(pq.read_table(tmp_path / folder / f"{number}.parquet").column(0).to_pylist(), np.float32)
            for folder in ("plain", "first")
        )
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert embed(captions, tmp_path / "pooled", model, cache=cache, output="pooler_output").reused == 70


KILLED = """
import os, sys
from cliptok.batch import embed_files
from cliptok.encoder import EmbeddingCache
inputs, out, model, cache, turns = sys.argv[1:]
left, put = int(turns), EmbeddingCache.put
def killed(self, *given):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    put(self, *given)
EmbeddingCache.put = killed
embed_files(inputs, out, model=model, device="cpu", part_rows=16, cache=cache, resume=True)
"""


def test_a_killed_job_resumes_byte_for_byte(captions: Path, model: Path, tmp_path: Path) -> None:
    whole = embed(captions, tmp_path / "whole", model, cache=tmp_path / "cache-1")
    assert whole.reused == 70
    windows = 3  # that are stored before kill -9: in the middle of the second file
    command = [sys.executable, "-c", KILLED, captions, tmp_path / "out", model, tmp_path / "cache-2", windows]
    assert subprocess.run(list(map(str, command)), check=False).returncode == -9
    rest = embed(captions, tmp_path / "out", model, cache=tmp_path / "cache-2", resume=True)
    assert rest.reused is not None and tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_the_command(captions: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["embed", str(captions), "-o", str(tmp_path / "out"), "--model", str(model), "--device", "cpu"]
    cached = [*command, "--cache", str(tmp_path / "cache"), "--overwrite"]
    assert main([*cached, "--cache-size", "64M"]) == 0
    assert "not encoded: in the cache" in capsys.readouterr().err
    assert main([*cached, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reused"] == 120
    (tmp_path / "file").write_text("")
    for wrong, message in (
        ([*command, "--cache-size", "1G"], "--cache-size is for a --cache"),
        ([*cached, "--cache-size", "5"], "max_bytes is 5"),
        ([*cached, "--output", "hidden"], "cache is for embeddings"),
        ([*command, "--overwrite", "--cache", str(tmp_path / "file")], "file"),
    ):
        assert main(wrong) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*cached, "--cache-size", "much"])
    assert "'much' is no number of bytes" in capsys.readouterr().err
