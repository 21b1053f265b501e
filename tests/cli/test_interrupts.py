"""Ctrl-C and the signals that end a process: an end within half a second, one line, nothing half written."""

import os
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from support.made import text_file

COMMAND = [sys.executable, "-m", "cliptok"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="the CPU's time is read as on Linux")

LIMIT = 0.5
"""Seconds of the CPU, since other processes take some of a clock's."""


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_of_children() -> float:
    """What all processes that this one started, and that have ended, used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def interrupted(
    number: int, arguments: list[Any], started: Callable[[], bool], stdin: Any = subprocess.DEVNULL
) -> "tuple[float, subprocess.CompletedProcess[str]]":
    """Seconds from the signal to the end, and how it ended. The signal comes once `started` says so."""
    before = cpu_seconds_of_children()
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
        used = cpu_seconds(process.pid)
        process.send_signal(number)
        out, error = process.communicate(timeout=60)
    after = cpu_seconds_of_children() - before - used
    return after, subprocess.CompletedProcess(arguments, process.returncode, out, error)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_job_says_how_far_it_came(number: int, tmp_path: Path) -> None:
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
    assert seconds < LIMIT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_parts_are_kept(number: int, tmp_path: Path) -> None:
    """The part in hand is dropped: to finish it would take longer than the half second that an end may take."""
    (tmp_path / "a.txt").write_bytes(text_file([f"caption {i} of many cats" for i in range(400_000)]))
    parts = tmp_path / "out" / ".a.parquet.parts"
    arguments = ["tokenize", tmp_path / "a.txt", "-o", f"{tmp_path}/out/", "--part-rows", "2000"]
    seconds, done = interrupted(number, arguments, lambda: len(list(parts.glob("*.part"))) >= 3)
    assert done.returncode == 128 + number and seconds < LIMIT
    kept = len(list(parts.iterdir()))
    assert all(path.suffix == ".part" for path in parts.iterdir()) and kept >= 3
    (line,) = done.stderr.splitlines()
    assert f"0 of 1 files finished, 0 texts in them and {kept} parts of others kept (" in line
    again = shlex.join(["cliptok", *map(str, arguments), "--resume"])
    assert " kB); the rest needs about " in line and line.endswith(f" of disk; to go on: {again}")


@pytest.mark.parametrize("command", ["count", "report"])
def test_other_commands_say_so(command: str, tmp_path: Path) -> None:
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
    assert seconds < LIMIT


def test_embed_says_how_far_it_came(tmp_path: Path) -> None:
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
    assert seconds < LIMIT
