"""Runs that can be killed whole, or one worker of them, as when a machine loses power or memory."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any


class Run:
    """A fork of this process that does something, and what it gives."""

    def __init__(self, work: Callable[[], Any]) -> None:
        read, write = os.pipe()
        self.begin = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read)
            os.setsid()
            try:
                with os.fdopen(write, "wb") as pipe:
                    pickle.dump(work(), pipe)
                os._exit(0)
            except BaseException:
                sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
                os._exit(1)
        os.close(write)
        self._pipe = os.fdopen(read, "rb")

    def has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def result(self) -> Any:
        content = self._pipe.read()
        _, status = os.waitpid(self.pid, 0)
        self._pipe.close()
        assert status == 0
        return pickle.loads(content)

    def kill(self) -> None:
        """With all processes that it began."""
        with suppress(ProcessLookupError):  # It is no leader of a session yet, and has begun nothing.
            os.killpg(self.pid, signal.SIGKILL)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._pipe.close()


class Server:
    """A process that runs some code, which prints its address, until it is closed."""

    def __init__(self, code: str) -> None:
        more = {"PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", code]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **more})
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address, "it has not begun"

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


_WORKERS = (b"ray::_do", b"ray::_Actor", b"spawn_main")
"""What the commands of a job's workers have in them: on Ray the function or class, else multiprocessing's."""


def workers(pid: int) -> list[int]:
    """The workers of jobs among the processes that a process has begun: a run, or a Ray cluster."""
    return [found for found, command in _descendants(pid) if any(name in command for name in _WORKERS)]


def _descendants(pid: int) -> Iterator[tuple[int, bytes]]:
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # It has ended.
            for child in map(int, thread.read_text().split()):
                yield child, Path(f"/proc/{child}/cmdline").read_bytes()
                yield from _descendants(child)
