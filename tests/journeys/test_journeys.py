"""The journeys as scripts of their own. With CLIPTOK_WHEEL they run in a fresh environment that has the built wheel.

`make dist` runs them so. Nothing of the source tree can be seen there: they are copied away from it.
"""

import os
import shutil
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
        if os.environ.get("CI"):
            pytest.skip("`make dist` runs the journeys, with the wheel that it builds")
        return sys.executable
    folder = tmp_path_factory.mktemp("fresh") / "env"
    found = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    # The versions of the other tests' environment, so that all but the wheel comes from uv's cache.
    install = ["pip", "install", "--quiet", "--python", found, "--constraint", HERE.parents[1] / "constraints.txt"]
    subprocess.run([*uv, *install, f"cliptok[torch,batch] @ {Path(wheel).resolve().as_uri()}"], check=True)
    return str(found)


@pytest.mark.parametrize("name", SCRIPTS)
def test_journey(name: str, python: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    script = shutil.copy(HERE / name, tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = [python, "-c", "import cliptok; print(cliptok.__file__)"]
    if "CLIPTOK_WHEEL" in os.environ:
        imported = Path(subprocess.check_output(where, text=True, cwd=tmp_path, env=environment).strip())
        assert imported.is_relative_to(Path(python).parents[1])
    done = subprocess.run(
        [python, script],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
