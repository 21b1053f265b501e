"""The rows of a call, from ids that the engine gives joined: windows over long texts, padding, masks, offsets."""

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np

from cliptok._common.parts import AT_ONCE, parts
from cliptok.tokenizer.calls.options import Returned, Strategies, padded_length

Integers = np.ndarray[Any, np.dtype[np.int64]]


class Rows(NamedTuple):
    """Rows of ids, one behind the other, with start and end where the call asks for them."""

    ids: Integers
    """(total,) int64."""
    spans: Integers | None
    """(total, 2) the characters that each id covers: its first, and the one behind its last."""
    bounds: Integers
    """(rows + 1,) where each row begins in `ids`, and where the last one ends."""
    texts: Integers | None = None
    """(rows,) which text each row is of; None where row i is of text i."""

    @property
    def lengths(self) -> Integers:
        """(rows,) ids of each row."""
        return self.bounds[1:] - self.bounds[:-1]


def windows(count: int, room: int, stride: int, from_left: bool) -> Iterator[tuple[int, int]]:
    """The (begin, end) of each window of at most `room` of `count` ids, neighbours sharing `stride` of them.

    The first window is what truncation keeps: the beginning, or with `from_left` the end. Later ones hold the rest.
    Raises ValueError when the stride leaves no way forward.
    """
    if count <= room:
        yield 0, count
        return
    if room == 0:  # The row has place for nothing, and one overflowing row has everything.
        yield 0, 0
        yield 0, count
        return
    if stride >= room:
        raise ValueError(f"stride is {stride}; it must be less than the {room} ids a row has room for")
    if from_left:
        end = count
        while True:
            begin = max(end - room, 0)
            yield begin, end
            if begin == 0:
                return
            end -= room - stride
    begin = 0
    while True:
        end = min(begin + room, count)
        yield begin, end
        if end == count:
            return
        begin += room - stride


def truncated(rows: Rows, limit: int, specials: bool, stride: int, from_left: bool, overflowing: bool) -> Rows:
    """Rows of at most `limit` ids, the first or `from_left` the last of each text; with `overflowing` also the rest.

    `specials`: each row has start and end, which stay.
    """
    edge = 1 if specials else 0
    room = limit - 2 * edge
    begins, ends = rows.bounds[:-1] + edge, rows.bounds[1:] - edge
    texts = np.arange(len(begins))
    if overflowing:
        found = [
            (text, begin + first, begin + last)
            for text, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True))
            for first, last in windows(end - begin, room, stride, from_left)
        ]
        texts, begins, ends = np.array(found, np.int64).reshape(-1, 3).T
    elif from_left:
        begins = np.maximum(begins, ends - room)
    else:
        ends = np.minimum(ends, begins + room)
    lengths = ends - begins + 2 * edge
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(bounds[-1]) + np.repeat(begins - edge - bounds[:-1], lengths)
    if specials:
        places[bounds[:-1]] = rows.bounds[:-1][texts]
        places[bounds[1:] - 1] = rows.bounds[1:][texts] - 1
    return Rows(rows.ids[places], None if rows.spans is None else rows.spans[places], bounds, texts)


def values(
    rows: Rows, how: Strategies, wanted: Returned, specials: bool, pad_id: int, pad_left: bool, arrays: bool
) -> dict[str, Any]:
    """Every value asked for: with `arrays` int64 arrays (rows, length) where all rows have one length, else lists."""
    lengths = rows.lengths
    longest = int(lengths.max(initial=0))
    # Rows that overflow are as long as the first of their text, or longer than what is padded to.
    first = lengths if rows.texts is None else lengths[np.diff(rows.texts, prepend=-1) > 0]
    target = padded_length(how, int(first.max(initial=0)))
    # Of each: the values of all ids, or the one that all have, and what padding has.
    columns: dict[str, tuple[Integers | int, int]] = {"input_ids": (rows.ids, pad_id)}
    if wanted.token_type_ids:
        columns["token_type_ids"] = 0, 0
    if wanted.attention_mask:
        columns["attention_mask"] = 1, 0
    if wanted.special_tokens_mask:
        columns["special_tokens_mask"] = _edges(rows, specials), 1
    if wanted.offset_mapping and rows.spans is not None:
        columns["offset_mapping"] = rows.spans, 0
    found: dict[str, Any] = {}
    if target >= longest or lengths.min() == longest:
        for name, matrix in _matrices(columns, rows, max(target, longest), pad_left).items():
            found[name] = matrix if arrays else _lists(matrix)
    else:
        for name, (flat, filler) in columns.items():
            fillers = [(filler, filler) if name == "offset_mapping" else filler]
            found[name] = _padded(_ragged(flat, rows), fillers, target, pad_left)
    if wanted.length:
        found["length"] = np.maximum(lengths, target).tolist()
    if wanted.overflowing_tokens:
        found["overflow_to_sample_mapping"] = (np.arange(len(lengths)) if rows.texts is None else rows.texts).tolist()
    return found


