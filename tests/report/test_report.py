"""`cliptok report`: its counts beside plain ones, every format, hostile texts, and a page that needs nothing else."""

import gzip
import json
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliptok import Tokenizer
from cliptok._common.errors import BadInputError
from cliptok.batch.reading.options import reading_for
from cliptok.batch.reading.texts import shards_of, texts_of
from cliptok.batch.summary import Counts
from cliptok.report import words as words_module
from cliptok.report import write_report
from cliptok.report.histogram import bars, draw
from cliptok.report.numbers import percent
from cliptok.report.page import page
from cliptok.report.sample import Sample
from cliptok.report.survey import Survey
from cliptok.report.token_texts import TokenText, token_texts
from cliptok.report.words import SplitWords
from support.made import tar
from support.scripts import names_in, run_python
from support.shared import tokenizer

PROMPTS = (Path(__file__).parents[2] / "examples" / "prompts.txt").read_text(encoding="utf-8").splitlines()
HOSTILE = [
    "<script>alert(1)</script>" * 20,
    '"><img src=x onerror=alert(1)> ' * 20,
    "</style></bdi></td></table><h1>gone</h1><!-- " * 12,
    "\u202eright to left \u2066 and more " * 12,
    "\x00\x01\x08\x0c\x1b[31mred\x7f\x85\x9b " * 12,
    "&amp;lt;b&amp;gt; &#60;b&#62; &lt;script&gt; " * 12,
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035aa\u0338l\u0335g\u0337o " * 12,
]
TEXTS = [
    *PROMPTS,
    "",
    "very " * 100 + "long",
    "“quoted” &amp; 日本語",
    "supercalifragilisticexpialidocious " * 3,
    *HOSTILE,
]


def surveyed(texts: list[str], tok: Tokenizer | None = None, max_length: int = 77, chunk: int = 10**6) -> Survey:
    survey = Survey(tok, max_length)
    for begin in range(0, len(texts), chunk):
        survey.add(texts[begin : begin + chunk])
    return survey


def plain_words(tok: Tokenizer, texts: list[str]) -> Counter[tuple[int, ...]]:
    """Words of many tokens, one text and one token at a time."""
    counts: Counter[tuple[int, ...]] = Counter()
    for text in texts:
        word: list[int] = []
        for id in tok.encode(text)[1:-1]:
            word.append(id)
            if tok.convert_ids_to_tokens(id).endswith("</w>"):
                counts[tuple(word)] += 3 <= len(word) <= 64
                word = []
    return +counts


