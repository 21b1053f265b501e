"""HTML: sections, tables, and texts that are shown as they are and never obeyed."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from cliptok.report.token_texts import token_texts

if TYPE_CHECKING:
    from cliptok.tokenizer.tokenizer import Tokenizer

_LONGEST = 600
"""Characters of a text, or of a part of one, that are shown."""
# Control characters have pictures of their own; browsers would drop some and obey others.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {127: 0x2421}
_PICTURES |= dict.fromkeys(range(128, 160), 0xFFFD)


def plain(text: str, most: int = _LONGEST, from_end: bool = False) -> str:
    """A text shortened to its first characters or to its last."""
    if len(text) > most:
        text = f"… {text[-most:]}" if from_end else f"{text[:most]} …"
    return escape(text.translate(_PICTURES))


def shown(text: str, most: int = _LONGEST) -> str:
    """The same inside a line, which keeps its own direction of writing."""
    return f"<bdi>{plain(text, most)}</bdi>"


def block(*texts: str) -> str:
    """HTML of one text that keeps its white space and its direction of writing."""
    return f'<div class="text" dir="auto">{"".join(texts)}</div>'


def tokens(tok: "Tokenizer", ids: Sequence[int]) -> str:
    """A box for each token; for several together where they make up a character, with their number."""
    return "".join(
        f'<span class="piece">{shown(piece.text, 80)}{f"<sub>{piece.tokens}</sub>" if piece.tokens > 1 else ""}</span>'
        for piece in token_texts(tok, ids)
    )


def bar(share: float, kind: str = "kept") -> str:
    """A bar as long as this share of its cell."""
    return f'<span class="bar {kind}" style="width:{100 * share:.1f}%"></span>'


def section(title: str, *parts: str) -> str:
    """A card of the page. All arguments are HTML."""
    return f"<section>\n<h2>{title}</h2>\n" + "\n".join(parts) + "\n</section>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: set[int]) -> str:
    """A table of cells that are HTML; the columns in `right` hold numbers."""

    def cells(kind: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{kind} class="right">{cell}</{kind}>' if at in right else f"<{kind}>{cell}</{kind}>"
            for at, cell in enumerate(row)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    label = f'tabindex="0" role="region" aria-label="{next(filter(None, heads))}"'  # So that arrow keys scroll it.
    return f'<div class="scroll" {label}><table>\n<tr>{cells("th", heads)}</tr>\n{body}\n</table></div>'
