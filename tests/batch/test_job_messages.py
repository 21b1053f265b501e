"""What is said of arguments and inputs of jobs, word for word, and limits at their exact value."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cliptok.batch import tokenize_files
from cliptok.batch.job_arguments import MAX_PROCESSES, check_running, keeping, log_path
from cliptok.batch.reading.reader import Reading
from cliptok.batch.writing.arrow_output import without_dictionaries
from cliptok.batch.writing.parquet_footer import Footer

WORDS = pa.dictionary(pa.int8(), pa.string())
RUNNING = [
    ({"ray": 1}, TypeError, "ray is of type int; expected True or the address of a cluster"),
    ({"progress": "line"}, ValueError, "progress is 'line'; choose True, False, None or 'lines'"),
    ({"progress": 1}, ValueError, "progress is 1; choose True, False, None or 'lines'"),
    ({"part_rows": 0}, ValueError, "part_rows is 0; expected 1 or more"),
    ({"processes": 0}, ValueError, "processes is 0; expected 1 or more"),
    (
        {"processes": MAX_PROCESSES + 1},
        ValueError,
        f"processes is {MAX_PROCESSES + 1}; expected at most {MAX_PROCESSES:,}",
    ),
    ({"processes": 2, "ray": True}, ValueError, "processes are of this machine, and ray has its own"),
]
KEPT = [
    ({"keep": 1}, TypeError, "keep is 1; expected names of columns"),
    ({"keep": ["a", 1]}, TypeError, "keep is ['a', 1]; expected names of columns"),
    ({"keep": "a", "format": "npy"}, ValueError, "keep needs Parquet, Arrow, Lance or tar; npy has no other columns"),
    ({"keep": ["a", "*"]}, ValueError, "keep has '*' and other names; '*' alone keeps all other columns"),
    ({"members": "npy"}, ValueError, "members is for tar; parquet has none"),
]


def running(**changes: Any) -> None:
    given = {"ray": False, "progress": None, "part_rows": None, "processes": None, **changes}
    check_running(given["ray"], given["progress"], given["part_rows"], given["processes"])


@pytest.mark.parametrize(("changes", "kind", "message"), RUNNING)
def test_how_a_job_runs(changes: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as error:
        running(**changes)
    assert str(error.value) == message


def test_how_a_job_may_run() -> None:
    for progress in (True, False, None, "lines"):
        running(progress=progress)
    running(part_rows=1, processes=1)
    running(processes=MAX_PROCESSES)
    running(processes=1, ray=False)


@pytest.mark.parametrize(("changes", "kind", "message"), KEPT)
def test_what_is_kept(changes: dict[str, Any], kind: type[Exception], message: str) -> None:
    given = {"keep": (), "format": "parquet", "members": None, **changes}
    with pytest.raises(kind) as error:
        keeping(Reading(), given["keep"], given["format"], given["members"])
    assert str(error.value) == message


def test_what_may_be_kept() -> None:
    assert keeping(Reading(), "a", "parquet", None) == Reading(keep=("a",))
    assert keeping(Reading(), ["a", "b"], "arrow", None) == Reading(keep=("a", "b"))
    assert keeping(Reading(), ["*"], "lance", None) == Reading(keep=("*",))
    assert keeping(Reading(), (), "npy", None) == Reading()
    assert keeping(Reading(), "a", "tar", None) == Reading(keep=("a",), samples="npy")
    assert keeping(Reading(), "a", "tar", "safetensors") == Reading(keep=("a",), samples="safetensors")


def test_the_log() -> None:
    assert log_path(None, []) is None
    assert log_path("log.jsonl", []) == Path("log.jsonl")
    with pytest.raises(TypeError) as error:
        log_path(1, [])
    assert str(error.value) == "json_log is of type int; expected a file to add lines to"


@pytest.mark.parametrize("last", ["\ud7ff", "\ue000"])
@pytest.mark.parametrize("bad", [b"\x80", b"\xff"])
def test_names_of_columns_that_are_not_utf8(tmp_path: Path, last: str, bad: bytes) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(f"{last},text\n1,a cat\n".encode())
    tokenize_files(source, tmp_path / "out", column="text", progress=False)
    source.write_bytes(b"x" + bad + b",text\n1,a cat\n")
    with pytest.raises(ValueError, match="column 1") as error:
        tokenize_files(source, tmp_path / "out2", column="text", progress=False)
    name = f"x{bad.decode(errors='surrogateescape')}"
    assert f"the name of column 1 in the first row is not UTF-8: {name!r}" in str(error.value)


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (WORDS, pa.string()),
        (pa.list_(WORDS), pa.list_(pa.string())),
        (pa.large_list(WORDS), pa.large_list(pa.string())),
        (
            pa.struct([("a", pa.list_(WORDS)), ("b", pa.int8())]),
            pa.struct([("a", pa.list_(pa.string())), ("b", "int8")]),
        ),
        (pa.int8(), pa.int8()),
    ],
)
def test_types_without_dictionaries(kind: pa.DataType, plain: pa.DataType) -> None:
    assert without_dictionaries(kind) == plain


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"PAR1" + struct.pack("<I", 1) + b"PAR1", b"PAR1" + bytes(1) + struct.pack("<I", 1) + b"PAR2"],
)
def test_files_without_a_footer(content: bytes) -> None:
    with pytest.raises(ValueError, match="footer") as error:
        Footer.read(io.BytesIO(content), len(content))
    assert str(error.value) == "no footer of a Parquet file"
