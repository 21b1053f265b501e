"""Running Python in a process of its own, with a time limit."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import IO


def names_in(folder: Path) -> list[str]:
    """What is in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def run_python(
    source: str,
    *arguments: str,
    timeout: float = 60,
    options: tuple[str, ...] = (),
    stdin: IO[str] | None = None,
    **environment: str,
) -> str:
    """What a script prints. Fails unless it ends well, within the time, and with nothing on standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", textwrap.dedent(source), *arguments],
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stderr == ""
    return done.stdout
