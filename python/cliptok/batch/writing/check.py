"""Reading outputs back, to find what a disk or a copy has damaged."""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from cliptok._common.errors import BadInputError
from cliptok.batch.formats import FORMATS
from cliptok.batch.stores.paths import AnyPath, as_path
from cliptok.batch.writing.lance_dataset import is_dataset
from cliptok.batch.writing.records import Index, trouble_with
from cliptok.tokenizer.calls.options import check_path


class Damage(NamedTuple):
    """An output that is not as it was written."""

    path: str
    """The file."""
    what: str
    """What is wrong with it."""


def check_outputs(
    out: str | os.PathLike[str], on_checked: Callable[[AnyPath], None] = lambda path: None
) -> list[Damage]:
    """Read back an output, or all outputs in a folder and below, and compare them with the checksums of their records.

    `on_checked` hears of each. Raises BadInputError where there is no output. A single .npy file outside a folder with
    an index has no record, and is named as such.
    """
    root = as_path(check_path("out", out, "a folder of outputs, or one of them"))
    if root.is_file() and root.suffix[1:] not in FORMATS:
        raise BadInputError(f"{root} is no output; they end in {', '.join(f'.{format}' for format in FORMATS)}")
    is_one = root.is_file() or is_dataset(root)
    paths = [root] if is_one else sorted(_outputs(root))
    indexes: dict[AnyPath, Index] = {}
    for folder in {root if root.is_dir() else root.parent, *(path.parent for path in paths)}:
        index = Index(folder)
        if index.path.is_file():
            index.read()
            indexes[folder] = index
    missing = {index.folder / name for index in indexes.values() for name in index.records} - set(paths)
    if is_one:
        missing = set()
    if not paths and not missing:
        raise BadInputError(f"{root}: no output in it; they end in {', '.join(f'.{format}' for format in FORMATS)}")
    found = [Damage(str(path), "missing, though the index has it") for path in sorted(missing)]
    for path in paths:
        trouble = trouble_with(path, next((indexes[above] for above in path.parents if above in indexes), None))
        if trouble is not None:
            found.append(Damage(str(path), trouble))
        on_checked(path)
    return found


def _outputs(root: AnyPath) -> Iterator[AnyPath]:
    if not root.is_dir():
        raise BadInputError(f"{root}: no such file or folder")
    for path in root.rglob("*"):
        if any(is_dataset(above) for above in path.parents):  # A file of a dataset.
            continue
        if path.suffix[1:] in FORMATS and (path.is_file() or is_dataset(path)) and not path.name.startswith("."):
            yield path
