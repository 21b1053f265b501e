"""Callables for other pipelines: Ray Data's `map_batches`, `datasets.Dataset.map`, Spark's `mapInArrow`."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

import pyarrow as pa

from cliptok.batch.encoder_source import EncoderSource
from cliptok.batch.encoding import Encoding, plan
from cliptok.batch.list_arrays import as_array
from cliptok.batch.reading.columns import is_bytes, is_text
from cliptok.batch.summary import Counts
from cliptok.batch.tokenizer_argument import Named, as_tokenizer
from cliptok.batch.tokenizing import LISTS, Tokenizing
from cliptok.tokenizer.annotations import ProfileName
from cliptok.tokenizer.calls.options import one_of


class _Step:
    """Maps a batch to the same batch with one more column, computed from a column of texts."""

    def __init__(self, column: str, on_null: str) -> None:
        given: Any = column
        if not isinstance(given, str):
            raise TypeError(f"column is of type {type(given).__name__}; expected the name of a batch's column")
        self._column, self._on_null = column, one_of("on_null", on_null, ("error", "empty"))

    def __call__(self, batch: Any) -> Any:
        """`batch` is an Arrow table or record batch, a dict of columns, or an iterator of record batches.

        The result is of the same kind. In a dict, lists of fixed size are an array (n, ...), others a list of arrays;
        in record batches all are of variable size.
        Raises TypeError for another kind of batch or column and for a single row, KeyError for a missing column,
        ValueError for a null.
        """
        if isinstance(batch, Iterator):
            return map(self, batch)
        self._check_column(batch)
        if isinstance(batch, Mapping):
            made = self._column_for(pa.table({self._column: self._texts(batch[self._column])}))
            return {**batch, made.column_names[0]: _as_values(made.column(0))}
        if isinstance(batch, pa.RecordBatch):
            made = self._column_for(pa.Table.from_batches([batch.select([self._column])]))
            column = made.column(0).combine_chunks()
            # Spark knows no lists of fixed size.
            return batch.append_column(made.column_names[0], column.cast(_of_any_size(column.type)))
        if isinstance(batch, pa.Table):
            made = self._column_for(batch.select([self._column]))
            return batch.append_column(made.field(0), made.column(0))
        hint = "; pyarrow.Table.from_pandas makes it one" if hasattr(batch, "iloc") else ""
        raise TypeError(f"batch is of type {type(batch).__name__}; expected an Arrow table or a dict of columns{hint}")

    def _texts(self, values: Any) -> pa.Array:
        """A dict's column as Arrow's."""
        if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
            kind = type(values).__name__
            raise TypeError(f"column {self._column!r} is one {kind}; expected a batch's column: map with batched=True")
        try:
            return pa.array(values, pa.string())
        except (pa.ArrowException, TypeError) as error:
            raise TypeError(f"column {self._column!r} is not of strings: {error}") from error

    def _check_column(self, batch: Any) -> None:
        if isinstance(batch, Mapping):
            names = list(batch)
        elif isinstance(batch, (pa.Table, pa.RecordBatch)):
            names = batch.schema.names
        else:
            return
        if names.count(self._column) != 1:
            what = "no column" if self._column not in names else "more than one column"
            raise KeyError(f"the batch has {what} {self._column!r}; it has {', '.join(map(str, names))}")

    def _column_for(self, texts: pa.Table) -> pa.Table:
        if not is_text(texts.schema.types[0]) or is_bytes(texts.schema.types[0]):
            raise TypeError(f"column {self._column!r} is of {texts.schema.types[0]}; expected strings")
        if pa.types.is_null(texts.schema.types[0]):
            texts = texts.cast(pa.schema([(self._column, pa.string())]))
        if texts.column(0).null_count:
            if self._on_null == "error":
                raise ValueError(f"column {self._column!r} has a null; with on_null='empty' it is an empty text")
            texts = texts.set_column(0, self._column, texts.column(0).fill_null(""))
        return self._made(texts)

    def _made(self, texts: pa.Table) -> pa.Table:
        """The new column in the place of the texts."""
        raise NotImplementedError


class Tokenize(_Step):
    """Adds the column `input_ids`: the ids of the texts in `column`. Arguments are those of `tokenize_files`."""

    def __init__(
        self,
        column: str,
        *,
        tokenizer: Named = None,
        profile: ProfileName | None = None,
        max_length: int | None = None,
        dtype: str = "int32",
        lists: str = "variable",
        on_null: str = "error",
        threads: int | None = None,
    ) -> None:
        super().__init__(column, on_null)
        lists = one_of("lists", lists, LISTS)
        tok = as_tokenizer(tokenizer, profile)
        length = tok._row_length if max_length is None else max_length
        self._tokenizing = Tokenizing(tok, length, dtype, lists, threads)
        self._tokenizing.column([""])  # Raises for a wrong argument now, not in some worker.

    def _made(self, texts: pa.Table) -> pa.Table:
        return self._tokenizing.table(texts, Counts())


class Embed(_Step):
    """Adds a column of embeddings, named as `output`. Arguments are those of `embed_files`.

    The encoder is loaded at the first call, once in each process, so the step itself is small to send.
    """

    def __init__(
        self,
        column: str,
        *,
        model: Any,
        subfolder: str | None = None,
        device: Any = None,
        dtype: Any = None,
        output: str | None = None,
        normalize: bool = False,
        tokenizer: Named = None,
        profile: ProfileName | None = None,
        max_length: int | None = None,
        on_null: str = "error",
    ) -> None:
        super().__init__(column, on_null)
        self._model = EncoderSource(model, subfolder, device, dtype)
        self._how = (output, normalize, as_tokenizer(tokenizer, profile), max_length)

    @cached_property
    def _plan(self) -> tuple[Encoding, Tokenizing]:
        return plan(self._model.load(), *self._how)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_plan"}

    def _made(self, texts: pa.Table) -> pa.Table:
        encoding, tokenizing = self._plan
        return pa.concat_tables(encoding.tables(iter([tokenizing.table(texts, Counts())])))


def _of_any_size(kind: pa.DataType) -> pa.DataType:
    return pa.list_(_of_any_size(kind.value_type)) if pa.types.is_nested(kind) else kind


def _as_values(column: pa.ChunkedArray) -> Any:
    if pa.types.is_fixed_size_list(column.type):
        return as_array(column)
    found = []
    for chunk in column.chunks:
        values = chunk.values.to_numpy()
        found += [values[begin:end] for begin, end in pairwise(chunk.offsets.tolist())]
    return found
