"""What a grammar makes of a prompt: parts joined one after the other, blends inside them, weighted pieces of text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

from cliptok.prompts.errors import places


class Piece(NamedTuple):
    """Text that is tokenized by itself, its weight, and where it stands in the prompt."""

    text: str
    weight: float
    start: int
    end: int
    breaks: bool = False
    """A chunk ends here; the text is the word that said so and is not encoded."""


class Pieces(Sequence[Piece]):
    """The pieces of one text, in columns: a batch has ten of them per prompt, and an object for each takes its time."""

    __slots__ = ("breaks", "spans", "texts", "weights")

    def __init__(
        self, texts: list[str], weights: list[float], spans: list[tuple[int, int]], breaks: Sequence[int] = ()
    ) -> None:
        self.texts, self.weights, self.spans = texts, weights, spans
        self.breaks = breaks
        """The numbers of those that are no text but end a chunk."""

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> Pieces:
        return cls(
            [piece.text for piece in pieces],
            [piece.weight for piece in pieces],
            [(piece.start, piece.end) for piece in pieces],
            [number for number, piece in enumerate(pieces) if piece.breaks],
        )

    def sections(self) -> list[Pieces]:
        """What stands between those that end a chunk."""
        found = []
        start = 0
        for stop in [*self.breaks, len(self)]:
            found.append(Pieces(self.texts[start:stop], self.weights[start:stop], self.spans[start:stop]))
            start = stop + 1
        return found

    def extend(self, others: Pieces) -> None:
        """Append what ends no chunk."""
        self.texts += others.texts
        self.weights += others.weights
        self.spans += others.spans

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, number: int) -> Piece: ...
    @overload
    def __getitem__(self, number: slice) -> list[Piece]: ...
    def __getitem__(self, number: int | slice) -> Piece | list[Piece]:
        return list(self)[number]

    def __iter__(self) -> Iterator[Piece]:
        for number, (text, weight, (start, end)) in enumerate(zip(self.texts, self.weights, self.spans, strict=True)):
            yield Piece(text, weight, start, end, number in self.breaks)


class Notice(NamedTuple):
    """A warning of a grammar, at a position of the text."""

    start: int
    kind: str
    message: str


@dataclasses.dataclass(slots=True)
class Member:
    """One text of a blend."""

    pieces: Pieces
    weight: float = 1.0
    edited: Pieces | None = None
    """What the text is with its swaps made: the result is as long as the longer of the two."""


@dataclasses.dataclass(slots=True)
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

    original: Pieces
    edited: Pieces
    options: dict[str, Any]


@dataclasses.dataclass(slots=True)
class Parsed:
    """The tree of one prompt. `str()` prints it with the place of every piece."""

    text: str
    parts: list[Part]
    notices: list[Notice] = dataclasses.field(default_factory=list)
    networks: list[Network] = dataclasses.field(default_factory=list)
    swaps: list[Swap] = dataclasses.field(default_factory=list)
    shown: Pieces | None = None
    """The pieces in the order of the text, where some are not in `parts`: what only separates parts."""

    @classmethod
    def flat(cls, text: str, pieces: Pieces, notices: list[Notice] | None = None) -> Parsed:
        """A prompt without joins and blends."""
        return cls(text, [Part([Member(pieces)])], notices or [])

    @property
    def pieces(self) -> Pieces:
        """All pieces in order, whatever part and member they belong to."""
        if self.shown is not None:
            return self.shown
        members = [member for part in self.parts for member in part.members]
        if len(members) == 1:
            return members[0].pieces
        return Pieces.of([piece for member in members for piece in member.pieces])

    def __str__(self) -> str:
        lines: list[str] = []
        for number, part in enumerate(self.parts):
            if len(self.parts) > 1 or part.weight != 1.0:
                lines.append(f"part {number + 1}, weight {part.weight:g}")
            for member in part.members:
                if len(part.members) > 1:
                    lines.append(f"  blend, weight {member.weight:g}{'' if part.normalize else ', not normalized'}")
                at = places(self.text, (piece.start for piece in member.pieces))
                for (line, column), piece in zip(at, member.pieces, strict=True):
                    what = "BREAK" if piece.breaks else f"{piece.weight:g} {piece.text!r}"
                    lines.append(f"    {line}:{column}  {what}")
        lines += [f"network {kind} {name} {' '.join(arguments)}".rstrip() for kind, name, arguments in self.networks]
        return "\n".join(lines)
