"""AUTOMATIC1111's chunks: BREAK, and the comma that is looked for when a chunk is full."""

from __future__ import annotations

from cliptok.prompts.errors import PromptError
from cliptok.prompts.token_rows import PLACES, Chunked, Fix, Row, TokenText


def chunk(text: TokenText, comma: int, backtrack: int = 20, moves_fixes: bool = False) -> Chunked:
    """Rows of 75; when one is full, what follows its last comma moves on, if that is at most `backtrack` ids.

    `comma` is the id of a comma. The vectors of a textual inversion stay together, and their places move on with the
    rest, but the vectors themselves stay where they were, as in the web UI; `moves_fixes=True` mends that.
    """
    return _Builder(text, comma, backtrack, moves_fixes).build()


class _Builder:
    def __init__(self, text: TokenText, comma: int, backtrack: int, moves_fixes: bool) -> None:
        self.text, self.comma, self.backtrack, self.moves_fixes = text, comma, backtrack, moves_fixes
        self.rows: list[Row] = []
        self.start = 0
        self.last_comma = -1
        self.fixes: list[Fix] = []

    def build(self) -> Chunked:
        at = 0
        for number, segment in enumerate(self.text.segments):
            if number in self.text.breaks:
                self.close(at, "break")
            elif segment.inversion is None:
                self.place(at, at + segment.length)
            else:
                self.place_vectors(at, segment.inversion, segment.length)
            at += segment.length
        count = len(self.rows) * PLACES + at - self.start
        if at > self.start or not self.rows:
            self.close(at, "")
        return Chunked(self.rows, count=count)

    def place(self, start: int, stop: int) -> None:
        ids, comma = self.text.ids, self.comma
        for at in range(start, stop):
            if ids[at] == comma:
                self.last_comma = at
            elif at - self.start == PLACES:
                self.backtrack_to_comma()
            if at - self.start == PLACES:
                self.close(at, "full")

    def place_vectors(self, at: int, name: str, count: int) -> None:
        if count > PLACES:
            raise PromptError(
                f"the embedding {name!r} has {count} vectors, and a chunk has {PLACES} places",
                remedy="take it out of the prompt",
            )
        if at - self.start == PLACES:
            self.backtrack_to_comma()
        if at - self.start + count > PLACES:
            self.close(at, "full")
        self.fixes.append(Fix(at - self.start + 1, name, 0, count))

    def backtrack_to_comma(self) -> None:
        """Close the full chunk after its last comma, if that is near enough."""
        after = self.start + PLACES - self.last_comma
        if not self.backtrack or self.last_comma == -1 or after > self.backtrack:
            return
        cut = self.last_comma + 1
        moved: list[Fix] = []
        if self.moves_fixes:
            size = cut - self.start
            moved = [fix._replace(position=fix.position - size) for fix in self.fixes if fix.position > size]
            self.fixes = [fix for fix in self.fixes if fix.position <= size]
        self.close(cut, "comma")
        self.fixes = moved

    def close(self, stop: int, note: str) -> None:
        self.rows.append(Row(self.start, stop, note, fixes=self.fixes))
        self.start, self.last_comma, self.fixes = stop, -1, []
