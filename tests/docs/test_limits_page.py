"""docs/limits.md has every limit, as the code has it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "limits.md"
NAMED = re.compile(r"^\| `(MAX_\w+)` \|([^|]*)\|[^|]*?(?:`([^`]*)`\))? \|$", re.MULTILINE)
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def limits() -> dict[str, tuple[str, int | dict[str, int]]]:
    """The limits of the package: module-level names that begin with MAX_, with file and value."""
    found = {}
    for path in sorted((ROOT / "python" / "cliptok").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if name.startswith("MAX_"):
                    value = eval(compile(ast.Expression(node.value), name, "eval"), {})
                    found[name] = (path.relative_to(ROOT / "python" / "cliptok").as_posix(), value)
    for path in sorted((ROOT / "rust" / "bindings").rglob("*.rs")):
        for name, shown in re.findall(r"const (MAX_\w+): \w+ = ([^;]*);", path.read_text(encoding="utf-8")):
            found[name] = (path.relative_to(ROOT).as_posix(), eval(shown, {}))
    return found


def number(shown: str) -> int:
    digits, _, unit = shown.strip().partition(" ")
    return int(digits.replace(",", "")) * UNITS.get(unit, 1)


@pytest.mark.skipif(not (ROOT / "rust" / "bindings").is_dir(), reason="not a checkout")
def test_every_limit_is_on_the_page() -> None:
    listed = {name: (file, value) for name, value, file in NAMED.findall(PAGE.read_text(encoding="utf-8"))}
    code = limits()
    assert listed.keys() == code.keys() | {"MAX_JSON_DEPTH"} and len(code) > 8
    for name, (file, value) in code.items():
        if isinstance(value, dict):
            parts = dict(part.strip().rsplit(" ", 1) for part in listed[name][1].split(";"))
            assert {size: number(shown) for size, shown in parts.items()} == value
        else:
            assert number(listed[name][1]) == value, name
        assert listed[name][0] in (file, ""), name


def test_security_follows_from_the_page() -> None:
    assert "cliptok.github.io/cliptok/limits/" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