@pytest.mark.parametrize("chunk", [1, 7, 10**6])
@pytest.mark.parametrize("max_length", [8, 77])
@pytest.mark.parametrize("profile", [None, "open_clip"])
def test_counts_are_those_of_one_text_at_a_time(profile: str | None, max_length: int, chunk: int) -> None:
    tok = tokenizer(profile or "transformers")
    found = surveyed(TEXTS, profile and tok, max_length, chunk)  # type: ignore[arg-type]
    counts = [len(tok.encode(text)) for text in TEXTS]
    assert (found.texts, found.tokens, found.longest) == (len(TEXTS), sum(counts), max(counts))
    assert found.empty == counts.count(2) >= 1
    assert found.truncated == sum(count > max_length for count in counts)
    assert found.lost == sum(max(count - max_length, 0) for count in counts)
    assert [found.within(length) for length in range(100)] == [sum(c <= n for c in counts) for n in range(100)]
    assert found.quantile(0.5) == sorted(counts)[(len(counts) - 1) // 2]
    assert found.quantile(1) == max(counts)
    words = plain_words(tok, TEXTS)
    assert dict(found.words.most_frequent(10**6)) == words and len(words) > 20
    assert (found.words.occurrences, found.words.short_by) == (words.total(), 0)
    most = found.words.most_frequent(5)
    assert [word.times for word in most] == sorted(words.values(), reverse=True)[:5]
    first, second = tokenizer("transformers"), tokenizer("open_clip")
    unequal = [text for text in TEXTS if first.encode(text) != second.encode(text)]
    assert found.differences.texts == len(unequal) >= 5
    looked_at, places = found.differences.most_frequent(10**6)
    assert looked_at == len(unequal) and {place.example for place in places} <= {text[:400] for text in unequal}


def test_truncated_texts_are_whole_in_two_parts() -> None:
    texts = [f"{number} " + "Very red, " * 60 for number in range(30)]
    for tok, exact in ((None, True), (tokenizer("open_clip"), False)):
        found = surveyed([*texts, "word " * 500], tok).truncated_texts()
        assert len(found) in (6, 7) and found[-1].tokens == 502
        for truncated in found:
            kept, whole = (
                len((tok or Tokenizer()).encode(truncated.kept)),
                len((tok or Tokenizer()).encode(truncated.kept + " " + truncated.lost)),
            )
            assert (kept, whole) == (77, truncated.tokens)
            assert not exact or truncated.kept + truncated.lost in (*texts, "word " * 500)


def test_places_that_differ() -> None:
    texts = ["a cat &amp; a dog", "“wow”", "a plain cat", "R&amp;B"]
    found = surveyed(texts)
    first, second = found.differences.pair
    _, most = found.differences.most_frequent(10)
    shown = {
        (
            tuple(p.text for p in token_texts(first, d.first)),
            tuple(p.text for p in token_texts(second, d.second)),
        ): d
        for d in most
    }
    assert shown[("&", "amp", ";"), ("&",)].texts == 2
    assert shown[("&", "amp", ";"), ("&",)].example == "R&amp;B"
    assert shown[("“",), ('"',)].texts == 1
    assert all(d.first and d.second for d in most)
    assert surveyed(["a plain cat"]).differences.most_frequent(10) == (0, [])


def test_token_texts_hold_whole_characters() -> None:
    tok = tokenizer("transformers")
    assert token_texts(tok, tok.encode("artgerm", add_special_tokens=False)) == [
        TokenText("art", 1), TokenText("ger", 1), TokenText("m", 1)
    ]  # fmt: skip
    found = token_texts(tok, tok.encode("“日本語🏳️‍🌈é", add_special_tokens=False))
    assert "".join(piece.text for piece in found) == "“日本語🏳️‍🌈é" and found[0] == TokenText("“", 2)
    assert sum(piece.tokens for piece in found) == len(tok.encode("“日本語🏳️‍🌈é")) - 2
    part = tok.encode("“", add_special_tokens=False)[:1]
    assert token_texts(tok, part) == [TokenText("\ufffd", 1)] and token_texts(tok, []) == []


def test_words_are_forgotten_before_memory_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words_module, "_KNOWN", 60)
    tok = tokenizer("transformers")
    chance = np.random.default_rng(1)
    names = ["xq" + "".join(chance.choice(list("bcdfgz"), 6)) for _ in range(200)]
    texts = [names[min(int(rank), 199)] for rank in chance.zipf(1.3, 5000)]
    found = SplitWords(tok)
    for begin in range(0, len(texts), 250):
        found.add(tok.encode_packed(texts[begin : begin + 250]))
        assert len(found._counts) <= 60
    true = plain_words(tok, texts)
    assert found.occurrences == true.total()
    counted = found.most_frequent(60)
    assert found.short_by > 0 and all(true[ids] - found.short_by <= times <= true[ids] for ids, times in counted)
    assert counted[0].ids == true.most_common(1)[0][0]


def test_words_of_a_tokenizer_with_added_tokens() -> None:
    tok = Tokenizer(pad_token="!")
    tok.add_tokens("<cat-toy>")
    found = surveyed(["artgerm! <cat-toy>artgerm", "a!!"], tok)
    (word,) = found.words.most_frequent(9)
    assert (tok.decode(word.ids).strip(), word.times) == ("artgerm", 2)


def test_a_sample_is_fair() -> None:
    counts: Counter[int] = Counter()
    for shift in range(300):  # The same tickets each time, for other rows.
        sample: Sample[int] = Sample(10)
        for begin in range(0, 100, 13):
            rows = np.arange(begin, min(begin + 13, 100))
            sample.offer(rows, lambda row, shift=shift: (row + shift) % 100)  # type: ignore[misc]
        kept = sample.items()
        assert len(set(kept)) == 10
        counts.update(kept)
    assert set(counts.values()) == {30}
    few: Sample[int] = Sample(10)
    few.offer(np.arange(3), int)
    few.offer(np.arange(0), int)
    assert few.items() == [0, 1, 2]


