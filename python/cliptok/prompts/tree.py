"""What a grammar makes of a prompt: parts joined one after the other, blends inside them, weighted pieces of text."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from cliptok.prompts.errors import place


class Piece(NamedTuple):
    """Text that is tokenized by itself, its weight, and where it stands in the prompt."""

    text: str
    weight: float
    start: int
    end: int
    breaks: bool = False
    """A chunk ends here; the text is the word that said so and is not encoded."""


class Notice(NamedTuple):
    """A warning of a grammar, at a position of the text."""

    start: int
    kind: str
    message: str


@dataclasses.dataclass
class Member:
    """One text of a blend."""

    pieces: list[Piece]
    weight: float = 1.0
    edited: list[Piece] | None = None
    """What the text is with its swaps made: the result is as long as the longer of the two."""


@dataclasses.dataclass
class Part:
    """What is encoded by itself and joined to the other parts along the sequence; a blend if it has several members."""

    members: list[Member]
    weight: float = 1.0
    normalize: bool = True


class Network(NamedTuple):
    """An extra network that the prompt asks for, such as `<lora:name:0.8>` or `withLora(name, 0.8)`."""

    kind: str
    name: str
    arguments: tuple[str, ...]


class Swap(NamedTuple):
    """compel's `.swap()`: the pieces that take the place of others, and the options of the attention swap."""

    original: list[Piece]
    edited: list[Piece]
    options: dict[str, Any]


@dataclasses.dataclass
class Parsed:
    """The tree of one prompt. `str()` prints it with the place of every piece."""

    text: str
    parts: list[Part]
    notices: list[Notice] = dataclasses.field(default_factory=list)
    networks: list[Network] = dataclasses.field(default_factory=list)
    swaps: list[Swap] = dataclasses.field(default_factory=list)
    shown: list[Piece] | None = None
    """The pieces in the order of the text, where some are not in `parts`: what only separates parts."""

    @classmethod
    def flat(cls, text: str, pieces: list[Piece], notices: list[Notice] | None = None) -> Parsed:
        """A prompt without joins and blends."""
        return cls(text, [Part([Member(pieces)])], notices or [])

    @property
    def pieces(self) -> list[Piece]:
        """All pieces in order, whatever part and member they belong to."""
        if self.shown is not None:
            return self.shown
        return [piece for part in self.parts for member in part.members for piece in member.pieces]

    def __str__(self) -> str:
        lines: list[str] = []
        for number, part in enumerate(self.parts):
            if len(self.parts) > 1 or part.weight != 1.0:
                lines.append(f"part {number + 1}, weight {part.weight:g}")
            for member in part.members:
                if len(part.members) > 1:
                    lines.append(f"  blend, weight {member.weight:g}{'' if part.normalize else ', not normalized'}")
                for piece in member.pieces:
                    line, column = place(self.text, piece.start)
                    what = "BREAK" if piece.breaks else f"{piece.weight:g} {piece.text!r}"
                    lines.append(f"    {line}:{column}  {what}")
        lines += [f"network {kind} {name} {' '.join(arguments)}".rstrip() for kind, name, arguments in self.networks]
        return "\n".join(lines)
