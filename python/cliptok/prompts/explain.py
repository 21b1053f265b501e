"""What happens to a prompt, for human eyes: its chunks with weights as colours, and why each chunk ends."""

from __future__ import annotations

import dataclasses
from html import escape
from typing import Any, NamedTuple

from cliptok.prompts.errors import PromptWarning
from cliptok.prompts.plan import Chunks
from cliptok.prompts.planner import Planner
from cliptok.prompts.tokens import PieceTokenizer
from cliptok.prompts.tree import Network

_WHY = {
    "full": "full after 75 tokens",
    "break": "BREAK",
    "comma": "full: what follows the last comma moves on",
    "word": "the next piece does not fit and moves on whole",
    "sentence": "full: cut after a sentence",
    "phrase": "full: cut after a phrase",
}
_PLAIN = "\x1b[0m"


class ShownToken(NamedTuple):
    """A token's text and its weight; `glued` ones have no space after them."""

    text: str
    weight: float
    glued: bool


@dataclasses.dataclass
class ShownChunk:
    """The tokens of a chunk, and why the next one begins."""

    tokens: list[ShownToken]
    why: str

    def runs(self) -> list[tuple[float, str]]:
        """Neighbours of equal weight as one text."""
        found: list[tuple[float, str]] = []
        for token in self.tokens:
            text = token.text + ("" if token.glued else " ")
            if found and found[-1][0] == token.weight:
                found[-1] = token.weight, found[-1][1] + text
            else:
                found.append((token.weight, text))
        return found


@dataclasses.dataclass
class Explanation:
    """How a dialect reads one prompt. Prints as text; a notebook shows it as HTML."""

    dialect: str
    prompt: str
    pieces: list[tuple[str, float]]
    chunks: list[ShownChunk]
    tokens: int
    warnings: list[PromptWarning]
    networks: list[Network]

    def __str__(self) -> str:
        return self.text()

    def text(self, colour: bool = False) -> str:
        """As lines: weights in brackets, or as colours for a terminal."""
        count = len(self.chunks)
        lines = [f"{self.dialect}: {self.tokens} tokens in {count} chunk{'s' if count != 1 else ''} of 77"]
        for number, chunk in enumerate(self.chunks):
            shown = "".join(_run(weight, text, colour) for weight, text in chunk.runs()).rstrip()
            lines.append(f"  {number + 1}  {len(chunk.tokens):>2}  {shown}{_PLAIN if colour else ''}")
            if chunk.why:
                lines.append(f"         -- {chunk.why}")
        lines += [f"  {_printable(' '.join([kind, name, *rest]))}" for kind, name, rest in self.networks]
        lines += [f"  ! {warning.line}:{warning.column} {warning.message}" for warning in self.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for number, chunk in enumerate(self.chunks):
            shown = "".join(
                f'<span title="{weight:g}" style="background:{_shade(weight)}">{escape(text)}</span>'
                for weight, text in chunk.runs()
            )
            rows.append(
                f"<tr><td>{number + 1}</td><td>{len(chunk.tokens)}</td>"
                f'<td style="text-align:left">{shown}</td><td>{escape(chunk.why)}</td></tr>'
            )
        notes = "".join(f"<li>{escape(' '.join([kind, name, *rest]))}</li>" for kind, name, rest in self.networks)
        notes += "".join(f"<li>{w.line}:{w.column} {escape(w.message)}</li>" for w in self.warnings)
        return (
            f"<p><b>{escape(self.dialect)}</b>: {self.tokens} tokens</p>"
            "<table><tr><th>chunk</th><th>tokens</th><th>text, weights as colours</th><th>ends</th></tr>"
            f"{''.join(rows)}</table>{f'<ul>{notes}</ul>' if notes else ''}"
        )


def explain(planner: Planner, prompt: str, **settings: Any) -> Explanation:
    """How the planner's dialect reads a prompt, for its first encoder. Raises PromptError."""
    plan = planner.plan([prompt], negative=False, **settings)
    tokenizer = next(iter(planner.tokenizers.values()))
    return Explanation(
        dialect=plan.dialect,
        prompt=prompt,
        pieces=plan.pieces[0],
        chunks=_shown(plan.chunks[0][0], tokenizer),
        tokens=plan.token_counts[0],
        warnings=plan.warnings,
        networks=plan.networks[0],
    )


def _shown(chunks: Chunks, tokenizer: PieceTokenizer) -> list[ShownChunk]:
    result = []
    for number, ids in enumerate(chunks.ids):
        names = {
            fix.position + place: f"<{fix.name}>"
            for fix in chunks.fixes
            if fix.chunk == number
            for place in range(fix.vectors)
        }
        tokens = []
        for place in (chunks.pieces[number] >= 0).nonzero()[0].tolist():
            token = names.get(place) or tokenizer.token(int(ids[place]))
            text = token.removesuffix("</w>")
            if not text.isascii():
                decoded = str(tokenizer.tokenizer.decode([int(ids[place])])).strip()
                # A part of a character has no text of its own, and no text moves a terminal's cursor.
                text = decoded if decoded.isprintable() and "\ufffd" not in decoded else text
            glued = token == text and place not in names
            tokens.append(ShownToken(text, float(chunks.weights[number, place]), glued))
        result.append(ShownChunk(tokens, _WHY.get(chunks.notes[number], "")))
    return result


def _printable(text: str) -> str:
    """Without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _run(weight: float, text: str, colour: bool) -> str:
    if weight == 1.0:
        return text
    if colour:
        return f"\x1b[{_code(weight)}m{text.rstrip()}{_PLAIN} "
    return f"[{text.rstrip()}:{weight:g}] "


def _code(weight: float) -> str:
    """Warm for more, cold for less, the stronger the further from 1."""
    if weight > 1:
        return "38;5;214" if weight < 1.25 else "38;5;202" if weight < 1.6 else "1;38;5;196"
    return "38;5;110" if weight > 0.75 else "38;5;68" if weight > 0.4 else "38;5;61"


def _shade(weight: float) -> str:
    strength = min(abs(weight - 1), 1)
    if weight == 1:
        return "none"
    colour = "230,80,20" if weight > 1 else "40,90,220"
    return f"rgba({colour},{0.15 + 0.5 * strength:.2f})"
