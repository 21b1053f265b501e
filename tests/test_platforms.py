"""What Linux has and others lack: each plain way is taken here by taking away the other."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cliptok import Tokenizer
from cliptok._common import atomic_files
from cliptok._common.atomic_files import atomic_write, remove_leftovers
from cliptok.tokenizer import texts
from support.made import TEXTS, expected, ids_in, parquet


def write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def refuse_open_files(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace files as Windows does, which refuses where one of the two is open or mapped. Returns those replaced."""
    replace, replaced = os.replace, []

    def checked(source: Any, target: Any) -> None:
        names = {os.path.realpath(path) for path in (source, target)}
        handles = {os.path.realpath(handle) for handle in Path("/proc/self/fd").iterdir()}
        mapped = Path("/proc/self/maps").read_text()
        if names & handles or any(name in mapped for name in names):
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(target))
        replace(source, target)
        replaced.append(Path(target))

    monkeypatch.setattr(os, "replace", checked)
    return replaced


on_linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="/proc tells which files are open")


@on_linux
def test_open_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_open_files(monkeypatch)
    write(tmp_path / "a", b"1")
    with (tmp_path / "a").open("rb"), pytest.raises(PermissionError):
        write(tmp_path / "a", b"2")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"1"


@on_linux
@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_jobs_replace_no_file_that_they_hold_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    """Made, found finished, and made anew with other settings, by jobs of one process."""
    from cliptok.batch import tokenize_files

    replaced = refuse_open_files(monkeypatch)
    source = parquet(tmp_path / "in.parquet", TEXTS)
    for length in (77, 77, 9):
        tokenize_files([source], tmp_path / "out", column="caption", format=format, max_length=length, resume=True)
    assert sum(path.suffix == f".{format}" for path in replaced) == 2
    if format == "parquet":
        assert ids_in(tmp_path / "out" / "in.parquet") == expected(TEXTS, 9)


@on_linux
def test_saved_files_are_replaced_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced = refuse_open_files(monkeypatch)
    tok = Tokenizer()
    for _ in range(2):
        tok.save_pretrained(tmp_path)
        tok = Tokenizer.from_pretrained(tmp_path)
    assert len(replaced) == 2 * len(set(replaced)) > 0


def test_a_file_that_is_open_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scanner of viruses looks at a file that was just written."""
    monkeypatch.setattr(atomic_files, "_MAY_BE_REFUSED", True)
    replace, refusals = os.replace, [PermissionError(errno.EACCES, "in use")] * 3

    def refusing(source: Any, target: Any) -> None:
        if refusals:
            raise refusals.pop()
        replace(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    write(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert refusals == []


def test_a_file_that_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_files, "_MAY_BE_REFUSED", True)
    monkeypatch.setattr(atomic_files, "_PAUSES", (0,))
    write(tmp_path / "a", b"1")

    def refuse(source: Any, target: Any) -> None:
        raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match=r"cannot replace .*a: it is open in another program"):
        write(tmp_path / "a", b"2")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_leftover_that_is_still_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leftover = tmp_path / f".a.{'0' * 12}.tmp"
    leftover.touch()
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "in use", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    remove_leftovers([tmp_path / "a"])
    monkeypatch.setattr(Path, "unlink", unlink)
    remove_leftovers([tmp_path / "a"])
    assert not leftover.exists()


def test_folders_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    opened, refused = os.open, []

    def refuse_folders(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if Path(path).is_dir():
            refused.append(path)
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse_folders)
    write(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert refused == [tmp_path]


def test_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and Windows."""
    monkeypatch.setattr(sys, "version_info", (3, 12))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert texts.available_cpus() == os.cpu_count()
    many = ["a photo of a cat"] * 5000
    assert texts.threads_for(many, None) == os.cpu_count()
    assert (Tokenizer().encode_batch(many) == Tokenizer().encode_batch(many, threads=1)).all()


def test_without_fork() -> None:
    """Importing and using everything asks for nothing that only Unix has."""
    source = """
        import os, sys
        for name in ("fork", "forkpty", "register_at_fork", "sched_getaffinity", "getuid", "O_DIRECTORY", "geteuid"):
            if hasattr(os, name):
                delattr(os, name)
        for name in ("fcntl", "resource", "pwd", "grp", "termios"):
            sys.modules[name] = None
        from cliptok import Tokenizer
        from cliptok.cli import main
        import cliptok.batch, cliptok.report
        tok = Tokenizer("open_clip")
        assert tok.encode_batch(["“a” cat"] * 5000).shape == (5000, 77)
        assert main(["count", sys.argv[1], "--input-format", "txt"]) == 0
    """
    from support.scripts import run_python

    assert run_python(source, str(Path(__file__))).startswith("texts")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_terminals_without_unicode(encoding: str) -> None:
    """Windows' consoles and pipes have few characters: what they lack is shown escaped, and nothing fails."""
    done = subprocess.run(
        [sys.executable, "-m", "cliptok", "show", "日本 “a” cat"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"cat" in done.stdout


@pytest.mark.parametrize(
    "use", ["from cliptok import TextEncoder", "import cliptok.data", "Tokenizer()('a', return_tensors='pt')"]
)
def test_without_torch(use: str) -> None:
    """The message says what to install."""
    from support.scripts import run_python

    source = f"""
        import importlib.machinery, sys
        class Without(importlib.machinery.PathFinder):
            @classmethod
            def find_spec(cls, name, path=None, target=None):
                return None if name.partition(".")[0] == "torch" else super().find_spec(name, path, target)
        sys.meta_path[:] = [Without if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
        from cliptok import Tokenizer
        try:
            {use}
        except ImportError as error:
            print(error)
    """
    assert "needs torch" in (said := run_python(source)) and "pip install 'cliptok[torch]'" in said
