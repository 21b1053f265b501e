"""Fetch transformers' own test suite, as far as its source distribution has it, into `.venv/suites`.

The version is the installed one. `tests/fits` runs it on our tokenizer.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(sys.argv[1])


def main() -> None:
    """Write `transformers_suite/test_*.py`, and the version they are of into `transformers_suite/version`."""
    version = importlib.metadata.version("transformers")
    with tempfile.TemporaryDirectory() as temporary:
        options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest", temporary]
        wanted = f"transformers=={version}"
        subprocess.run([sys.executable, "-m", "pip", "download", *options, wanted], check=True)
        suite = FOLDER / "transformers_suite"
        suite.mkdir(parents=True, exist_ok=True)
        with tarfile.open(next(Path(temporary).glob("*.tar.gz"))) as archive:
            for member in archive:
                parts = Path(member.name).parts
                if member.isfile() and len(parts) == 3 and parts[1] == "tests":
                    content = archive.extractfile(member)
                    assert content is not None
                    (suite / parts[2]).write_bytes(content.read())
        (suite / "version").write_text(version)


if __name__ == "__main__":
    main()
