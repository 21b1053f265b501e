"""Arrow columns of strings, from the libraries that make them, in every layout that has text in it."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cliptok import Tokenizer

TEXTS = ["a photo of a cat", "Hé 你好", "", "don't 12!", "x" * 40, "a photo of a cat"] * 50

COLUMNS = {
    "string": pa.array(TEXTS),
    "large_string": pa.array(TEXTS, pa.large_string()),
    "string_view": pa.array(TEXTS, pa.string_view()),
    "chunked": pa.chunked_array([TEXTS[:7], [], TEXTS[7:]]),
    "sliced": pa.array(["before", *TEXTS, "after"]).slice(1, len(TEXTS)),
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "chunked dictionary": pa.chunked_array([TEXTS[:7], TEXTS[7:]]).dictionary_encode(),
    "sliced dictionary": pa.array(["before", *TEXTS]).dictionary_encode().slice(1),
    "large dictionary": pa.array(TEXTS, pa.large_string()).dictionary_encode(),
    "polars": pl.Series(TEXTS),
    "pandas": pd.Series(TEXTS),
    "pandas in Arrow": pd.Series(TEXTS, dtype="string[pyarrow]"),
}


@pytest.mark.parametrize("profile", ["transformers", "open_clip"])
@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_columns_give_the_ids_of_their_list(column: Any, profile: str) -> None:
    tok = Tokenizer(profile)
    wanted = tok.encode_batch(TEXTS)
    assert np.array_equal(tok.encode_batch(column), wanted)
    out = np.zeros_like(wanted, dtype=np.int32)
    assert np.array_equal(tok.encode_batch(column, out=out, threads=2), wanted)
    assert np.array_equal(tok.encode_packed(column).input_ids, tok.encode_packed(TEXTS).input_ids)
    assert np.array_equal(tok.count(column), tok.count(TEXTS))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", "b", None]),
        pa.chunked_array([["a", "b"], [None]]),
        pa.array(["a", "b", None]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["a", "b", None])),
        pa.array(["a", "b", None], pa.string_view()),
        ["a", "b", None],
        ("a", "b", None),
    ],
)
def test_a_null_is_refused_by_row_or_empty(column: Any) -> None:
    tok = Tokenizer()
    for method in (tok.encode_batch, tok.encode_packed, tok.count):
        with pytest.raises(TypeError, match=r"texts\[2\] is (null|None); expected str"):
            method(column)
    assert np.array_equal(tok.encode_batch(column, on_null="empty"), tok.encode_batch(["a", "b", ""]))
    assert tok.encode_packed(column, on_null="empty").input_ids.tolist() == [
        49406,
        320,
        49407,
        49406,
        321,
        49407,
        49406,
        49407,
    ]
    assert tok.count(column, on_null="empty").tolist() == [3, 3, 2]


def test_other_columns_are_refused() -> None:
    tok = Tokenizer()
    for column, name in ((pa.array([1, 2]), "Int64"), (pa.array([b"a"]), "Binary"), (pa.array([{"a": "x"}]), "Struct")):
        with pytest.raises(TypeError, match=f"texts is an Arrow column of {name}.*; expected one of strings"):
            tok.encode_batch(column)
    with pytest.raises(ValueError, match="on_null is 'skip'; choose 'error' or 'empty'"):
        tok.encode_batch(["a"], on_null="skip")


def test_bytes_that_are_no_utf8_are_refused() -> None:
    offsets, data = pa.array([0, 1, 3], pa.int32()).buffers()[1], pa.py_buffer(b"a\xff\xfe")
    column = pa.Array.from_buffers(pa.string(), 2, [None, offsets, data])
    with pytest.raises(ValueError, match="texts is no readable Arrow column"):
        Tokenizer().encode_batch(column)


def test_no_rows() -> None:
    assert Tokenizer().encode_batch(pa.array([], pa.string())).shape == (0, 77)
