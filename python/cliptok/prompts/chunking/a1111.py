"""AUTOMATIC1111's chunks: BREAK, and the comma that is looked for when a chunk is full."""

from __future__ import annotations

from typing import NamedTuple

from cliptok.prompts.token_rows import PLACES, Chunked, Fix, Row, Run, Tokens


class Inversions(NamedTuple):
    """Embeddings by the first id of their name: ids of the name, the name, how many vectors; longest names first."""

    by_first: dict[int, list[tuple[list[int], str, int]]]

    @classmethod
    def of(cls, names: dict[str, int], ids: dict[str, list[int]]) -> Inversions:
        by_first: dict[int, list[tuple[list[int], str, int]]] = {}
        for name, vectors in names.items():
            if ids[name]:
                by_first.setdefault(ids[name][0], []).append((ids[name], name, vectors))
        for found in by_first.values():
            found.sort(key=lambda entry: len(entry[0]), reverse=True)
        return cls(by_first)

    def at(self, ids: list[int], place: int) -> tuple[list[int], str, int] | None:
        for entry in self.by_first.get(ids[place], ()):
            if ids[place : place + len(entry[0])] == entry[0]:
                return entry
        return None


def chunk(
    pieces: list[Tokens],
    comma: int,
    backtrack: int = 20,
    inversions: Inversions | None = None,
    moves_fixes: bool = False,
) -> Chunked:
    """Rows of 75; when one is full, what follows its last comma moves on, if that is at most `backtrack` ids.

    `comma` is the id of a comma. An inversion's vectors are placeholders 0 among the ids. When they are moved, the
    vectors themselves stay where they were, as in the web UI; `moves_fixes=True` mends that.
    """
    inversions = inversions or Inversions({})
    fits = sum(len(tokens.ids) for tokens in pieces) <= PLACES and not any(tokens.breaks for tokens in pieces)
    if fits and not inversions.by_first:
        row = Row()
        for tokens in pieces:
            row.add(tokens, 0, len(tokens.ids))
        return Chunked([row], count=len(row.ids))
    return _Builder(comma, backtrack, inversions, moves_fixes).build(pieces)


class _Builder:
    def __init__(self, comma: int, backtrack: int, inversions: Inversions, moves_fixes: bool) -> None:
        self.comma, self.backtrack, self.moves_fixes = comma, backtrack, moves_fixes
        self.inversions = inversions
        self.rows: list[Row] = []
        self.ids: list[int] = []
        self.owners: list[Tokens] = []
        self.fixes: list[Fix] = []
        self.last_comma = -1
        self.count = 0

    def build(self, pieces: list[Tokens]) -> Chunked:
        for tokens in pieces:
            if tokens.breaks:
                self.close("break")
            else:
                self.place(tokens)
        if self.ids or not self.rows:
            self.close("", last=True)
        return Chunked(self.rows, count=self.count)

    def place(self, tokens: Tokens) -> None:
        ids = tokens.ids
        at = 0
        while at < len(ids):
            found = ids[at]
            if found == self.comma:
                self.last_comma = len(self.ids)
            elif (
                self.backtrack
                and len(self.ids) == PLACES
                and self.last_comma != -1
                and PLACES - self.last_comma <= self.backtrack
            ):
                self.move(self.last_comma + 1)
            if len(self.ids) == PLACES:
                self.close("full")
            inversion = self.inversions.at(ids, at)
            if inversion is None:
                self.ids.append(found)
                self.owners.append(tokens)
                at += 1
                continue
            name_ids, name, vectors = inversion
            if len(self.ids) + vectors > PLACES:
                self.close("full")
            self.fixes.append(Fix(len(self.ids) + 1, name, 0, vectors))
            self.ids += [0] * vectors
            self.owners += [tokens] * vectors
            at += len(name_ids)

    def move(self, cut: int) -> None:
        """Close the chunk at `cut` and begin the next one with what comes after."""
        ids, owners = self.ids[cut:], self.owners[cut:]
        self.ids, self.owners = self.ids[:cut], self.owners[:cut]
        moved: list[Fix] = []
        if self.moves_fixes:
            moved = [fix._replace(position=fix.position - cut) for fix in self.fixes if fix.position > cut]
            self.fixes = [fix for fix in self.fixes if fix.position <= cut]
        self.close("comma")
        self.ids, self.owners, self.fixes = ids, owners, moved

    def close(self, note: str, last: bool = False) -> None:
        self.count += len(self.ids) if last else PLACES
        runs: list[Run] = []
        for tokens in self.owners:
            if runs and runs[-1].piece == tokens.piece:
                runs[-1] = runs[-1]._replace(length=runs[-1].length + 1)
            else:
                runs.append(Run(1, tokens.weight, tokens.piece, tokens.word))
        self.rows.append(Row(self.ids, runs, self.fixes, note=note))
        self.ids, self.owners, self.fixes = [], [], []
        self.last_comma = -1
