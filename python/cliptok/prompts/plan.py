"""A plan: what a batch of prompts becomes before anything is encoded. Text and integers, no torch.

It prints, compares, and can be written as JSON and read back.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cliptok._common.json_files import parse_json
from cliptok.prompts.errors import PromptWarning
from cliptok.prompts.token_rows import Masked
from cliptok.prompts.tree import Network

Int32 = npt.NDArray[np.int32]
Float32 = npt.NDArray[np.float32]


class PlacedFix(NamedTuple):
    """`vectors` vectors of the textual inversion `name`, from number `first`, at `position` of chunk `chunk`."""

    chunk: int
    position: int
    name: str
    first: int
    vectors: int


class Removed(NamedTuple):
    """The chunks of a section without one fragment, whose `weight` is below 1."""

    weight: float
    ids: Int32
    weights: Float32


@dataclasses.dataclass(slots=True)
class Section:
    """One text among those that are joined or blended: chunks `start` to `stop`, which go to chunk `first` on."""

    start: int
    stop: int
    first: int
    length: int
    """Chunks that it takes in the result; what it lacks is the empty prompt."""
    mix: float = 1.0
    """What it is multiplied by in a blend."""
    weight: float = 1.0
    """How far its part moves away from the empty prompt."""
    masks: list[Masked] = dataclasses.field(default_factory=list)
    removed: list[Removed] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class Chunks:
    """One prompt for one encoder."""

    ids: Int32
    """(chunks, 77), begin, end and padding included."""
    weights: Float32
    """(chunks, 77)"""
    pieces: Int32
    """(chunks, 77): the number of the piece that each id comes from, -1 for none."""
    words: Int32
    """(chunks, 77): the number of the group that is weighted together, 0 for none."""
    spans: Int32
    """(chunks, 2): the positions that take part in the result, from and to."""
    sections: list[Section]
    """The texts that are joined or blended, and the chunks of each."""
    fixes: list[PlacedFix]
    """Textual inversions, with their places."""
    notes: list[str]
    """For each chunk why the next one begins: full, break, comma, word, sentence, phrase, or nothing."""
    count: int
    """Tokens as the tool counts them."""
    dropped: int
    """Tokens that are lost."""
    pooled_ids: Int32 | None = None
    """(77,) where the pooled output is of something else than these chunks."""

    @property
    def length(self) -> int:
        """Chunks of the result."""
        return max((section.first + section.length for section in self.sections), default=0)

    @property
    def is_composed(self) -> bool:
        """Whether the text is more than its own chunks one after the other."""
        at = 0
        for section in self.sections:
            if section.mix != 1 or section.weight != 1 or section.first != at or section.start != at:
                return True
            at = section.stop
            if section.length != section.stop - section.start:
                return True
        return False

    @property
    def positions(self) -> int:
        """Positions of the result."""
        return 77 * self.length if self.is_composed else int((self.spans[:, 1] - self.spans[:, 0]).sum())


@dataclasses.dataclass
class Side:
    """The prompts of a batch, or its negative prompts."""

    texts: list[tuple[str, ...]]
    """For each prompt the text that each encoder reads."""
    pieces: list[list[tuple[str, float]]] = dataclasses.field(default_factory=list)
    """For each prompt its pieces with their weights, as its first encoder reads it."""
    spans: list[list[tuple[int, int]]] = dataclasses.field(default_factory=list)
    """For each piece where it stands in the text."""
    chunks: list[tuple[Chunks, ...]] = dataclasses.field(default_factory=list)
    """For each prompt what each encoder gets."""
    networks: list[list[Network]] = dataclasses.field(default_factory=list)
    groups: list[int] = dataclasses.field(default_factory=list)
    """Prompts with the same number are one batch where a dialect takes a mean over a batch."""

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def joined(cls, sides: Sequence[Side]) -> Side:
        """The texts of several sides, each with batches of its own."""
        made = cls([])
        for side in sides:
            offset = max(made.groups, default=-1) + 1
            made.groups += [group + offset for group in side.groups]
            for name in ("texts", "pieces", "spans", "chunks", "networks"):
                getattr(made, name).extend(getattr(side, name))
        return made


@dataclasses.dataclass
class Plan:
    """A batch of prompts, planned: `plan.chunks[i][k]` is what encoder k gets of prompt i."""

    dialect: str
    """The name of the dialect."""
    family: str
    """The name of the model family."""
    parts: dict[str, str]
    """The dialect's parts by name."""
    settings: dict[str, Any]
    """The settings that were in force, by name."""
    fixed: list[str]
    """The oddities that are mended."""
    prompts: Side
    """The prompts."""
    negatives: Side | None
    """The negative prompts, where there are any."""
    warnings: list[PromptWarning] = dataclasses.field(default_factory=list)
    """About the prompts."""
    negative_warnings: list[PromptWarning] = dataclasses.field(default_factory=list)
    """About the negative prompts."""

    @property
    def pieces(self) -> list[list[tuple[str, float]]]:
        """For each prompt its pieces with their weights, as its first encoder reads it."""
        return self.prompts.pieces

    @property
    def chunks(self) -> list[tuple[Chunks, ...]]:
        """For each prompt what each encoder gets."""
        return self.prompts.chunks

    @property
    def networks(self) -> list[list[Network]]:
        """For each prompt the extra networks that it asks for; A1111 takes those of the first of a batch."""
        return self.prompts.networks

    @property
    def token_counts(self) -> list[int]:
        """For each prompt its tokens as the tool counts them, for its first encoder."""
        return [chunks[0].count for chunks in self.prompts.chunks]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.to_json() == other.to_json()

    @classmethod
    def joined(cls, plans: Sequence[Plan]) -> Plan:
        """The prompts of plans without negatives, each a batch of its own. Raises ValueError for plans that differ."""
        first = plans[0]
        for name in ("dialect", "family", "parts", "settings", "fixed"):
            if any(getattr(plan, name) != getattr(first, name) for plan in plans):
                raise ValueError(f"the plans have different {name}")
        if any(plan.negatives is not None for plan in plans):
            raise ValueError("the plans have negative prompts; make them with negative=False")
        warnings: list[PromptWarning] = []
        start = 0
        for plan in plans:
            warnings += [warning._replace(row=warning.row + start) for warning in plan.warnings]
            start += len(plan.prompts)
        return dataclasses.replace(first, prompts=Side.joined([plan.prompts for plan in plans]), warnings=warnings)

    def to_json(self) -> str:
        """The plan as one JSON text."""
        return json.dumps(_plain(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """What `to_json` wrote. Raises ValueError for anything else."""
        try:
            return _plan(parse_json(text))
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError, AssertionError) as error:
            raise ValueError(f"this is no plan: {error!r}") from None

    def __str__(self) -> str:
        lines = [f"{self.dialect}, {self.family}: {len(self.prompts)} prompts"]
        for row, (text, pieces, chunks) in enumerate(
            zip(self.prompts.texts, self.prompts.pieces, self.prompts.chunks, strict=True)
        ):
            lines.append(f"{row}: {text[0]!r}, {chunks[0].count} tokens, {chunks[0].length} chunks")
            lines += [f"    {weight:g} {piece!r}" for piece, weight in pieces]
        return "\n".join([*lines, *map(str, self.warnings)])


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _plan(value: dict[str, Any]) -> Plan:
    sides = [None if value[name] is None else _side(value[name]) for name in ("prompts", "negatives")]
    assert sides[0] is not None
    return Plan(
        value["dialect"],
        value["family"],
        value["parts"],
        value["settings"],
        value["fixed"],
        sides[0],
        sides[1],
        [PromptWarning(*warning) for warning in value["warnings"]],
        [PromptWarning(*warning) for warning in value["negative_warnings"]],
    )


def _side(value: dict[str, Any]) -> Side:
    return Side(
        texts=[tuple(texts) for texts in value["texts"]],
        pieces=[[(text, weight) for text, weight in pieces] for pieces in value["pieces"]],
        spans=[[(start, end) for start, end in spans] for spans in value["spans"]],
        chunks=[tuple(_chunks(chunks) for chunks in each) for each in value["chunks"]],
        networks=[[Network(kind, name, tuple(rest)) for kind, name, rest in each] for each in value["networks"]],
        groups=value["groups"],
    )


def _chunks(value: dict[str, Any]) -> Chunks:
    ids = np.array(value["ids"], np.int32).reshape(-1, 77)
    pooled = value["pooled_ids"]
    return Chunks(
        ids=ids,
        weights=np.array(value["weights"], np.float32).reshape(-1, 77),
        pieces=np.array(value["pieces"], np.int32).reshape(-1, 77),
        words=np.array(value["words"], np.int32).reshape(-1, 77),
        spans=np.array(value["spans"], np.int32).reshape(-1, 2),
        sections=[_section(section) for section in value["sections"]],
        fixes=[PlacedFix(*fix) for fix in value["fixes"]],
        notes=value["notes"],
        count=value["count"],
        dropped=value["dropped"],
        pooled_ids=None if pooled is None else np.array(pooled, np.int32),
    )


def _section(value: dict[str, Any]) -> Section:
    removed = [
        Removed(weight, np.array(ids, np.int32).reshape(-1, 77), np.array(weights, np.float32).reshape(-1, 77))
        for weight, ids, weights in value.pop("removed")
    ]
    masks = [Masked(*mask) for mask in value.pop("masks")]
    return Section(**value, masks=masks, removed=removed)
