"""Millions of texts at a time: straight into one array, with padding or without."""

from typing import TYPE_CHECKING, Any, NamedTuple

from cliptok.tokenizer.calls.options import check_int
from cliptok.tokenizer.texts import as_batch, nulls_are_empty, threads_for
from cliptok.tokenizer.tokens.token_table import TokenTable

if TYPE_CHECKING:
    import numpy.typing as npt


class PackedTokens(NamedTuple):
    """The ids of all texts without padding: text i has `input_ids[offsets[i]:offsets[i + 1]]`."""

    input_ids: "npt.NDArray[Any]"
    """(total,) of the dtype asked for."""
    offsets: "npt.NDArray[Any]"
    """(texts + 1,) int64."""


class TooLongError(RuntimeError, ValueError):
    """A text has more tokens than a row takes. A RuntimeError, as `clip.tokenize` raises."""


class Bulk(TokenTable):
    """The part of a tokenizer that serves batches."""

    def encode_batch(
        self,
        texts: Any,
        max_length: int = 77,
        dtype: Any = "int64",
        out: Any = None,
        return_lengths: bool = False,
        threads: int | None = None,
        truncate: bool | None = None,
        on_null: str = "error",
    ) -> Any:
        """Ids of many texts in one array (texts, max_length), start and end included, padded with `pad_token_id`.

        `texts` is a sequence or iterable of str, an Arrow column of strings (read in place), or a str, which is a batch
        of one. A None or a null among them raises, or with `on_null="empty"` is an empty text. Longer texts are cut
        before their end token; with `truncate=False`, and by default in the profile `openai`, they raise. `out` is a
        NumPy array or CPU torch tensor of that shape, of dtype uint16, int32 or int64, to write into and return;
        `dtype` is for when there is none. With `return_lengths` the result is (ids, lengths), lengths (texts,) int64
        without padding. `threads` defaults to one per CPU, and to 1 in a torch dataloader worker.

        Raises TypeError that names the row for anything but str, ValueError that names it for lone surrogates,
        TooLongError (a RuntimeError and ValueError) that names it for a text to be refused, and TypeError or
        ValueError for a wrong argument.
        """
        from cliptok.tokenizer.arrays import as_dtype, as_out

        batch = as_batch(texts)
        count = len(batch)
        check_int("max_length", max_length, 2)
        pad_id = self.pad_token_id
        if pad_id is None:
            raise ValueError("encode_batch needs a pad token; set one, as in tok.pad_token = tok.eos_token")
        bound = self._id_bound()
        name = as_dtype(dtype, bound).name
        array = None if out is None else as_out(out, count, max_length, bound)
        threads = threads_for(batch, threads)
        refuses, empty = self._refuses(truncate), nulls_are_empty(on_null)
        try:
            ids, lengths, _ = self._engine.rows(
                batch,
                max_length,
                pad_id,
                dtype=name,
                out=array,
                lengths=return_lengths,
                pad_left=self.padding_side == "left",
                refuse_long=refuses,
                null_as_empty=empty,
                threads=threads,
            )
        except ValueError:
            if refuses:
                counts = self._engine.count(batch, null_as_empty=empty, threads=threads)
                self._refuse_long(counts, max_length)
            raise
        result = ids if out is None else out
        return (result, lengths) if return_lengths else result

    def encode_packed(
        self,
        texts: Any,
        max_length: int | None = None,
        dtype: Any = "int32",
        threads: int | None = None,
        truncate: bool | None = None,
        on_null: str = "error",
    ) -> PackedTokens:
        """Ids of many texts one after the other, start and end included, with no padding at all.

        Texts are kept whole without `max_length`; with it they are cut or refused as `encode_batch` does.

        Raises as `encode_batch`.
        """
        from cliptok.tokenizer.arrays import as_dtype

        batch = as_batch(texts)
        threads = threads_for(batch, threads, whole=max_length is None)
        name = as_dtype(dtype, self._id_bound()).name
        empty = nulls_are_empty(on_null)
        if max_length is not None:
            check_int("max_length", max_length, 2)
        refuses = self._refuses(truncate)
        cut = None if refuses else max_length
        packed = PackedTokens(*self._engine.pack(batch, name, cut, null_as_empty=empty, threads=threads))
        if refuses and max_length is not None:
            self._refuse_long(packed.offsets[1:] - packed.offsets[:-1], max_length)
        return packed

    def _refuses(self, truncate: bool | None) -> bool:
        return self._profile.refuses_long if truncate is None else not truncate

    def _refuse_long(self, lengths: "npt.NDArray[Any]", max_length: int) -> None:
        rows = (lengths > max_length).nonzero()[0]
        if len(rows):
            raise TooLongError(
                f"texts[{rows[0]}] is too long: it has {lengths[rows[0]]} tokens, and max_length is {max_length};"
                " shorten it or pass truncate=True"
            )

    def count(self, texts: Any, threads: int | None = None, on_null: str = "error") -> "npt.NDArray[Any]":
        """Tokens per text, start and end included, uncut: int64 (texts,). Raises as `encode_batch`."""
        batch = as_batch(texts)
        empty = nulls_are_empty(on_null)
        return self._engine.count(batch, null_as_empty=empty, threads=threads_for(batch, threads))
