"""A table in the place of a column: which one to take. A missing text: how to take it for an empty one."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cliptok import Tokenizer

tok = Tokenizer()
COLUMNS = {"id": [1, 2], "caption": ["a cat", "a dog"]}


def tables() -> dict[str, Any]:
    found: dict[str, Any] = {
        "pyarrow": pa.table(COLUMNS),
        "batch": pa.RecordBatch.from_pydict(COLUMNS),
        "dict": COLUMNS,
    }
    for library, make in (("pandas", "DataFrame"), ("polars", "DataFrame")):
        try:
            module = __import__(library)
        except ImportError:
            continue
        found[library] = getattr(module, make)(COLUMNS)
    try:
        import datasets
    except ImportError:
        pass
    else:
        found["datasets"] = datasets.Dataset.from_dict(COLUMNS)
    return found


@pytest.mark.parametrize("call", [tok, tok.encode_batch, tok.encode_packed, tok.count])
@pytest.mark.parametrize("library", tables())
def test_a_table_is_refused_with_the_column_to_take(library: str, call: Any) -> None:
    table = tables()[library]
    with pytest.raises(TypeError, match=r"with 'id', 'caption'; expected one column, as in texts\['caption'\]"):
        call(table)
    column = table["caption"]
    assert np.array_equal(tok.encode_batch(column), tok.encode_batch(COLUMNS["caption"]))


def test_several_tables() -> None:
    with pytest.raises(TypeError, match=r"as in texts\['train'\]\['caption'\]"):
        tok.count({"train": pa.table(COLUMNS)})


@pytest.mark.parametrize("call", [tok, tok.encode_batch, tok.encode_packed, tok.count])
@pytest.mark.parametrize("missing", [None, float("nan"), np.float64("nan")])
def test_a_missing_text_says_how_to_take_it(call: Any, missing: object) -> None:
    with pytest.raises(TypeError, match=r'^texts\[1\] is (None|float, the NaN .*); expected str; on_null="empty"'):
        call(["a", missing])
    with pytest.raises(TypeError, match=r"^texts\[1\] is float; expected str$"):
        call(["a", 1.5], on_null="empty")
    found = call(["a", missing], on_null="empty")
    assert str(found) == str(call(["a", ""]))


def test_of_an_arrow_column() -> None:
    with pytest.raises(TypeError, match=r'^texts\[1\] is null; expected str; on_null="empty"'):
        tok.count(pa.array(["a", None]))