@given(st.lists(st.integers(2, 3000), min_size=1, max_size=200), st.sampled_from([2, 3, 16, 77, 248, 5000]))
def test_bars_hold_every_text_once(counts: list[int], max_length: int) -> None:
    found = bars(np.bincount(counts, minlength=1 << 14), max_length)
    edges = [found.start + at * found.width for at in range(len(found.texts) + 1)]
    assert found.start <= 0 and max_length + 1 in edges and len(found.texts) <= 112
    for begin, end, texts in zip(edges, edges[1:], found.texts, strict=False):
        assert texts == sum(begin <= count < end for count in counts)
    assert found.longer == sum(count >= edges[-1] for count in counts)
    assert max(edges[-1], 2) > min(sorted(counts)[int(0.999 * (len(counts) - 1))], 4 * max_length)
    svg = draw(found, max_length)
    assert svg.count("<rect") == sum(texts > 0 for texts in found.texts) + (found.longer > 0)
    Checked().feed(svg)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 0, "0%"), (0, 5, "0%"), (5, 5, "100%"), (1, 3, "33.3%"), (1, 1000, "0.1%"), (1, 10**6, "0.0001%"),
     (999_999, 10**6, "99.9999%"), (3, 7000, "0.04%"), (996, 1000, "99.6%")],
)  # fmt: skip
def test_percent(part: int, whole: int, expected: str) -> None:
    assert percent(part, whole) == expected


