"""Textual inversions as AUTOMATIC1111 finds them: by the ids of their names, inside one piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from cliptok.prompts.token_rows import Segment, TokenText


class Inversions(NamedTuple):
    """Embeddings by the first id of their name: ids of the name, the name, how many vectors; longest names first."""

    by_first: dict[int, list[tuple[list[int], str, int]]]

    @classmethod
    def of(cls, names: Mapping[str, int], ids: Mapping[str, list[int]]) -> Inversions:
        """Of the names with their counts of vectors, and the ids of each name."""
        by_first: dict[int, list[tuple[list[int], str, int]]] = {}
        for name, vectors in names.items():
            if ids[name]:
                by_first.setdefault(ids[name][0], []).append((ids[name], name, vectors))
        for found in by_first.values():
            found.sort(key=lambda entry: len(entry[0]), reverse=True)
        return cls(by_first)

    def at(self, ids: list[int], place: int) -> tuple[list[int], str, int] | None:
        """The embedding whose name begins at a place."""
        for entry in self.by_first.get(ids[place], ()):
            if ids[place : place + len(entry[0])] == entry[0]:
                return entry
        return None

    def placed(self, text: TokenText) -> TokenText:
        """The text with zeros in place of each name, one for each vector, as a segment of its own."""
        if not any(id in self.by_first for id in text.ids):
            return text
        ids: list[int] = []
        segments: list[Segment] = []
        breaks: set[int] = set()
        start = 0
        for number, segment in enumerate(text.segments):
            if number in text.breaks:
                breaks.add(len(segments))
            own = text.ids[start : start + segment.length]
            start += segment.length
            at = begun = 0
            while at < len(own):
                found = self.at(own, at)
                if found is None:
                    at += 1
                    continue
                name_ids, name, vectors = found
                ids += own[begun:at] + [0] * vectors
                segments.append(segment._replace(length=at - begun))
                segments.append(segment._replace(length=vectors, inversion=name))
                at += len(name_ids)
                begun = at
            ids += own[begun:]
            segments.append(segment._replace(length=len(own) - begun))
        return TokenText(ids, segments, breaks)
