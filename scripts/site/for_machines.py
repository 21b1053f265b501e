"""The documentation for those who read Markdown: `llms.txt`, and every page where its links point."""

from __future__ import annotations

import re
from pathlib import Path

import reference


def write_for_machines(menu: list[dict[str, object]], source: Path, built: Path, site: str) -> None:
    """Copy the pages' Markdown below `built`, those of the reference written out, and list them in `llms.txt`."""
    package = reference.load()
    found = re.search(r'^description = "(.+)"$', Path("pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    lines = ["# cliptok\n", f"> {found[1]}\n"]
    for entry in menu:
        ((part, pages),) = entry.items()
        lines.append(f"## {part}\n")
        for title, path in _leaves(part, pages):
            lines.append(f"- [{title}]({site}{path})")
            text = (source / path).read_text(encoding="utf-8")
            if path.startswith("reference/"):
                name = path.removeprefix("reference/").removesuffix(".md")
                text = reference.plain(name, package[name.removeprefix("cliptok.")])
            (built / path).parent.mkdir(parents=True, exist_ok=True)
            (built / path).write_text(text, encoding="utf-8")
        lines.append("")
    (built / "llms.txt").write_text("\n".join(lines), encoding="utf-8")


def _leaves(title: str, pages: object) -> list[tuple[str, str]]:
    """The titles and paths of the pages in a part of the menu."""
    if isinstance(pages, str):
        return [(title, pages)]
    assert isinstance(pages, list)
    return [leaf for entry in pages for name, below in entry.items() for leaf in _leaves(name, below)]