class Checked(HTMLParser):
    """Fails where elements do not close in order, and collects what a test asks about."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: Counter[str] = Counter()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {(tag, name) for name, _ in attrs}
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def checked(html: str) -> Checked:
    found = Checked()
    found.feed(html)
    found.close()
    assert found.open == []
    return found


def test_the_page_needs_nothing_else() -> None:
    html = page(surveyed(TEXTS), "captions.txt")
    found = checked(html)
    assert found.elements["svg"] == 2 and found.elements["h1"] == 1 and found.elements["h2"] == 4
    assert not found.elements.keys() & {"script", "link", "img", "iframe", "object", "a", "base", "form"}
    assert not {name for _, name in found.attributes} & {"src", "href", "srcset", "onload", "onclick"}
    assert "url(" not in html and "@import" not in html and "http:" not in html and "https:" not in html
    assert "default-src 'none'" in html
    for said in ("77 tokens fit", f"{len(TEXTS):,}", "supercali", "transformers", "open_clip"):
        assert said in found.text


def test_hostile_texts_are_shown_and_not_obeyed() -> None:
    name = '<script>"&\x00.txt'
    friendly, hostile = (checked(page(surveyed(texts, None, 8), name)) for texts in (["a cat " * 20] * 7, HOSTILE))
    assert hostile.comments == [] and hostile.elements.keys() <= friendly.elements.keys() | {
        "del",
        "sub",
        "table",
        "tr",
        "td",
        "th",
    }
    assert hostile.attributes <= friendly.attributes | {("td", "class"), ("th", "class")}
    assert "<script>alert(1)</script><script>" in hostile.text and "␀␁␈" in hostile.text
    assert '<script>"&␀.txt' in hostile.text
    raw = page(surveyed(HOSTILE, None, 8), name)
    assert not any((ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 for char in raw)


def test_pages_of_few_texts() -> None:
    for texts in ([], [""], ["a cat"], ["artgerm"], ["word " * 20_000]):
        found = checked(page(surveyed(texts), "few.txt"))
        assert ("There is no text" in found.text) is (not texts)
    assert "over 16,384" in checked(page(surveyed(["word " * 20_000]), "long.txt")).text
    first, second = (page(surveyed(TEXTS * 3, chunk=50), "same.txt") for _ in range(2))
    assert first == second


ROWS = [*PROMPTS, "", 'comma, "quote"', "tab and “more” 日本語"]
WITH_NULLS = [*ROWS[:5], None, *ROWS[5:], None]


def files(folder: Path) -> dict[str, int]:
    """The same texts in every format, and the nulls that each has."""
    lines = "".join(f"{row}\n" for row in ROWS).encode()
    table = pa.table({"n": range(len(WITH_NULLS)), "caption": WITH_NULLS})
    filled = pa.table({"caption": ROWS, "n": range(len(ROWS))})
    records = "".join(json.dumps({"n": [at], "caption": row}) + "\n" for at, row in enumerate(WITH_NULLS)).encode()
    (folder / "a.txt").write_bytes(lines)
    (folder / "a.captions").write_bytes(lines)
    (folder / "a.jsonl").write_bytes(records)
    pa.csv.write_csv(filled, folder / "a.csv")
    pa.csv.write_csv(filled, folder / "a.tsv", pa.csv.WriteOptions(delimiter="\t"))
    pa.parquet.write_table(table, folder / "a.parquet", row_group_size=7)
    column = table.column("caption")
    for name, form in {"large": column.cast(pa.large_string()), "dictionary": column.dictionary_encode()}.items():
        pa.parquet.write_table(pa.table({"other": [1] * len(column), "caption": form}), folder / f"{name}.parquet")
    (folder / "a.tar").write_bytes(tar(WITH_NULLS))
    for name in ("a.txt", "a.csv", "a.tsv", "a.jsonl", "a.tar"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    return {name: 0 if name.startswith(("a.txt", "a.cap", "a.csv", "a.tsv")) else 2 for name in names_in(folder)}


def test_every_format_gives_the_same_texts(tmp_path: Path) -> None:
    pages = set()
    for name, nulls in files(tmp_path).items():
        named = "txt" if name == "a.captions" else None
        for column in (None, "caption") if not name.startswith(("a.txt", "a.cap", "a.tar")) else (None,):
            found = write_report(str(tmp_path / name), tmp_path / "page.html", column=column, input_format=named)
            assert (found.texts, found.nulls, found.tokens) == (len(ROWS), nulls, Tokenizer().count(ROWS).sum()), name
            pages.add(page(found, "same") if not nulls else "")
    assert len(pages) == 2


def read(path: Path, column: str | None) -> list[str]:
    shards = shards_of(path, None)
    found = texts_of(shards, reading_for(shards, column, guess=True), Counts())
    return [text for _, chunk, _ in found for text in chunk.to_pylist()]


def test_a_column_of_numbers_in_csv_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("caption,n\n1,1\n2.50,2\na cat,3\n,4\nNA,5\n")
    assert read(tmp_path / "a.csv", "caption") == ["1", "2.50", "a cat", "", "NA"]
    (tmp_path / "b.csv").write_text('caption\n"two\nlines"\nmore\n')
    assert read(tmp_path / "b.csv", None) == ["two\nlines", "more"]


def test_what_is_no_utf8_is_replaced_or_skipped(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"fine\ncaf\xe9\n")
    for policy, texts in {"replace": ["fine", "caf\ufffd"], "skip": ["fine"]}.items():
        found = write_report(str(tmp_path / "latin.txt"), tmp_path / "page.html", on_undecodable=policy)
        assert (found.undecodable, found.tokens) == (1, Tokenizer().count(texts).sum())
        assert "not UTF-8" in checked((tmp_path / "page.html").read_text(encoding="utf-8")).text


def broken(folder: Path) -> dict[str, tuple[str | None, str]]:
    """Files with something wrong, the column asked for, and what the error says of it."""
    names = files(folder)
    assert names
    pa.parquet.write_table(pa.table({"a": ["x"], "b": ["y"]}), folder / "two.parquet")
    pa.parquet.write_table(pa.table({"a": [1], "b": [[1.0]]}), folder / "none.parquet")
    good = (folder / "a.parquet").read_bytes()
    (folder / "truncated.parquet").write_bytes(good[: len(good) // 2])
    (folder / "bad.parquet").write_bytes(good[:4] + bytes(200) + good[204:])
    (folder / "truncated.txt.gz").write_bytes((folder / "a.txt.gz").read_bytes()[:-20])
    (folder / "not.txt.gz").write_bytes(b"no gzip at all")
    (folder / "truncated.csv.gz").write_bytes((folder / "a.csv.gz").read_bytes()[:-20])
    (folder / "latin.txt").write_bytes(b"fine\ncaf\xe9\n")
    (folder / "latin.csv").write_bytes(b"caption\nfine\ncaf\xe9\n")
    (folder / "bad.jsonl").write_text('{"caption": "a"}\n{"caption": \n')
    (folder / "list.jsonl").write_text('{"caption": ["a"]}\n')
    (folder / "late.jsonl").write_text('{"caption": "a"}\n{"caption": 5}\n')
    (folder / "latin.jsonl").write_bytes(b'{"caption": "fine"}\n{"caption": "caf\xe9"}\n')
    (folder / "folder.parquet").mkdir()
    return {
        "two.parquet": (None, "name the column that has the texts, column= or --column; there are a, b"),
        "none.parquet": (None, "there are a, b"),
        "a.parquet": ("text", "'text' is no column; there are n, caption"),
        "a.csv": ("text", "'text' is no column; there are caption, n"),
        "a.jsonl": ("n", "line 1: the field 'n' is of type list"),
        "a.txt": ("caption", "lines of text have no column"),
        "truncated.parquet": (None, ""),
        "bad.parquet": (None, ""),
        "truncated.txt.gz": (None, "Truncated compressed stream"),
        "not.txt.gz": (None, "incorrect header check"),
        "truncated.csv.gz": (None, ""),
        "latin.txt": (None, "line 2 is not UTF-8"),
        "latin.csv": ("caption", "row 2 is not UTF-8: byte 4 is 0xe9"),
        "latin.jsonl": ("caption", "row 2 is not UTF-8"),
        "bad.jsonl": (None, "line 2 is no JSON"),
        "list.jsonl": ("caption", "line 1: the field 'caption' is of type list"),
        "late.jsonl": ("caption", "line 2: the field 'caption' is of type int"),
        "folder.parquet": (None, ""),
        "nowhere.parquet": (None, "no such file"),
        "nowhere.txt": (None, "no such file"),
    }


def test_errors_name_the_file(tmp_path: Path) -> None:
    output = tmp_path / "pages" / "page.html"
    output.parent.mkdir()
    for name, (column, message) in broken(tmp_path).items():
        with pytest.raises(BadInputError) as raised:
            write_report(str(tmp_path / name), output, column=column)
        assert name == "a.txt" or str(raised.value).startswith(str(tmp_path / name)), name
        assert message in str(raised.value), name
    assert names_in(output.parent) == []
    with pytest.raises(BadInputError, match="no-folder"):
        write_report(str(tmp_path / "a.txt"), tmp_path / "no-folder" / "page.html")


WITHOUT_PYARROW = """
    import sys
    sys.modules["pyarrow"] = None
    from cliptok.cli import main
    sys.stderr = sys.stdout
    assert main(["report", "a.txt"]) == 2
