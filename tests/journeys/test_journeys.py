"""The journeys as scripts of their own. With CLIPTOK_WHEEL they run in a fresh environment that has the built wheel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPTS = sorted(path.name for path in HERE.glob("*.py") if not path.name.startswith("test_"))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter that runs them."""
    wheel = os.environ.get("CLIPTOK_WHEEL")
    if wheel is None:
        return sys.executable
    folder = tmp_path_factory.mktemp("fresh") / "env"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    found = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", found]
    subprocess.run([*install, f"cliptok[torch,batch] @ {Path(wheel).resolve().as_uri()}"], check=True)
    return str(found)


@pytest.mark.parametrize("name", SCRIPTS)
def test_journey(name: str, python: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    done = subprocess.run(
        [python, HERE / name],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
