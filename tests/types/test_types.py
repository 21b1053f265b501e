"""mypy and pyright find ten planted mistakes, and nothing in correct uses, both in strict mode."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MISTAKES = {
    number
    for number, line in enumerate((HERE / "mistakes.py").read_text().splitlines(), 1)
    if re.search(r"# \d+$", line)
}


def mypy(path: Path, folder: Path) -> set[int]:
    pytest.importorskip("mypy", reason="mypy is missing (the group lint)")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return {int(found[1]) for found in re.finditer(rf"{path.name}:(\d+): error", done.stdout)}


def pyright(path: Path, folder: Path) -> set[int]:
    command = shutil.which("basedpyright", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("basedpyright is missing (the group lint)")
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict", "reportMissingTypeStubs": false}')
    done = subprocess.run(
        [command, f"--project={folder}", f"--pythonpath={sys.executable}", str(path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    return {int(found[1]) for found in re.finditer(rf"{path.name}:(\d+):\d+ - error", done.stdout)}


@pytest.mark.parametrize("check", [mypy, pyright])
def test_planted_mistakes_are_found(check: object, tmp_path: Path) -> None:
    assert len(MISTAKES) == 10
    assert callable(check)
    assert check(HERE / "mistakes.py", tmp_path) >= MISTAKES


@pytest.mark.parametrize("check", [mypy, pyright])
def test_correct_uses_pass(check: object, tmp_path: Path) -> None:
    assert callable(check)
    assert check(HERE / "uses.py", tmp_path) == set()
