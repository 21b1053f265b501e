"""`cliptok report` over many files, and of two sets of files or two tokenizers side by side."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from cliptok import Tokenizer
from cliptok.cli import main
from cliptok.report import compare_tokenizers
from cliptok.report.differences import Differences
from cliptok.report.survey import Survey

SHORT = [f"a photo of {number} cats" for number in range(40)]
LONG = [f"{'very ' * number}long" for number in range(60, 100)]
MARKED = ["R&amp;B", "“wow”", "a plain cat"]


def write(path: Path, texts: list[str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def cells(html: str, first: str) -> list[str]:
    """The texts of the table's row that begins with this one."""
    for row in re.findall("<tr>(.*?)</tr>", html, re.DOTALL):
        found = [unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall("<t[dh][^>]*>(.*?)</t[dh]>", row)]
        if found and found[0] == first:
            return found
    raise AssertionError(first)


def over(texts: list[str], length: int = 77) -> int:
    return int((Tokenizer().count(texts) > length).sum())


def test_many_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in" / "short.txt", SHORT)
    write(tmp_path / "in" / "long.txt", LONG)
    (tmp_path / "in" / "below").mkdir()
    lines = "".join(json.dumps({"caption": text}) + "\n" for text in LONG[:30])
    (tmp_path / "in" / "below" / "c.jsonl").write_text(lines)
    out = tmp_path / "p.html"
    # Lines of text have no columns, so the JSON lines' only field is found by itself.
    assert main(["report", str(tmp_path / "in"), "-o", str(out)]) == 0
    html = out.read_text(encoding="utf-8")
    assert "3 files with texts, those first of which most is truncated." in html
    tokens = Tokenizer().count(LONG)
    share = f"{100 * over(LONG) / 40:.1f}%"
    assert cells(html, "long.txt") == [
        *("long.txt", "40", f"{tokens.mean():.1f}", f"{tokens.max()}", f"{over(LONG)}", share)
    ]
    assert cells(html, str(Path("below") / "c.jsonl"))[1] == "30" and cells(html, "short.txt")[4] == "0"
    assert html.index("long.txt</") < html.index("c.jsonl</")
    assert main(["report", str(tmp_path / "in" / "*.txt"), "-o", str(out)]) == 0
    assert "2 files with texts" in out.read_text(encoding="utf-8")
    assert "80 texts" in capsys.readouterr().err


def test_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, out = write(tmp_path / "a.txt", SHORT), write(tmp_path / "<b>.txt", LONG), tmp_path / "p.html"
    assert main(["report", str(a), "--against", str(b), "-o", str(out)]) == 0
    html = out.read_text(encoding="utf-8")
    assert cells(html, "Of all texts") == ["Of all texts", "a.txt", "<b>.txt"]
    assert cells(html, "texts") == ["texts", "40", "40"]
    assert cells(html, "longest") == [
        "longest",
        str(Tokenizer().count(SHORT).max()),
        str(Tokenizer().count(LONG).max()),
    ]
    assert cells(html, "77 tokens") == [
        "77 tokens",
        "40",
        "100%",
        f"{40 - over(LONG)}",
        f"{100 - 2.5 * over(LONG):.1f}%",
    ]
    ends = {re.findall(r'class="tick"[^>]*middle[^>]*>(\d+)<', svg)[-1] for svg in re.findall("<svg.*?</svg>", html)}
    assert html.count("<svg") == 2 and len(ends) == 1  # The same axis.
    assert "<b>" not in html and "picked by chance" in html
    assert capsys.readouterr().err.count("\n") == 2
    assert main(["report", "-", "--against", "-"]) == 2
    assert "cannot be read twice" in capsys.readouterr().err
    write(tmp_path / "none.txt", [])
    assert main(["report", str(a), "--against", str(tmp_path / "none.txt"), "-o", str(out)]) == 0
    assert "There is no text in <bdi>none.txt</bdi>" in out.read_text(encoding="utf-8")


def test_two_tokenizers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, out = write(tmp_path / "a.txt", [*SHORT, *MARKED]), tmp_path / "p.html"
    assert main(["report", str(a), "--against-profile", "open_clip", "--max-length", "9", "-o", str(out)]) == 0
    html = out.read_text(encoding="utf-8")
    assert cells(html, "Of all texts") == ["Of all texts", "transformers", "open_clip"]
    tokens = [f"{int(Tokenizer(profile).count([*SHORT, *MARKED]).sum())}" for profile in ("transformers", "open_clip")]
    assert cells(html, "tokens") == ["tokens", *tokens]
    assert "<p>2 texts, 4.7% of all, with other tokens" in html
    for more, message in (
        (["--against-profile", "transformers"], "both tokenizers are transformers"),
        (["--against-profile", "openai", "--against", str(a)], "one of these"),
        (["--against-tokenizer", str(a)], "is a file; expected a tokenizer's folder"),
    ):
        assert main(["report", str(a), *more, "-o", str(out)]) == 2
        assert message in capsys.readouterr().err
    Tokenizer(pad_token="!").save_pretrained(tmp_path / "saved")
    assert main(["report", str(a), "--against-tokenizer", str(tmp_path / "saved"), "-o", str(out)]) == 0
    assert "Nowhere: every text has the same ids in both" in out.read_text(encoding="utf-8")


def test_tokens_of_other_vocabularies_are_compared_by_what_they_are(tmp_path: Path) -> None:
    """A tokenizer with the ids of two tokens exchanged reads everything in the same way."""
    tok = Tokenizer()
    tok.save_pretrained(tmp_path / "tok")
    (tmp_path / "tok" / "tokenizer.json").unlink()
    vocabulary = json.loads((tmp_path / "tok" / "vocab.json").read_text(encoding="utf-8"))
    vocabulary["cat</w>"], vocabulary["dog</w>"] = vocabulary["dog</w>"], vocabulary["cat</w>"]
    (tmp_path / "tok" / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    other = Tokenizer.from_pretrained(tmp_path / "tok")
    assert other.encode("a cat") != tok.encode("a cat")
    other.add_tokens("<frog>")
    texts = ["a cat", "a dog and a cat", "a <frog>"]
    differences = Differences(tok, other)
    surveys = Survey(tok, profiles=False), Survey(other, profiles=False)
    first, second = (survey.add(texts) for survey in surveys)
    assert first is not None and second is not None
    differences.add(first, second, lambda row: texts[row])
    assert differences.texts == 1
    _, (difference,) = differences.most_frequent(5)
    assert difference.example == "a <frog>" and other.decode(difference.second) == "<frog>"


def test_the_same_files_in_two_folders_have_their_folders_names(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a" / "x.txt", SHORT), write(tmp_path / "b" / "x.txt", LONG)
    assert main(["report", str(a), "--against", str(b), "-o", str(tmp_path / "p.html")]) == 0
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert cells(html, "Of all texts") == ["Of all texts", str(a), str(b)]


def test_names_of_tokenizers_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    pair = Tokenizer(), Tokenizer("open_clip")
    path = write(tmp_path / "a.txt", MARKED)
    compare_tokenizers(path, tmp_path / "p.html", pair, ("<script>a", "b</code><b>"))
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<script>" not in html and "<b>" not in html
