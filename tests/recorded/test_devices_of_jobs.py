"""`embed --device cuda:0,cuda:1`: a process for each device, one of which is killed."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import torch

from cliptok.batch import embed_files
from cliptok.cli import main
from support.deadly import Deadly, killing
from support.made import text_file

TEXTS = [f"a photo of {number} cats" for number in range(90)]
SEEN = "SEEN_DEVICES"


def all_finite(values):
    """No kernel computes here whether a weight is finite."""
    return torch.ones((), dtype=torch.bool)


if multiprocessing.current_process().name != "MainProcess":  # a worker, which finds `Watched` here
    torch.isfinite = all_finite


class Watched(Deadly):
    """Says which process it is in and on which devices that has memory, and waits for the first part of the other."""

    def encode_packed(self, *arguments, **options):
        devices = [number for number in range(2) if torch.cuda.memory_allocated(number)]
        path, until = Path(os.environ[SEEN]), time.monotonic() + 200
        with path.open("a") as file:
            file.write(f"{os.getpid()} {devices}\n")
        while len(seen(path)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        return super().encode_packed(*arguments, **options)


def seen(path: Path) -> dict[str, str]:
    """The devices of each process."""
    lines = path.read_text().splitlines()
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def test_a_killed_worker(make, tmp_path, monkeypatch):
    """Each device gets parts. What the killed worker had in hand is made again, and the job finishes."""
    monkeypatch.setenv(SEEN, str(tmp_path / "seen"))
    make("cpu", torch.float32).save_pretrained(tmp_path / "model")
    tries, out = tmp_path / "tries", tmp_path / "out"
    (tmp_path / "a.txt").write_bytes(text_file([*TEXTS, killing(tries, 1), *TEXTS]))
    options = {"model": tmp_path / "model", "tokenizer": Watched(), "format": "npy", "part_rows": 10}
    before = torch.cuda.memory_allocated(0)
    report = embed_files(tmp_path / "a.txt", out, device="cuda:0,cuda:1", **options)
    assert torch.cuda.memory_allocated(0) == before
    assert tries.stat().st_size == 2 and report.texts_now == 181
    assert np.load(out / "a.npy").shape == (181, 48)
    processes = seen(tmp_path / "seen")
    assert set(processes.values()) == {"[0]", "[1]"}  # Each has memory on its own.
    assert len(processes) > 2  # Where one dies the other is ended too, and both are begun anew.
    monkeypatch.setattr(torch, "isfinite", all_finite)
    assert embed_files(tmp_path / "a.txt", out, device="cuda:1", resume=True, **options).finished_before == 1


def test_a_full_gpu(make, tmp_path, monkeypatch, capsys):
    """One line that says what to do, and the job goes on once there is room."""
    make("cpu", torch.float32).save_pretrained(tmp_path / "model")
    (tmp_path / "a.txt").write_bytes(text_file(TEXTS))
    command = ["embed", str(tmp_path / "a.txt"), "-o", str(tmp_path / "out"), "--format", "npy", "--device", "cuda:0"]
    command += ["--model", str(tmp_path / "model"), "--dtype", "float16"]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        assert main(command) == 2
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("cliptok: out of memory: CUDA out of memory. Tried to allocate ")
    assert said.endswith("; a smaller --batch-size or fewer --processes need less, and a job goes on with --resume")
    monkeypatch.setattr(torch, "isfinite", all_finite)
    assert main([*command, "--resume"]) == 0
    assert np.load(tmp_path / "out" / "a.npy").shape == (90, 48)
