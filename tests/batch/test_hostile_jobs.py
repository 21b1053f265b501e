"""Archives, records and names that want to do harm: an error of one line, in little memory."""

import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cliptok.batch import BadInputError, check_outputs, clean_outputs, tokenize_files
from cliptok.batch.reading.inputs import find
from cliptok.batch.writing.parts import Parts
from cliptok.batch.writing.records import Index
from cliptok.report import write_report
from support.made import expected, ids_in, text_file

HUGE = "20000000000"


def archive(pax: dict[str, str], **fields: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:
        member = tarfile.TarInfo("0.txt")
        member.size = 5
        member.pax_headers = pax
        for name, value in fields.items():
            setattr(member, name, value)
        file.addfile(member, io.BytesIO(b"a cat"))
    return out.getvalue()


@pytest.mark.parametrize(
    "pax",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": HUGE, "GNU.sparse.name": "0.txt"},
        {"GNU.sparse.size": HUGE, "GNU.sparse.map": "0,1"},
        {"GNU.sparse.map": "0,x"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "x"},
        {"size": "9" * 20},
        {"size": "-5"},
        {"size": "x"},
    ],
)
@pytest.mark.parametrize("is_packed", [False, True])
def test_archives(pax: dict[str, str], is_packed: bool, tmp_path: Path) -> None:
    import gzip

    path = tmp_path / ("a.tar.gz" if is_packed else "a.tar")
    path.write_bytes(gzip.compress(archive(pax)) if is_packed else archive(pax))
    message = None
    try:
        tokenize_files(path, tmp_path / "ids.parquet")
    except BadInputError as error:
        message = str(error)
    if message is None:  # What has no meaning to tarfile does no harm.
        assert ids_in(tmp_path / "ids.parquet") == expected(["a cat"])
    else:
        assert message.startswith(str(path)) and "\n" not in message


def test_records_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(text_file(["a cat", "a dog"]))
    out = tmp_path / "out"
    tokenize_files([tmp_path / "in.txt"], out, format="npy")
    sound = json.loads((out / "index.jsonl").read_text())
    del sound["crc32"]  # As in 0.1.0.
    for line in (
        *("[]", "5", "{}", "null", '{"file": 5}', "[" * 100_000, '{"file": "in.npy"}', "\udcff"),
        *('{"file": "in.npy", "counts": "x"}', '{"file": "in.npy", "counts": {}}', '{"file": ["in.npy"]}'),
        json.dumps({"file": "in.npy", "counts": {"texts": "2"}, "settings": 1, "input": 2, "sha256": "x"}),
        json.dumps({**sound, "sha256": "\ud800" * 64}),
        *(json.dumps({**sound, "counts": {**sound["counts"], "tokens": count}}) for count in (-1, 10**30, 1.0, True)),
    ):
        shutil.rmtree(out, ignore_errors=True)
        tokenize_files([tmp_path / "in.txt"], out, format="npy")
        (out / "index.jsonl").write_bytes(line.encode(errors="surrogateescape") + b"\n")
        report = tokenize_files([tmp_path / "in.txt"], out, format="npy", resume=True, check=True)
        assert (report.made_anew, report.counts.texts) == (1, 2), line[:40]


def test_any_flipped_byte_of_an_index(tmp_path: Path) -> None:
    """Also one in what no run compares, as in the checksum of an input that has not changed."""
    (tmp_path / "in.txt").write_bytes(text_file(["a cat", "a dog"]))
    out = tmp_path / "out"
    tokenize_files([tmp_path / "in.txt"], out, format="npy")
    before = (out / "index.jsonl").read_bytes()
    index, (shard,) = Index(out), find([tmp_path / "in.txt"], out, "npy")[0]
    for at in range(len(before) - 1):
        changed = bytearray(before)
        changed[at] ^= 1 << at % 8
        (out / "index.jsonl").write_bytes(changed)
        index.records.clear()
        index.read()
        assert index.name(shard) not in index.records, (at, bytes(changed))
    (out / "index.jsonl").write_bytes(bytes(changed))
    assert [damage.what for damage in check_outputs(out)] == ["without a sound record of how it was made"]
    tokenize_files([tmp_path / "in.txt"], out, format="npy", resume=True)
    assert (out / "index.jsonl").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_loop_of_links_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(text_file(["a cat"]))
    (tmp_path / "ids.npy").symlink_to("ids.npy")
    (tmp_path / "page.html").symlink_to("page.html")
    for resume in (False, True):
        with pytest.raises(BadInputError, match=r"ids\.npy is in the way of an output and is no file; remove it"):
            tokenize_files(tmp_path / "in.txt", tmp_path / "ids.npy", resume=resume)
    write_report(tmp_path / "in.txt", tmp_path / "page.html")
    assert (tmp_path / "page.html").is_file()


