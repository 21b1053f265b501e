"""Bad files, bad arguments and full disks: an error that says where, nothing half written, nothing lost in silence."""

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cliptok._common.prefetch import write_in_background
from cliptok.batch import BadInputError, tokenize_files
from support.made import TEXTS, csv, expected, ids_in, json_lines, packed, parquet, tar, text_file, tree

MANY = [f"caption {number} of a cat" for number in range(20_000)]


def fails(path: Path, message: str, **arguments: Any) -> None:
    """The job ends with an error that names the file and says `message`, and writes nothing."""
    out = path.parent / "out"
    with pytest.raises(BadInputError) as error:
        tokenize_files(path, out, **arguments)
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert not out.exists() or tree(out) == {}


def test_nulls(tmp_path: Path) -> None:
    texts = ["a cat", None, "", "a dog", None]
    for name in ("a.parquet", "a.jsonl", "a.tar"):
        path = tmp_path / name
        if name == "a.parquet":
            parquet(path, texts)
        else:
            path.write_bytes(json_lines(texts) if name == "a.jsonl" else tar(texts))
        column = "txt" if name == "a.tar" else "caption"
        fails(path, f"{'sample' if name == 'a.tar' else 'row'} 2 has no text in '{column}'", column=column)
        for policy, wanted in (("empty", ["a cat", "", "", "a dog", ""]), ("skip", ["a cat", "", "a dog"])):
            keep = ["__key__"] if name == "a.tar" else ["id"]
            report = tokenize_files(path, tmp_path / "ids.parquet", column=column, on_null=policy, keep=keep)
            assert ids_in(tmp_path / "ids.parquet") == expected(wanted)
            kept = pq.read_table(tmp_path / "ids.parquet").column(1).to_pylist()
            rows = [0, 1, 2, 3, 4] if policy == "empty" else [0, 2, 3]
            assert kept == [f"data/{row:06}" if name == "a.tar" else row for row in rows]
            counts = report.counts
            assert (counts.rows, counts.texts, counts.null) == (5, len(wanted), 2)
            assert counts.empty == wanted.count("")


def test_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    lines = [b"a cat", b"caf\xe9 au lait", "café".encode(), b"\xff"]
    column = pa.array(lines, pa.binary())
    inputs = {
        "txt": b"\n".join(lines),
        "tar": tar(lines),
        "csv": b"id,caption\n" + b"".join(b"1," + x + b"\n" for x in lines),
    }
    inputs["jsonl"] = b"".join(b'{"caption": "%s"}\n' % line for line in lines)
    for kind in (*inputs, "parquet", "strings.parquet", "large.parquet"):
        path = tmp_path / f"a.{kind}"
        if kind in inputs:
            path.write_bytes(inputs[kind])
        else:
            strings = (
                column.cast(pa.large_binary()).view(pa.large_string()) if kind[0] == "l" else column.view(pa.string())
            )
            pq.write_table(pa.table({"caption": column if kind == "parquet" else strings}), path)
        given = {"column": None if kind in ("txt", "tar") else "caption"}
        unit = {"txt": "line", "tar": "sample"}.get(kind, "row")
        fails(path, f"{unit} 2 is not UTF-8: byte 4 is 0xe9", **given)
        report = tokenize_files(path, tmp_path / "ids.parquet", on_undecodable="replace", **given)
        assert ids_in(tmp_path / "ids.parquet") == expected(["a cat", "caf\ufffd au lait", "café", "\ufffd"])
        assert report.counts.undecodable == 2
        report = tokenize_files(path, tmp_path / "ids.parquet", on_undecodable="skip", **given)
        assert ids_in(tmp_path / "ids.parquet") == expected(["a cat", "café"])
        assert (report.counts.rows, report.counts.texts, report.counts.undecodable) == (4, 2, 2)


def test_rows_are_numbered_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(text_file([*MANY * 10, "x"]) + b"\xff\n")
    fails(tmp_path / "a.txt", "line 200002 is not UTF-8")
    parquet(tmp_path / "a.parquet", [*MANY * 5, None])
    fails(tmp_path / "a.parquet", "row 100001 has no text", column="caption")


