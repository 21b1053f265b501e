"""Which interpreters of this machine the package supports; run, it prints them, the oldest first."""

import os
import shutil
import subprocess
from pathlib import Path


def pythons() -> list[Path]:
    """The interpreters that the package supports, one of each version, from the path or from pyenv; oldest first."""
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = []
    for minor in range(10, 20):
        name = f"python3.{minor}"
        on_path = shutil.which(name)
        for python in (*([on_path] if on_path else []), *sorted(installed.glob(f"3.{minor}.*/bin/{name}"))):
            # pyenv's stand-ins are on the path also where there is nothing behind them.
            if subprocess.run([python, "-c", "import venv"], capture_output=True).returncode == 0:
                found.append(Path(python))
                break
    return found


if __name__ == "__main__":
    print(*pythons(), sep="\n")
