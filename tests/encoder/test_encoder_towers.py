"""Every preset of open_clip and the families of transformers: equal or refused by name, and the page that says so."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
pytest.importorskip("open_clip")
from support.open_clip_main import PRESETS
from support.text_towers import (
    EQUAL,
    open_clip_presets,
    page,
    transformers_families,
    try_open_clip,
    try_transformers,
)

PAGE = Path(__file__).parents[2] / "docs" / "text-towers.md"
REFUSED = ("describes a text tower", "is no CLIP text tower")


def results() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    found: tuple[dict[str, str], dict[str, str], dict[str, str]] = ({}, {}, {})
    for number, presets in enumerate((open_clip_presets(), PRESETS)):
        for name, model in presets.items():
            with tempfile.TemporaryDirectory() as folder:
                found[number][name] = try_open_clip(name, model, Path(folder))
    for name in transformers_families():
        with tempfile.TemporaryDirectory() as folder:
            found[2][name] = try_transformers(name, Path(folder))
    return found


def test_every_published_tower_is_equal_or_refused_by_name():
    open_clip, main, transformers = results()
    for name, result in {**open_clip, **main, **transformers}.items():
        assert result == EQUAL or any(words in result for words in REFUSED), (name, result)
    assert sum(result == EQUAL for result in open_clip.values()) >= 90
    assert PAGE.read_text(encoding="utf-8") == page(open_clip, main, transformers)


if __name__ == "__main__":
    PAGE.write_text(page(*results()), encoding="utf-8")