def test_columns_that_are_missing_or_of_another_type(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", TEXTS)
    fails(path, "name the column that has the texts, column= or --column; there are id, caption")
    fails(path, "'text' is no column; there are id, caption", column="text")
    fails(path, "column 'id' is int64, not strings; columns of strings are caption", column="id")
    fails(path, "'url' is no column", column="caption", keep=["url"])
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["caption", "caption"]), path)
    fails(path, "'caption' is more than one column", column="caption")
    (tmp_path / "a.csv").write_bytes(csv(TEXTS))
    fails(tmp_path / "a.csv", "'text' is no column; there are id, caption", column="text")
    (tmp_path / "empty.csv").write_bytes(b"")
    fails(tmp_path / "empty.csv", "the file is empty", column="text")
    (tmp_path / "a.jsonl").write_bytes(json_lines(TEXTS))
    fails(tmp_path / "a.jsonl", "line 1: the field 'id' is of type int", column="id")
    fails(tmp_path / "a.jsonl", "no line has the field 'text'; there are id, caption, more", column="text")
    fails(tmp_path / "a.jsonl", "no line has the field 'text'", column="text", on_null="skip")
    (tmp_path / "a.tar").write_bytes(tar(TEXTS))
    fails(tmp_path / "a.tar", "no sample has a file with the extension 'caption'", column="caption", on_null="skip")
    (tmp_path / "a.txt").write_bytes(b"a cat\n")
    fails(tmp_path / "a.txt", "no column 'id' to keep", keep=["id"])


def test_broken_json_lines_and_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = json_lines(MANY)
    for bad, message in (
        (b'{"caption": "a\n', "line 20001 is no JSON"),
        (b"[1]\n", "line 20001 is no JSON object"),
        (b'\n\n{"caption": 5}\n', "line 20003: the field 'caption' is of type int"),
    ):
        path.write_bytes(good + bad + good)
        fails(path, message, column="caption")
    path.write_bytes(b'{"caption": "a", "n": 1}\n' * 500_000 + b'{"caption": "a", "n": "x"}\n')
    fails(path, "changed from number to string", column="caption", keep=["n"])
    number, text = ((b'{"caption": "a", "n": %s}' % value).ljust(31) + b"\n" for value in (b"1", b'"x"'))
    path.write_bytes(number * (1 << 18) + text * (1 << 18))  # 8 MiB of one, then of the other.
    fails(path, "the fields to keep are not n int64", column="caption", keep=["n"])
    path = tmp_path / "a.csv"
    path.write_bytes(csv(MANY) + b"1,2,3\n")
    fails(path, "Row #20002: Expected 2 columns, got 3", column="caption")


