"""Structures of Arrow's C interface that break its rules: an error before Arrow's own library reads them."""

import ctypes
import struct
from typing import Any

import pytest

from support.arrow_structures import Array, Column, Schema, array, strings
from support.shared import tokenizer

BIG = 1 << 62


def with_dictionary(schema: Schema, values: Schema | None, keys: Array, texts: Array | None) -> tuple[Schema, Array]:
    """A dictionary-encoded column; one without schema or values of it where they are None."""
    if values is not None:
        values.release = 1  # Whoever holds the column releases it; this only says that it is there.
        schema.dictionary = ctypes.pointer(values)
    if texts is not None:
        texts.release = 1
        keys.dictionary = ctypes.pointer(texts)
    return schema, keys


def views(*sizes: int, skew: int = 0) -> Array:
    """Two short strings within their views, and further buffers of these sizes."""
    short = b"".join(struct.pack("<i12s", 1, text) for text in (b"a", b"b"))
    packed = struct.pack(f"<{len(sizes)}q", *sizes)
    return array(2, [None, short, *[b""] * len(sizes), packed], skew)


KEYS = [None, struct.pack("<2i", 0, 1)]
BROKEN: dict[str, tuple[Any, str]] = {
    "no format": (lambda: (Schema(), strings("a", "b")), "its schema has no format"),
    "a format that is no UTF-8": (lambda: (Schema(format=b"\xff"), strings("a")), "format is not UTF-8"),
    "a schema without its children": (lambda: (Schema(format=b"u", n_children=5), strings("a")), "has 5 children"),
    "less than no children": (lambda: (Schema(format=b"u", n_children=-1), strings("a")), "has -1 children"),
    "too many children": (lambda: (Schema(format=b"u", n_children=BIG), strings("a")), f"has {BIG} children"),
    "too many rows": (lambda: (Schema(format=b"u"), strings("a", length=BIG)), f"has {BIG} rows"),
    "less than no rows": (lambda: (Schema(format=b"u"), strings("a", length=-1)), "has -1 rows"),
    "rows from before the first": (lambda: (Schema(format=b"u"), strings("a", offset=-1)), "from row -1 on"),
    "rows from far behind": (lambda: (Schema(format=b"u"), strings("a", offset=BIG)), f"from row {BIG} on"),
    "a buffer less": (lambda: (Schema(format=b"u"), strings("a", n_buffers=2)), "2 buffers for the format"),
    "a buffer more": (lambda: (Schema(format=b"u"), strings("a", n_buffers=4)), "4 buffers for the format"),
    "less than no buffers": (lambda: (Schema(format=b"vu"), strings("a", n_buffers=-1)), "-1 buffers"),
    "buffers nowhere": (lambda: (Schema(format=b"u"), strings("a", buffers=None)), "3 buffers for the format"),
    "no offsets": (lambda: (Schema(format=b"u"), array(1, [None, None, b"a"])), "its buffer 1 lies at 0x0"),
    "offsets at an odd place": (lambda: (Schema(format=b"u"), strings("a", "b", skew=1)), "its buffer 1 lies at 0x"),
    "wide offsets at half a place": (
        lambda: (Schema(format=b"U"), strings("a", "b", wide=True, skew=4)),
        "its buffer 1 lies at 0x",
    ),
    "a negative last offset": (lambda: (Schema(format=b"u"), strings("a", "b", last=-5)), "a buffer has -5 bytes"),
    "a wide negative last offset": (
        lambda: (Schema(format=b"U"), strings("a", "b", wide=True, last=-BIG)),
        f"a buffer has -{BIG} bytes",
    ),
    "views with a buffer of less than nothing": (lambda: (Schema(format=b"vu"), views(4, -1)), "has -1 bytes"),
    "views without their sizes": (
        lambda: (Schema(format=b"vu"), array(1, [None, bytes(16), b"", None])),
        "its buffer 3 lies at 0x0",
    ),
    "keys that are floats": (
        lambda: with_dictionary(Schema(format=b"f"), Schema(format=b"u"), array(2, KEYS), strings("a", "b")),
        "dictionary keys have the format",
    ),
    "a dictionary of dictionaries": (
        lambda: with_dictionary(
            Schema(format=b"i"),
            with_dictionary(Schema(format=b"i"), Schema(format=b"u"), array(2, KEYS), None)[0],
            array(2, KEYS),
            strings("a", "b"),
        ),
        "its dictionary has a dictionary",
    ),
    "values without a schema": (
        lambda: with_dictionary(Schema(format=b"u"), None, strings("a", "b"), strings("a")),
        "only one has a dictionary",
    ),
    "a schema without values": (
        lambda: with_dictionary(Schema(format=b"i"), Schema(format=b"u"), array(2, KEYS), None),
        "only one has a dictionary",
    ),
    "values that break them": (
        lambda: with_dictionary(Schema(format=b"i"), Schema(format=b"u"), array(2, KEYS), strings("a", "b", last=-1)),
        "a buffer has -1 bytes",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_structures(name: str) -> None:
    make, message = BROKEN[name]
    column = Column(*make())
    with pytest.raises(ValueError, match="texts is no readable Arrow column") as error:
        tokenizer("transformers").encode_batch(column, max_length=4)
    assert message in str(error.value)
    assert column.released == [1, 1]


@pytest.mark.parametrize("wide", [False, True])
def test_sound_structures(wide: bool) -> None:
    column = Column(Schema(format=b"U" if wide else b"u"), strings("a", "cat", wide=wide))
    assert tokenizer("transformers").count(column).tolist() == [3, 3]
    assert column.released == [1, 1]


def test_sound_views() -> None:
    assert tokenizer("transformers").count(Column(Schema(format=b"vu"), views(0, 4))).tolist() == [3, 3]
    assert tokenizer("transformers").count(Column(Schema(format=b"vu"), views())).tolist() == [3, 3]


def test_a_column_is_handed_over_once() -> None:
    column = Column(Schema(format=b"u"), strings("a", "b"))
    tokenizer("transformers").count(column)
    with pytest.raises(ValueError, match="handed over once already"):
        tokenizer("transformers").count(column)
