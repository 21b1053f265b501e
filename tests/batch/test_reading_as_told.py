"""No input is read as something else: quotes, delimiters, headers, streams, marks and binary files."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cliptok.batch import BadInputError, tokenize_files
from support.made import expected, ids_in


def ids(path: Path, **options: Any) -> list[list[int]]:
    tokenize_files(path, path.parent / "ids.parquet", **options)
    return ids_in(path.parent / "ids.parquet")


def made(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def test_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    path = made(tmp_path, "a.tsv", b'id\tcaption\n1\ta cat\n2\t"open quote cat\n3\tfoo\n4\tbar\n')
    with pytest.raises(BadInputError, match=r"a\.tsv: line 3: the quote .* never closed"):
        ids(path, column="caption")
    assert ids(path, column="caption", quotes=False) == expected(["a cat", '"open quote cat', "foo", "bar"])
    path = made(tmp_path, "b.csv", b'id,caption\n1,"a cat\n2,"a dog"\n')
    with pytest.raises(BadInputError, match="line 3: text follows"):
        ids(path, column="caption")
    path = made(tmp_path, "c.tsv", b'caption\turl\na 5" screen\tx\n"two ""words"""\ty\n')
    assert ids(path, column="caption") == expected(['a 5" screen', 'two "words"'])


def test_delimiters_and_headers(tmp_path: Path) -> None:
    path = made(tmp_path, "a.csv", b"id;caption\n1;a cat\n")
    with pytest.raises(BadInputError, match=r"divided by ';' .*--delimiter ';'"):
        ids(path, column="caption")
    assert ids(path, column="caption", delimiter=";") == expected(["a cat"])
    path = made(tmp_path, "cc.tsv", b"a cat\thttp://a\na dog\thttp://b\n")
    assert ids(path, column=1, header=False, quotes=False) == expected(["a cat", "a dog"])
    with pytest.raises(BadInputError, match="'3' is no column; there are 1, 2"):
        ids(path, column=3, header=False)
    with pytest.raises(ValueError, match="one ASCII character"):
        ids(path, column="1", delimiter=";;")
    with pytest.raises(BadInputError, match="first row is not UTF-8"):
        ids(made(tmp_path, "h.csv", b"\xffcaption\na cat\n"), column="caption")


def test_options_that_mean_nothing(tmp_path: Path) -> None:
    path = made(tmp_path, "a.txt", b"a cat\n")
    with pytest.raises(BadInputError, match="lines of text have no columns"):
        ids(path, column="caption")
    with pytest.raises(BadInputError, match="for CSV and TSV"):
        ids(path, delimiter=";")


def test_byte_order_marks_are_no_text(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert ids(made(tmp_path, "a.txt", mark + b"a cat\n")) == expected(["a cat"])
    assert ids(made(tmp_path, "a.txt.gz", gzip.compress(mark + b"a cat\n"))) == expected(["a cat"])
    assert ids(made(tmp_path, "a.csv", mark + b'"caption"\na cat\n'), column="caption") == expected(["a cat"])
    assert ids(made(tmp_path, "a.jsonl", mark + b'{"caption": "a cat"}\n'), column="caption") == expected(["a cat"])


def test_binary_files_say_what_they_are(tmp_path: Path) -> None:
    pq.write_table(pa.table({"caption": ["a cat"]}), tmp_path / "p.txt")
    for name, content, what in (
        ("p.txt", (tmp_path / "p.txt").read_bytes(), "this is Parquet.*--input-format parquet"),
        ("g.csv", gzip.compress(b"caption\na cat\n"), "compressed by gzip.*name it .gz"),
        ("u.txt", "a cat\n".encode("utf-16"), "UTF-16"),
    ):
        with pytest.raises(BadInputError, match=what):
            ids(made(tmp_path, name, content), column="caption" if name == "g.csv" else None)
    assert ids(tmp_path / "p.txt", column="caption", input_format="parquet") == expected(["a cat"])


def test_names_that_say_nothing(tmp_path: Path) -> None:
    path = made(tmp_path, "captions", b"a cat\n")
    with pytest.raises(BadInputError, match="--input-format"):
        ids(path)
    assert ids(path, input_format="txt") == expected(["a cat"])


def test_outputs_by_their_endings(tmp_path: Path) -> None:
    path = made(tmp_path, "a.txt", b"a cat\n")
    for name in ("x.csv", "x.pt"):
        with pytest.raises(BadInputError, match=r"end[s]? in \.parquet, \.npy, \.safetensors"):
            tokenize_files(path, tmp_path / name)
        assert not (tmp_path / name).exists()
    made(tmp_path, "b.txt", b"")
    with pytest.raises(BadInputError, match=r"b\.txt: File exists, and is no folder"):
        tokenize_files(path, tmp_path / "b.txt")
    tokenize_files(path, f"{tmp_path}/v1.5/")
    assert (tmp_path / "v1.5" / "a.parquet").is_file()


def test_outputs_that_exist(tmp_path: Path) -> None:
    path = made(tmp_path, "a.txt", b"a cat\n")
    tokenize_files(path, tmp_path / "out")
    with pytest.raises(BadInputError, match=r"a\.parquet exists; resume .* overwrite"):
        tokenize_files(path, tmp_path / "out", overwrite=False)
    (tmp_path / "out" / "a.npy").mkdir()
    for resume in (False, True):
        with pytest.raises(BadInputError, match=r"a\.npy is in the way"):
            tokenize_files(path, tmp_path / "out", format="npy", resume=resume)


def test_a_dry_run(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        made(tmp_path, name, b"a cat\n")
    tokenize_files([tmp_path / "a.txt", tmp_path / "b.txt"], tmp_path / "out")
    made(tmp_path, "b.txt", b"a dog\n")
    found = tokenize_files(f"{tmp_path}/*.txt", tmp_path / "out", resume=True, dry_run=True)
    assert [output.action for output in found.outputs] == ["finished", "make anew", "make"]
    assert not (tmp_path / "out" / "c.parquet").exists()


def test_tokenizers_by_name(tmp_path: Path) -> None:
    from cliptok import Tokenizer

    path = made(tmp_path, "a.txt", b"It&#39;s a cat\n")
    wanted = [Tokenizer("open_clip").encode("It&#39;s a cat")]
    assert ids(path, tokenizer="open_clip") == ids(path, profile="open_clip") == wanted
    Tokenizer("open_clip").save_pretrained(tmp_path / "tok")
    assert ids(path, tokenizer=tmp_path / "tok") == wanted
    with pytest.raises(TypeError, match="tokenizer is of type int"):
        ids(path, tokenizer=5)
    with pytest.raises(ValueError, match="profile is 'openai', but tokenizer is 'open_clip'"):
        ids(path, tokenizer="open_clip", profile="openai")
