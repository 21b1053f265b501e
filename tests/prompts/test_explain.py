"""What is shown of a prompt: nothing of it becomes markup, or moves a terminal's cursor."""

from html.parser import HTMLParser

import pytest

from cliptok.prompts import Planner
from cliptok.prompts.explain import explain

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)> (a"b\':1.3)',
    "</td></table><b onclick='x'>",
    '<lora:<b>x</b>:1> <lora:\x1b[2J:1> \'onmouseover="x"',
    "embedding:<i>x (&lt;b&gt;:1.2)",
    "\x1b[2J\x1b]0;title\x07 (\x9b31m:1.2)",
]


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add((tag, *(name for name, _ in attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("prompt", HOSTILE)
@pytest.mark.parametrize("dialect", ["a1111", "comfyui", "compel"])
def test_prompts_stay_text(dialect, prompt):
    shown = explain(Planner(dialect, on_error="literal"), prompt)
    page = Tags()
    page.feed(shown._repr_html_())
    known = {"p", "b", "table", "tr", "th", "td", "span", "ul", "li"}
    assert {tag for tag, *_ in page.tags} <= known
    assert {name for _, *names in page.tags for name in names} <= {"title", "style"}
    assert "\x1b" not in str(shown) and "\x9b" not in str(shown)


def test_what_the_page_says():
    shown = explain(Planner("a1111"), "a (fox & hound:1.3) BREAK <lora:style:0.8> night, 16:9")
    page = Tags()
    page.feed(shown._repr_html_())
    for words in ("fox & hound", "BREAK", "lora style 0.8", "weight 9", "a1111"):
        assert words in page.text, words
