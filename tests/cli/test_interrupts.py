"""Ctrl-C and the signals that end a process: an end within half a second of the clock, one line, nothing half."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from support.made import text_file
from support.signals import ATTEMPTS

COMMAND = [sys.executable, "-m", "cliptok"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/schedstat").is_file(), reason="the wait for a CPU is read as on Linux"
)

LIMIT = 0.5
"""Seconds of the clock without those in which the process could run and other processes had the CPU."""


def waited_for_a_cpu(pid: int) -> float:
    """Seconds so far, of the main thread."""
    with suppress(OSError, IndexError):  # It has ended.
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="utf-8").split()[1]) / 1e9
    return 0.0


def ends_promptly(test: Callable[..., float]) -> Callable[..., None]:
    """A test that returns how long an end took: one of a few attempts, each in its own folder, must be in time."""

    @wraps(test)
    def wrapped(tmp_path: Path, **arguments: Any) -> None:
        waits: list[float] = []
        while not waits or waits[-1] >= LIMIT:
            assert len(waits) < ATTEMPTS, waits
            folder = tmp_path / f"attempt-{len(waits)}"
            folder.mkdir()
            waits.append(test(tmp_path=folder, **arguments))

    return wrapped


def interrupted(
    number: int, arguments: list[Any], started: Callable[[], bool], stdin: Any = subprocess.DEVNULL
) -> "tuple[float, subprocess.CompletedProcess[str]]":
    """Seconds from the signal to the end, and how it ended. The signal comes once `started` says so."""
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        limit = time.monotonic() + 300
        while process.poll() is None and not started():
            if time.monotonic() > limit:
                process.kill()
            time.sleep(0.01)
        sent, before, waited = time.monotonic(), waited_for_a_cpu(process.pid), 0.0
        process.send_signal(number)
        while process.poll() is None and time.monotonic() < sent + 60:
            waited = max(waited, waited_for_a_cpu(process.pid) - before)
            time.sleep(0.005)
        seconds = time.monotonic() - sent - waited
        out, error = process.communicate(timeout=1)
    return seconds, subprocess.CompletedProcess(arguments, process.returncode, out, error)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@ends_promptly
def test_a_job_says_how_far_it_came(number: int, tmp_path: Path) -> float:
    (tmp_path / "in").mkdir()
    for name in range(300):
        (tmp_path / "in" / f"{name:03}.txt").write_bytes(
            text_file([f"caption {i} of {name} cats" for i in range(9000)])
        )
    out = tmp_path / "out"
    arguments = ["tokenize", tmp_path / "in", "-o", f"{out}/", "--threads", "1"]  # not done before the signal comes
    seconds, done = interrupted(number, arguments, lambda: len(list(out.glob("*.parquet"))) >= 3)
    assert done.returncode == 128 + number
    (line,) = done.stderr.splitlines()
    assert line.startswith("cliptok: interrupted with ") and "of 300 files finished" in line
    assert line.endswith(f"to go on: cliptok tokenize {tmp_path}/in -o {out}/ --threads 1 --resume")
    assert not [path for path in out.iterdir() if path.suffix != ".parquet"]
    return seconds


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@ends_promptly
def test_parts_are_kept(number: int, tmp_path: Path) -> float:
    """The part in hand is dropped: to finish it would take longer than the half second that an end may take."""
    (tmp_path / "a.txt").write_bytes(text_file([f"caption {i} of many cats" for i in range(400_000)]))
    parts = tmp_path / "out" / ".a.parquet.parts"
    arguments = ["tokenize", tmp_path / "a.txt", "-o", f"{tmp_path}/out/", "--part-rows", "2000"]
    seconds, done = interrupted(number, arguments, lambda: len(list(parts.glob("*.part"))) >= 3)
    assert done.returncode == 128 + number
    kept = len(list(parts.iterdir()))
    assert all(path.suffix == ".part" for path in parts.iterdir()) and kept >= 3
    (line,) = done.stderr.splitlines()
    assert f"0 of 1 files finished, 0 texts in them and {kept} parts of others kept (" in line
    again = shlex.join(["cliptok", *map(str, arguments), "--resume"])
    assert " kB); the rest needs about " in line and line.endswith(f" of disk; to go on: {again}")
    return seconds


@pytest.mark.parametrize("command", ["count", "report"])
@ends_promptly
def test_other_commands_say_so(command: str, tmp_path: Path) -> float:
    """A stream that never ends, once 20 MB of it are taken."""
    read, write = os.pipe()
    written = 0

    def feed() -> None:
        nonlocal written
        with suppress(BrokenPipeError), os.fdopen(write, "wb", buffering=0) as pipe:
            while True:
                written += pipe.write(b"a photo of a cat\n" * 4096) or 0

    feeder = threading.Thread(target=feed)
    feeder.start()
    arguments = [command, "-", *(["-o", tmp_path / "page.html"] if command == "report" else [])]
    with os.fdopen(read, "rb") as stream:
        seconds, done = interrupted(signal.SIGINT, arguments, lambda: written > 20_000_000, stream)
    feeder.join()
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "cliptok: interrupted\n")
    return seconds


@ends_promptly
def test_embed_says_how_far_it_came(tmp_path: Path) -> float:
    """In the middle of a part, whose batches take a while each."""
    from cliptok.encoder import TextConfig, TextEncoder

    TextEncoder(TextConfig(width=256, layers=4, heads=4, mlp=1024)).save_pretrained(tmp_path / "model")
    (tmp_path / "in.txt").write_bytes(text_file([f"caption {i} of {i * 7919 % 1009} cats" for i in range(60_000)]))
    log = tmp_path / "log"
    arguments = ["embed", tmp_path / "in.txt", "-o", tmp_path / "out.npy", "--model", tmp_path / "model"]
    arguments += ["--part-rows", 4096, "--device", "cpu", "--profile", "transformers", "--json-log", log]
    seconds, done = interrupted(signal.SIGINT, arguments, lambda: log.is_file() and log.stat().st_size > 0)
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1].startswith("cliptok: interrupted with 0 of 1 files finished")
    return seconds
