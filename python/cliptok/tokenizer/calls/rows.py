"""The rows of a call that asks for more than ids and mask: windows over long texts, offsets, special tokens."""

from collections.abc import Iterator, Sequence
from typing import Any

from cliptok.tokenizer.calls.options import Returned, Strategies, padded_length

Offsets = Sequence[tuple[int, int]]


def windows(count: int, room: int | None, stride: int, from_left: bool) -> Iterator[tuple[int, int]]:
    """The (begin, end) of each window of at most `room` of `count` ids, neighbours sharing `stride` of them.

    The first window is what truncation keeps: the beginning, or with `from_left` the end. Later ones hold the rest.
    Raises ValueError when the stride leaves no way forward.
    """
    if room is None or count <= room:
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


def build(
    texts: Sequence[tuple[list[int], Offsets | None]],
    how: Strategies,
    wanted: Returned,
    start_end: tuple[int, int] | None,
    pad_id: int,
    stride: int,
    pad_left: bool,
    truncate_left: bool,
) -> dict[str, list[Any]]:
    """Every value asked for, one list per row. `texts` has ids and offsets, `start_end` the ids around them or None."""
    room = None if how.limit is None else how.limit - (2 if start_end else 0)
    rows: list[list[int]] = []
    masks: list[list[int]] = []
    places: list[list[tuple[int, int]]] = []
    samples: list[int] = []
    longest = 0
    before, after = ([start_end[0]], [start_end[1]]) if start_end else ([], [])
    edge = [1] if start_end else []
    nowhere = [(0, 0)] if start_end else []
    for sample, (ids, offsets) in enumerate(texts):
        for window, (begin, end) in enumerate(windows(len(ids), room, stride, truncate_left)):
            rows.append(before + ids[begin:end] + after)
            masks.append(edge + [0] * (end - begin) + edge)
            if offsets is not None:
                places.append(nowhere + list(offsets[begin:end]) + nowhere)
            samples.append(sample)
            if window == 0:
                longest = max(longest, len(rows[-1]))
            if not wanted.overflowing_tokens:
                break
    target = padded_length(how, longest)
    missing = [max(target - len(row), 0) for row in rows]
    lengths = [len(row) for row in rows]

    def pad(values: list[list[Any]], filler: Any) -> list[list[Any]]:
        if pad_left:
            return [[filler] * gap + value for value, gap in zip(values, missing, strict=True)]
        return [value + [filler] * gap for value, gap in zip(values, missing, strict=True)]

    found: dict[str, list[Any]] = {"input_ids": pad(rows, pad_id)}
    if wanted.token_type_ids:
        found["token_type_ids"] = [[0] * len(row) for row in found["input_ids"]]
    if wanted.attention_mask:
        found["attention_mask"] = pad([[1] * length for length in lengths], 0)
    if wanted.special_tokens_mask:
        found["special_tokens_mask"] = pad(masks, 1)
    if wanted.offset_mapping:
        found["offset_mapping"] = pad(places, (0, 0))
    if wanted.length:
        found["length"] = [len(row) for row in found["input_ids"]]
    if wanted.overflowing_tokens:
        found["overflow_to_sample_mapping"] = samples
    return found
