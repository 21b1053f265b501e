"""Archives, records and names that want to do harm: an error of one line, in little memory."""

import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cliptok.batch import BadInputError, tokenize_files
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
    for line in (
        *("[]", "5", "{}", "null", '{"file": 5}', "[" * 100_000, '{"file": "in.npy"}', "\udcff"),
        *('{"file": "in.npy", "counts": "x"}', '{"file": "in.npy", "counts": {}}', '{"file": ["in.npy"]}'),
        json.dumps({"file": "in.npy", "counts": {"texts": "2"}, "settings": 1, "input": 2, "sha256": "x"}),
    ):
        shutil.rmtree(out, ignore_errors=True)
        tokenize_files([tmp_path / "in.txt"], out, format="npy")
        (out / "index.jsonl").write_bytes(line.encode(errors="surrogateescape") + b"\n")
        report = tokenize_files([tmp_path / "in.txt"], out, format="npy", resume=True, check=True)
        assert (report.made_anew, report.counts.texts) == (1, 2), line[:40]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from cliptok.report import write_report

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
