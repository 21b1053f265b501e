"""What jobs that were killed have left: parts of outputs that are not finished, and temporary files."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from cliptok._common.atomic_files import leftovers
from cliptok._common.errors import BadInputError
from cliptok.batch.formats import FORMATS
from cliptok.batch.writing.parts import folder_of, output_of
from cliptok.tokenizer.calls.options import check_path


class Leftover(NamedTuple):
    """A temporary file, or a folder of parts."""

    path: str
    """Where it was."""
    size: int
    """Bytes."""


def clean_outputs(out: str | os.PathLike[str], dry_run: bool = False) -> list[Leftover]:
    """Remove what jobs have left of outputs in a folder and below, or of one output; with `dry_run` only list it.

    A job with `resume` then begins unfinished outputs anew. Nothing else is touched. Not for a folder that a job is
    writing to. Raises BadInputError where there is no such folder, and no such output and nothing left of it.
    """
    root = Path(check_path("out", out, "a folder of outputs, or one of them"))
    if root.is_dir():
        folders = [root, *(path for path in root.rglob("*") if path.is_dir() and output_of(path) is None)]
        found = [path for folder in folders for path in _left_in(folder)]
    elif root.suffix[1:] in FORMATS and root.parent.is_dir():
        found = [path for path in _left_in(root.parent) if path == folder_of(root) or _is_temporary_of(path, root)]
        if not found and not root.is_file():
            raise BadInputError(f"{root}: no such output, and nothing left of it")
    else:
        raise BadInputError(f"{root}: no such file or folder")
    cleaned = [Leftover(str(path), _size(path)) for path in sorted(found)]
    for path in found if not dry_run else []:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return cleaned


def _left_in(folder: Path) -> list[Path]:
    parts = [
        path
        for path in folder.glob(".*.parts")
        if path.is_dir() and not path.is_symlink() and output_of(path) is not None
    ]
    # Those of other names are another program's, or a tokenizer's that is being saved.
    names = ("index.jsonl", *(f".{format}" for format in FORMATS))
    return parts + [path for path, name in leftovers(folder) if name.endswith(names)]


def _is_temporary_of(path: Path, output: Path) -> bool:
    return path.name.startswith(f".{output.name}.") and path.suffix == ".tmp"


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return path.stat().st_size