"""


def test_it_needs_pyarrow() -> None:
    assert run_python(WITHOUT_PYARROW) == (
        "cliptok: cliptok report needs pyarrow; pip install 'cliptok[batch]', or cliptok[all] for everything\n"
    )


def run(*arguments: object, folder: Path, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-W", "error", "-m", "cliptok", "report", *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, timeout=60, cwd=folder)


def test_the_command(tmp_path: Path) -> None:
    files(tmp_path)
    done = run("a.parquet", "--column", "caption", "-o", "p.html", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode() == f"{len(ROWS)} texts, 2.8% truncated at 77, in p.html\n"
    assert checked((tmp_path / "p.html").read_text(encoding="utf-8")).text.count("a.parquet") == 2
    done = run(
        "--profile", "open_clip", "--max-length", 8, folder=tmp_path, given="".join(f"{t}\n" for t in ROWS).encode()
    )
    assert done.returncode == 0
    expected = surveyed(ROWS, Tokenizer("open_clip"), 8)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page(expected, "standard input")
    done = run("a.txt", "--max-length", 20_000, folder=tmp_path)
    assert (done.returncode, done.stderr) == (2, b"cliptok: max_length is 20000; a report takes 16383 or less\n")
    done = run("a.csv", "--column", "text", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"") and done.stderr.startswith(b"cliptok: a.csv: 'text' is no column")