def _matrices(
    columns: dict[str, tuple[Integers | int, int]], rows: Rows, width: int, pad_left: bool
) -> dict[str, Integers]:
    """Each column as int64 (rows, width) or (rows, width, 2), padded."""
    lengths = rows.lengths
    shapes = {name: (len(lengths), width, *np.shape(flat)[1:]) for name, (flat, _) in columns.items()}
    matrices = {name: np.empty(shape, np.int64) for name, shape in shapes.items()}
    if width > AT_ONCE:  # A mask of such a row takes many times as long.
        for row, (begin, end) in enumerate(pairwise(rows.bounds.tolist())):
            first = width - (end - begin) if pad_left else 0
            last = first + end - begin
            for name, (flat, filler) in columns.items():
                matrix = matrices[name][row]
                values = np.broadcast_to(flat, end - begin) if isinstance(flat, int) else flat[begin:end]
                for padding in chain(parts(matrix[:first]), parts(matrix[last:])):
                    padding[...] = filler
                for to, part_of_row in zip(parts(matrix[first:last]), parts(values), strict=True):
                    to[...] = part_of_row
        return matrices
    places, step = np.arange(width), AT_ONCE // max(width, 1)
    for begin in range(0, len(lengths), step):
        part = slice(begin, begin + step)
        ends = lengths[part, None]
        real = places >= width - ends if pad_left else places < ends
        first, last = rows.bounds[begin], rows.bounds[min(begin + step, len(lengths))]
        for name, (flat, filler) in columns.items():
            matrix = matrices[name][part]
            matrix[...] = filler
            matrix[real] = flat if isinstance(flat, int) else flat[first:last]
    return matrices


def _edges(rows: Rows, specials: bool) -> Integers:
    """Ones for start and end."""
    edges = np.zeros_like(rows.ids)
    if specials:
        edges[rows.bounds[:-1]] = 1
        edges[rows.bounds[1:] - 1] = 1
    return edges


def _items(flat: Integers) -> list[Any]:
    """A list of ints, or of pairs as tuples."""
    if len(flat) > AT_ONCE:
        return list(chain.from_iterable(map(_items, parts(flat))))
    if flat.ndim == 1:
        return list(flat.tolist())
    return list(zip(flat[:, 0].tolist(), flat[:, 1].tolist(), strict=True))


def _lists(matrix: Integers) -> list[list[Any]]:
    if matrix.ndim == 2 and matrix.shape[1] > AT_ONCE:
        return [_items(row) for row in matrix]
    if matrix.ndim == 2 and matrix.size > AT_ONCE:
        step = AT_ONCE // matrix.shape[1]
        blocks = (matrix[begin : begin + step] for begin in range(0, len(matrix), step))
        return list(chain.from_iterable(block.tolist() for block in blocks))
    if matrix.ndim == 2:
        return list(matrix.tolist())
    items, width = _items(matrix.reshape(-1, 2)), matrix.shape[1]
    return [items] if len(matrix) == 1 else [items[row * width : (row + 1) * width] for row in range(len(matrix))]


def _ragged(flat: Integers | int, rows: Rows) -> list[list[Any]]:
    if isinstance(flat, int):
        return [[flat] * length for length in rows.lengths.tolist()]
    items = _items(flat)
    return [items[begin:end] for begin, end in pairwise(rows.bounds.tolist())]


def _padded(rows: list[list[Any]], fillers: list[Any], length: int, pad_left: bool) -> list[list[Any]]:
    """Shorter rows padded to this length; longer ones as they are."""
    if length == 0:
        return rows
    if pad_left:
        return [fillers * (length - len(row)) + row for row in rows]
    return [row + fillers * (length - len(row)) for row in rows]
