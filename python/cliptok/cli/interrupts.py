"""Ctrl-C and the signals that end a process: one line that says how far a job came, and how to go on."""

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cliptok._common.urls import shown


class Terminated(KeyboardInterrupt):  # Handled wherever KeyboardInterrupt is.
    """SIGINT, SIGTERM or SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def terminating() -> Iterator[None]:
    """Within the block Ctrl-C, SIGTERM and SIGHUP raise Terminated, so that temporary files are removed.

    It replaces an error that the block ends with behind such a signal: a library may have taken the exception for a
    failure of its own, as the imports of some C extensions do.
    """
    seen: list[int] = []

    def terminate(number: int, frame: Any) -> None:
        seen.append(number)
        raise Terminated(number)

    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP.
        number = getattr(signal, name, None)
        # A process that was started to ignore it, by nohup, goes on ignoring it.
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = signal.signal(number, terminate)
    try:
        yield
    except Exception as error:
        if seen:
            raise Terminated(seen[0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say_interrupted(error: KeyboardInterrupt, arguments: Sequence[str]) -> int:
    """Print the line and return the exit status, 128 and the signal's number."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Terminated):
        cause = cause.__cause__
    status = 128 + (cause.number if cause is not None else signal.SIGINT)
    report = getattr(error, "report", None)
    if report is None:
        print("cliptok: interrupted", file=sys.stderr)
        return status
    total: int = error.files  # type: ignore[attr-defined] # A JobInterrupted has both.
    kept = [word for word in arguments if word not in ("--resume", "--overwrite")]
    again = shlex.join(["cliptok", *map(shown, kept), "--resume"])
    from cliptok.batch.disk import in_units  # Loaded already, with the job.

    parts = ""
    if report.parts:
        parts = f" and {report.parts:,} parts of others kept ({in_units(report.parts_bytes)})"
    if report.disk_needed:
        parts += f"; the rest needs about {in_units(report.disk_needed)} of disk"
    print(
        f"cliptok: interrupted with {report.files:,} of {total:,} files finished, {report.counts.texts:,} texts in"
        f" them{parts}; to go on: {again}",
        file=sys.stderr,
    )
    return status