def test_any_flipped_byte_of_a_part(tmp_path: Path) -> None:
    """Also one of where the next part begins, which would have read texts from the middle of a line."""
    (tmp_path / "in.txt").write_bytes(text_file(["a cat"] * 2000) + b"\xff\n")
    with pytest.raises(BadInputError, match="line 2001 is not UTF-8"):
        tokenize_files(tmp_path / "in.txt", tmp_path / "ids.npy", max_length=5, part_rows=20)
    path = tmp_path / ".ids.npy.parts" / "000000.part"
    content = path.read_bytes()
    made_of = json.loads(content[content.index(b'{"made_of": ') : -16])["made_of"]
    assert made_of.pop("part_rows") == 20

    def found() -> Parts:
        parts = Parts(tmp_path / "ids.npy", made_of, 20)
        parts.find()
        return parts

    assert 0 in found().done
    changes = [content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :] for at in range(len(content))]
    changes += [b"", b"[" * 100_000, b"{}" + (2).to_bytes(8, "little") + content[-8:], content[:-1]]
    for changed in changes:
        path.write_bytes(changed)
        parts = Parts(tmp_path / "ids.npy", made_of, 20)
        assert parts._read(path) is None, changed[-1000:]
    if hasattr(os, "mkfifo"):
        path.unlink()
        os.mkfifo(path)
    assert 0 not in found().done and not path.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_in_the_place_of_parts(tmp_path: Path) -> None:
    """What they lead to stays."""
    (tmp_path / "in.txt").write_bytes(text_file(["a cat"] * 100))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "000000.part").write_bytes(b"precious")
    tokenize_files(tmp_path / "in.txt", tmp_path / "whole.npy", part_rows=20)
    for how in ({"resume": True}, {}, {"resume": True, "part_rows": 20}):
        parts = tmp_path / ".ids.npy.parts"
        parts.unlink(missing_ok=True)
        parts.symlink_to("other")
        assert clean_outputs(tmp_path / "ids.npy" if (tmp_path / "ids.npy").exists() else tmp_path) == []
        tokenize_files(tmp_path / "in.txt", tmp_path / "ids.npy", **how)  # type: ignore[arg-type]
        assert (tmp_path / "ids.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert [path.read_bytes() for path in (tmp_path / "other").iterdir()] == [b"precious"]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.txt")).write_bytes(b"a cat\n")
    with (folder / os.fsdecode(b"\xfe.parquet")).open("wb") as file:
        pq.write_table(pa.table({"text": ["a cat"]}), file)
    tokenize_files(folder / os.fsdecode(b"\xff.txt"), tmp_path / "out", format="npy")
    report = tokenize_files(folder / os.fsdecode(b"\xff.txt"), tmp_path / "out", format="npy", resume=True)
    assert report.finished_before == 1
    tokenize_files(folder / os.fsdecode(b"\xfe.parquet"), tmp_path / "out", column="text")
    tokenize_files(folder / os.fsdecode(b"\xfe.parquet"), tmp_path / "out", column="text", resume=True)
    write_report(folder / os.fsdecode(b"\xff.txt"), tmp_path / "page.html")
    assert "\ufffd.txt" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_log_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(text_file(["a cat"]))
    for name in ("in.txt", "ids.npy"):
        with pytest.raises(BadInputError, match="is an input or an output; choose another file for the log"):
            tokenize_files(path, tmp_path / "ids.npy", json_log=tmp_path / name)
    assert path.read_bytes() == b"a cat\n"
    if Path("/dev/full").exists():
        with pytest.raises(BadInputError, match="/dev/full: No space left on device"):
            tokenize_files(path, tmp_path / "ids.npy", json_log="/dev/full")
