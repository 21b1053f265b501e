"""Files that are files: opening a pipe waits for ever, and a link to nothing is not the same as no file."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def is_there(path: Path) -> bool:
    """Whether there is a file of this name. Raises FileNotFoundError where the name is there and no file."""
    if path.is_file():
        return True
    if os.path.lexists(path):
        check_regular(path)
    return False


def check_regular(path: Path) -> None:
    """Raise FileNotFoundError that says what is in the place of a file: nothing, a folder, a pipe, a device."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError) as error:
        if not os.path.lexists(path):
            raise FileNotFoundError(f"{path}: no such file") from error
        if not path.is_symlink():
            raise
        raise FileNotFoundError(f"{path} is a link to no file ({path.readlink()})") from error
    if kind != stat.S_IFREG:
        raise FileNotFoundError(f"{path} is {_KINDS.get(kind, 'a device')}; expected a file")


def open_regular(path: Path) -> BinaryIO:
    """The file, open for reading. Raises FileNotFoundError as `check_regular`."""
    check_regular(path)
    return path.open("rb")
