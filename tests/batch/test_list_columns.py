"""Columns of lists of captions: the first, all, or one by chance, against a loop over Python's lists."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cliptok.batch import BadInputError, tokenize_files
from cliptok.batch.reading import chunks
from cliptok.cli import main
from support.made import expected, ids_in

LISTS: list[list[str | None] | None] = [["a cat", "cats"], [], None, ["a dog"], ["one", "two", "three"], [None, "x"]]
KINDS = [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.binary()), pa.list_(pa.string_view())]


def parquet(folder: Path, lists: list[Any] = LISTS, kind: pa.DataType = KINDS[0], **options: Any) -> Path:
    captions = pa.array(lists, kind)
    pq.write_table(pa.table({"id": range(len(lists)), "captions": captions}), folder / "a.parquet", **options)
    return folder / "a.parquet"


def json_lines(folder: Path) -> Path:
    lines = (json.dumps({"id": number, "captions": texts}) for number, texts in enumerate(LISTS))
    (folder / "a.jsonl").write_text("\n".join(lines))
    return folder / "a.jsonl"


def run(path: Path, captions: str, **options: Any) -> tuple[list[list[int]], list[int]]:
    """The ids, and which row each is of."""
    out = path.parent / "out.parquet"
    options = {"column": "captions", "keep": "id", "on_null": "empty", **options}
    tokenize_files(path, out, captions=captions, **options)
    return ids_in(out), pq.read_table(out).column("id").to_pylist()


@pytest.mark.parametrize(
    "make", [*(lambda folder, kind=kind: parquet(folder, kind=kind) for kind in KINDS), json_lines]
)
def test_first_and_all(make: Any, tmp_path: Path) -> None:
    try:
        path = make(tmp_path)
    except pa.ArrowNotImplementedError as error:  # string_view before pyarrow 21
        pytest.skip(f"this pyarrow writes no such file: {error}")
    first = [(texts or [None])[0] or "" for texts in LISTS]
    assert run(path, "first") == (expected(first), list(range(6)))
    rows = [(text or "", row) for row, texts in enumerate(LISTS) for text in (texts or [None])]
    assert run(path, "all") == (expected([text for text, _ in rows]), [row for _, row in rows])
    there = [(text, row) for row, texts in enumerate(LISTS) for text in (texts or []) if text is not None]
    ids = expected([text for text, _ in there])
    assert run(path, "all", on_null="skip") == (ids, [row for _, row in there])


def test_fixed_size_and_dictionary(tmp_path: Path) -> None:
    five = [[f"a {word} {number}" for number in range(5)] for word in ("cat", "dog")]
    flat = [text for texts in five for text in texts]
    for kind in (pa.list_(pa.string(), 5), pa.list_(pa.dictionary(pa.int32(), pa.string()))):
        path = parquet(tmp_path, five, kind)
        assert run(path, "all") == (expected(flat), [0] * 5 + [1] * 5)


def test_chance_depends_on_the_seed_and_the_row_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [[f"{row} {caption}" for caption in range(1 + row % 7)] for row in range(3000)]
    path = parquet(tmp_path, lists, row_group_size=700)
    found, rows = run(path, "random", seed=3)
    assert rows == list(range(3000))
    places = {tuple(ids): at for texts in lists for at, ids in enumerate(expected(texts))}
    picks = [places[tuple(ids)] for ids in found]
    assert found == expected([texts[at] for texts, at in zip(lists, picks, strict=True)])
    for size in range(1, 8):  # Each caption of a list has the same chance: 428 rows of each size.
        counts = [sum(pick == at for pick in picks[size - 1 :: 7]) for at in range(size)]
        assert min(counts) > 0.6 * 428 / size, counts
    monkeypatch.setattr(chunks, "BYTES", 1 << 12)
    path = parquet(tmp_path, lists, row_group_size=999)
    assert run(path, "random", seed=3)[0] == found
    assert run(path, "random", seed=4)[0] != found
    assert run(path, "random")[0] == run(path, "random", seed=0)[0]


def test_what_is_wrong(tmp_path: Path) -> None:
    path, lines = parquet(tmp_path), json_lines(tmp_path)
    (tmp_path / "a.txt").write_text("a cat\n")
    (tmp_path / "mixed.jsonl").write_text('{"captions": ["a"]}\n{"captions": "a"}\n')
    (tmp_path / "odd.jsonl").write_text('{"captions": ["a"]}\n{"captions": ["a", 3]}\n')
    for source, options, message in (
        (path, {"column": "captions"}, "has lists of texts; choose which .*: first, all or random"),
        (lines, {"column": "captions"}, "line 1: the field 'captions' is of type list; choose which"),
        (path, {"column": "id", "captions": "first"}, "not lists of strings; columns of lists of strings are captions"),
        (path, {"captions": "all"}, "name the column"),
        (path, {"column": "captions", "captions": "all"}, "row 2 has no text in 'captions'"),
        (path, {"column": "captions", "captions": "first", "seed": 1}, "seed is for captions='random'"),
        (tmp_path / "a.txt", {"captions": "first"}, "captions is for lists in Parquet, .*; txt has none"),
        (
            tmp_path / "mixed.jsonl",
            {"column": "captions", "captions": "all"},
            "line 2: .* of type str; expected a list",
        ),
        (tmp_path / "odd.jsonl", {"column": "captions", "captions": "all"}, "line 2: .* one of type int"),
    ):
        with pytest.raises(BadInputError, match=message):
            tokenize_files(source, tmp_path / "o.parquet", **options)
    with pytest.raises(ValueError, match="captions is 'last'; choose one of first, all, random"):
        tokenize_files(path, tmp_path / "o.parquet", column="captions", captions="last")


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = parquet(tmp_path)
    assert main(["count", str(path), "--captions", "all"]) == 0
    assert "texts        7" in capsys.readouterr().out and "null" not in capsys.readouterr().out
    assert main(["tokenize", str(path), "--column", "captions", "--captions", "first", "--on-null", "skip"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "49406 320 2368 49407"
    assert main(["show", "--file", str(path), "--captions", "all", "--first", "2"]) == 0
    assert "cats</w>" in capsys.readouterr().out
    assert main(["tokenize", str(path), "--column", "captions"]) == 2
    assert "--captions: first, all or random" in capsys.readouterr().err
    assert main(["show", "a cat", "--captions", "all"]) == 2
