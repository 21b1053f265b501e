"""The report in headless Chromium: at three widths, light and dark, by keyboard, on paper, and with hostile texts.

Debian's package `chromium` is enough. Where there is none the tests are skipped: continuous integration installs none.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cliptok import Tokenizer
from cliptok.report import compare_tokenizers, write_report
from support.browser import CHROMIUM, Page, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing (Debian: apt-get install chromium)")

HOSTILE = [
    "<script>document.title='run'</script>",
    '"><img src=x onerror="document.title=1"><svg onload=alert(1)>',
    "</style><link rel=stylesheet href=https://example.com/a.css>",
    "<iframe src=https://example.com></iframe> &lt;b&gt; javascript:alert(1) " * 9,
    "\u202eright to left \x00\x1b[31m " + "a" * 5000,
]
TEXTS = [
    *(f"a photo of {number} cats on a wooden table, {'very ' * (number % 120)}small" for number in range(400)),
    *("an antidisestablishmentarianism floccinaucinihilipilification of pneumonoultramicroscopicsilicovolcanoconiosis",)
    * 30,
    *("“quoted” text &amp; more, 日本語の説明文です",) * 40,
    *HOSTILE,
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    name = "<img src=x onerror=alert(1)>.txt" if os.name != "nt" else "captions.txt"
    (folder / name).write_bytes("".join(text.replace("\n", " ") + "\n" for text in TEXTS).encode())
    write_report(folder / name, folder / "page.html")
    return folder / "page.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_it_fits(width: int, dark: bool, report: Path, page: Page) -> None:
    page.open(report, width, dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    limit = "[...document.querySelectorAll('svg line.limit')].map(e => e.getBoundingClientRect()).filter(b => b.height)"
    (left,) = page.evaluate(f"{limit}.map(box => box.left)")
    assert 0 < left < width
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect().height).filter(h => h)"
    )
    assert min(sizes) > 9  # Text that can be read.
    split = page.evaluate("[...document.querySelectorAll('td:has(> .piece)')].map(e => e.clientWidth)")
    assert split and min(split) >= 180
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        ".map(c => c.match(/[0-9]+/g).map(Number).reduce((a, b) => a + b))"
    )
    assert (ink > paper) is dark and abs(ink - paper) > 400


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_two_sides_fit(width: int, report: Path, page: Page) -> None:
    compared = report.with_name("compared.html")
    inputs = next(path for path in report.parent.iterdir() if path.suffix == ".txt")
    compare_tokenizers(inputs, compared, (Tokenizer(), Tokenizer("open_clip")), ("transformers", "open_clip"))
    page.requests.clear()
    page.problems.clear()
    page.open(compared, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawn = page.evaluate(
        "[...document.querySelectorAll('svg')].map(e => [e.getBoundingClientRect().x, e.clientWidth])"
    )
    (left, wide), (right, as_wide) = drawn
    assert wide == as_wide >= 300 and (left == right if width == 390 else right >= left + wide)
    pages, _ = page.pages_of_pdf()
    assert pages <= page.evaluate("document.documentElement.scrollHeight") / 700 + 2
    assert page.requests == [compared.as_uri()] and page.problems == []


def test_arrow_keys_scroll_what_is_wide(report: Path, page: Page) -> None:
    page.open(report, 390)
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert page.evaluate(wide) > 0
    reached = set()
    for _ in range(8):
        page.tab()
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    assert {"In a row of", "Word", "transformers"} <= reached


def test_on_paper(report: Path, page: Page) -> None:
    page.open(report, 1280, dark=True)
    pages, _ = page.pages_of_pdf()
    page.ask("Emulation.setEmulatedMedia", media="print")
    height = page.evaluate("document.documentElement.scrollHeight")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    assert pages <= height / 1000 + 2, (pages, height)  # None is nearly empty.
    page.ask("Emulation.setEmulatedMedia", media="")


def test_nothing_runs_and_nothing_is_fetched(report: Path, page: Page) -> None:
    page.requests.clear()
    page.problems.clear()
    page.open(report, 1280)
    assert page.evaluate("document.title").endswith("cliptok report")
    assert (
        page.evaluate("document.querySelectorAll('script, img, iframe, link, object, [onload], [onerror]').length") == 0
    )
    assert page.requests == [report.as_uri()]
    assert page.problems == []
    added = "document.head.appendChild(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    page.evaluate(added + " && 0")
    assert page.evaluate("window.ran") is None  # The page's own policy forbids it.