@pytest.mark.parametrize("compression", ["gz", "zst", "bz2", "xz"])
@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv", "tar"])
def test_truncated_compression(kind: str, compression: str, tmp_path: Path) -> None:
    makers: Any = {"txt": text_file, "jsonl": json_lines, "csv": csv, "tar": tar}
    content = packed(makers[kind](MANY[:500]), compression)
    for cut in (len(content) // 2, len(content) - 3):
        path = tmp_path / f"a.{kind}.{compression}"
        path.write_bytes(content[:cut])
        fails(path, "", column={"tar": "txt", "txt": None}.get(kind, "caption"))
    path.write_bytes(b"this is not compressed")
    fails(path, "", column={"tar": "txt", "txt": None}.get(kind, "caption"))


def test_corrupt_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", MANY, write_page_checksum=True)
    content = path.read_bytes()
    for bad in (b"", b"PAR1", content[:-1], content[: len(content) // 2], b"x" * 1000):
        path.write_bytes(bad)
        fails(path, "", column="caption")
    damaged = bytearray(content)
    damaged[len(content) * 2 // 3] ^= 0x01
    path.write_bytes(damaged)
    fails(path, "", column="caption")


def test_broken_archives(tmp_path: Path) -> None:
    path, content = tmp_path / "a.tar", tar(TEXTS)
    header = content.index(b"data/000003.txt")
    damaged = bytearray(content)
    damaged[header + 150] ^= 0xFF  # In its checksum.
    path.write_bytes(damaged)
    fails(path, "no valid member")
    path.write_bytes(content[: header + 10])
    fails(path, "no valid member")
    path.write_bytes(content[:header])  # Just before a member: where the archive's end is missing.
    fails(path, "no valid member")
    path.write_bytes(content[: header + 520])
    fails(path, "'data/000003.txt' is 504 bytes by its header; at most 8 can be read")
    path.write_bytes(gzip.compress(content))
    fails(path, "")
    path.write_bytes(b"")
    fails(path, "empty")
    path.write_bytes(tar(["a"], TXT=b"b"))
    fails(path, "data/000000.TXT is there twice in one sample")


def test_inputs_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_bytes(b"a")
    fails(tmp_path / "notes.md", "unknown kind of file")
    fails(tmp_path / "nothing.txt", "no such file")
    fails(tmp_path / "*.txt", "no file matches")
    (tmp_path / "folder").mkdir()
    fails(tmp_path / "folder", "no file in it ends in .txt")
    (tmp_path / "a.parquet.gz").write_bytes(b"")
    fails(tmp_path / "a.parquet.gz", "unpack it")
    with pytest.raises(BadInputError, match="no input"):
        tokenize_files([], tmp_path / "out")
    (tmp_path / "a.txt").write_bytes(b"a\n")
    (tmp_path / "a.csv").write_bytes(b"caption\na\n")
    with pytest.raises(BadInputError, match=r"a.csv and .*a.txt would both become .*out/a.parquet"):
        tokenize_files([tmp_path / "a.csv", tmp_path / "a.txt"], tmp_path / "out")
    with pytest.raises(BadInputError, match="2 input files need a folder"):
        tokenize_files([tmp_path / "a.csv", tmp_path / "a.txt"], tmp_path / "ids.parquet")
    path = parquet(tmp_path / "b.parquet", TEXTS)
    with pytest.raises(BadInputError, match="is an input too"):
        tokenize_files(path, tmp_path, column="caption")
    with pytest.raises(BadInputError, match="is an input too"):
        tokenize_files(path, path, column="caption")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "csv"}, "format is 'csv'"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"lists": "long"}, "lists is 'long'"),
        ({"lists": "variable", "format": "npy"}, "rows of one length"),
        ({"keep": "*", "format": "npy"}, "keep needs Parquet"),
        ({"keep": ["*", "id"]}, "alone"),
        ({"on_null": "ignore"}, "on_null is 'ignore'"),
        ({"on_undecodable": "ignore"}, "on_undecodable is 'ignore'"),
        ({"max_length": 1}, "max_length is 1"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_arguments(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\n")
    with pytest.raises(ValueError, match=message):
        tokenize_files(tmp_path / "a.txt", tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_an_error_in_one_file_leaves_the_others(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_bytes(b"a cat\n" if name != "b" else text_file(MANY * 5) + b"\xff\n")
    with pytest.raises(BadInputError, match=r"b\.txt: line 100001"):
        tokenize_files(f"{tmp_path}/*.txt", tmp_path / "out")
    assert sorted(tree(tmp_path / "out")) == ["a.parquet", "c.parquet"]
    (tmp_path / "b.txt").write_bytes(b"a dog\n")
    report = tokenize_files(f"{tmp_path}/*.txt", tmp_path / "out", resume=True)
    assert (report.finished_before, report.files) == (2, 3)


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_a_disk_that_is_full(format: str, tmp_path: Path) -> None:
    """A limit on the size of files stands in for it; then a small file system, where one can be mounted."""
    (tmp_path / "a.txt").write_bytes(b"a cat\n")
    (tmp_path / "b.txt").write_bytes(text_file(MANY * 10))
    source = f"""
        import resource
        from cliptok.batch import tokenize_files
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        tokenize_files({f"{tmp_path}/*.txt"!r}, {str(tmp_path / "out")!r}, format={format!r})
    """
    import textwrap

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(f"out/b.{format}: File too large"), done.stderr
    assert sorted(name for name in tree(tmp_path / "out") if name != "index.jsonl") == [f"a.{format}"]


def test_a_small_file_system(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(text_file(MANY * 10))
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a file system needs root")
    try:
        for format in ("parquet", "npy", "safetensors"):
            with pytest.raises(BadInputError, match=rf"a\.{format}: No space left on device"):
                tokenize_files(tmp_path / "a.txt", small / "out", format=format)
            assert [name for name in tree(small) if name != "out/index.jsonl"] == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a cat\n")
    (tmp_path / "file").write_bytes(b"")
    for format in ("parquet", "npy"):
        with pytest.raises(BadInputError, match=r"file.*: (Not a directory|File exists)"):
            tokenize_files(tmp_path / "a.txt", tmp_path / "file", format=format)
        with pytest.raises(BadInputError, match="/proc/nothing"):
            tokenize_files(tmp_path / "a.txt", Path("/proc/nothing"), format=format)
    (tmp_path / "ids.parquet").mkdir()
    with pytest.raises(BadInputError, match="Is a directory"):
        tokenize_files(tmp_path / "a.txt", tmp_path / "ids.parquet")
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(BadInputError, match="Permission denied"):
            tokenize_files(tmp_path / "a.txt", tmp_path / "locked")


def test_nothing_is_written_after_an_error() -> None:
    """Not what was waiting already, either: the mark of the end would give half an output its name."""
    for _ in range(20):
        begun, is_waiting = [], threading.Event()

        def write(item: int, begun: list[int] = begun, is_waiting: threading.Event = is_waiting) -> None:
            begun.append(item)
            if item == 1:
                is_waiting.wait(10)
                raise OSError("the disk is full")

        def items(is_waiting: threading.Event = is_waiting) -> Iterator[int]:
            yield from range(3)
            is_waiting.set()
            yield 3

        with pytest.raises(OSError, match="the disk is full"):
            write_in_background(items(), write, depth=3)
        assert begun == [0, 1]
