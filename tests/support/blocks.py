"""Python blocks of Markdown pages: run in order as one program, with what they say about their values checked.

What is checked: a value whose comment, behind it or on the next line, begins with a literal or a shape; and what a
block prints, where a block of `text` follows at once.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_FENCES = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_LITERAL = re.compile(r"\[[^\]]*\]|\((?:torch\.Size|\d)[^#]*\)|\{[^}]*\}|'[^']*'|\d+")


class Block(NamedTuple):
    source: str
    line: int
    printed: str | None


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCES.finditer(text):
        yield Block(found[1], text.count("\n", 0, found.start(1)) + 1, found[2])


def run(block: Block, names: dict[str, Any], page: Path) -> int:
    """Execute a block in `names`, and return how many of its values were checked."""
    checked = 0
    printed = io.StringIO()
    lines = block.source.splitlines()
    tree = ast.parse(block.source)
    ast.increment_lineno(tree, block.line - 1)
    with contextlib.redirect_stdout(printed):
        for statement in tree.body:
            said = _comment(lines, statement, block.line)
            if isinstance(statement, ast.Expr):
                value = eval(compile(ast.Expression(statement.value), page, "eval"), names)
            else:
                exec(compile(ast.Module([statement], []), page, "exec"), names)
                target = statement.targets[0] if isinstance(statement, ast.Assign) else None
                value = names[target.id] if isinstance(target, ast.Name) else None
            if said and value is not None:
                assert _agrees(said, value), f"{page.name}:{statement.lineno}: {said!r}, and it is {value!r}"
                checked += 1
    if block.printed is not None:
        assert printed.getvalue() == block.printed
        checked += 1
    return checked


def _comment(lines: list[str], statement: ast.stmt, first: int) -> str | None:
    """The literal that a statement's comment begins with."""
    last = (statement.end_lineno or statement.lineno) - first
    behind = lines[last].rpartition("  # ")[2] if "  # " in lines[last] else ""
    below = lines[last + 1] if last + 1 < len(lines) and isinstance(statement, ast.Expr) else ""
    said = behind or below.removeprefix("# ") * below.startswith("# ")
    found = _LITERAL.match(re.sub(r"^(?:u?int\d+|float\d+) ", "", said))
    return found[0] if found else None


def _agrees(said: str, value: Any) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    shapes = [str(tuple(one.shape)) for one in values if hasattr(one, "shape")]
    lists = [str(one.tolist()) for one in values if hasattr(one, "tolist")]
    return said == repr(value) or said in lists or (bool(shapes) and said == ", ".join(shapes))
