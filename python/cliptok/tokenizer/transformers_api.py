"""What a transformers tokenizer does, with its arguments and its results: `tok(...)`, `encode`, `decode`."""

from typing import Any, overload

from cliptok.tokenizer.calls.call import call
from cliptok.tokenizer.calls.encoding import BatchEncoding
from cliptok.tokenizer.calls.options import Columns, check_stride, plan, refuse_unsupported, side
from cliptok.tokenizer.texts import as_text
from cliptok.tokenizer.tokens.token_table import TokenTable


class TransformersApi(TokenTable):
    """The part of a tokenizer that transformers users know."""

    is_fast = True
    model_input_names = ("input_ids", "attention_mask")

    def __call__(
        self,
        text: Any = None,
        text_pair: None = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        **unsupported: Any,
    ) -> BatchEncoding:
        """Encode one text or a batch, with the arguments and the result of a transformers tokenizer.

        A str gives flat lists, a batch lists of lists, and `return_tensors` "np" or "pt" int64 arrays or tensors
        (texts, length). `padding` is False, True or "longest", or "max_length"; `truncation` is False or True;
        `max_length` defaults to `model_max_length`. With `return_overflowing_tokens` a long text goes on in further
        rows, `stride` ids shared, and `overflow_to_sample_mapping` says whose they are. Offsets are (begin, end) in
        characters of the text. `verbose` is accepted, and nothing is ever printed.

        Raises TypeError for arguments that are unknown, or that CLIP has no use for (`text_pair`,
        `is_split_into_words` and others), NotImplementedError for offsets outside the profile `transformers`,
        ValueError for values out of range and for tensors of rows that differ in length, and as `encode_batch` for
        texts.
        """
        if unsupported or text_pair is not None:
            refuse_unsupported({"text_pair": text_pair, **unsupported})
        if return_offsets_mapping and self._profile.name != "transformers":
            raise NotImplementedError(
                f"return_offsets_mapping: the profile {self._profile.name!r} has no offsets, its reference gives none;"
                " use profile='transformers'"
            )
        more = (
            return_token_type_ids,
            return_special_tokens_mask,
            return_offsets_mapping,
            return_length,
            return_overflowing_tokens,
        )
        specials = bool(add_special_tokens)
        planned = plan(padding, truncation, max_length, pad_to_multiple_of, specials, self.model_max_length)
        if stride:
            check_stride(stride, planned)
        return call(
            self,
            text,
            planned,
            return_attention_mask is None or bool(return_attention_mask),
            Columns(*map(bool, more)) if any(more) else None,
            specials,
            stride,
            side("padding_side", self.padding_side if padding_side is None else padding_side) == "left",
            return_tensors,
        )

    def encode(self, text: Any, text_pair: None = None, **options: Any) -> Any:
        """The `input_ids` of a call with the same arguments: a list of ids for a str."""
        if text_pair is None and not options and isinstance(text, str):
            return self._engine.encode(text, True)  # what the call comes down to
        return self(text, text_pair, **options)["input_ids"]

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad encodings, a list of mappings or one mapping of lists, as a transformers tokenizer does.

        `input_ids` and its companions are padded, and `attention_mask` is made where there is none; other fields, such
        as labels, go along. Nothing is cut: rows longer than `max_length` stay as they are. `verbose` is accepted.

        Raises ValueError without `input_ids` or a pad token, for fields that differ in their number of rows, and for
        tensors of rows that differ in length.
        """
        from cliptok.tokenizer.calls.padding import pad

        return pad(
            self,
            encoded_inputs,
            padding,
            max_length,
            pad_to_multiple_of,
            padding_side,
            return_attention_mask,
            return_tensors,
        )

    def tokenize(self, text: str, add_special_tokens: bool = False) -> list[str]:
        """The tokens of one text as they stand in the vocabulary, `</w>` at each word's end.

        Raises TypeError for anything but str, ValueError for lone surrogates.
        """
        ids = self._engine.encode(as_text(text), add_special_tokens)
        return [self._id_token(id) or "" for id in ids]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """The ids that a call puts around a text: 2."""
        if pair:
            raise TypeError("pair is not supported: CLIP has no pairs of texts")
        return 2

    @overload
    def decode(
        self, token_ids: int, skip_special_tokens: bool = ..., clean_up_tokenization_spaces: bool | None = ...
    ) -> str: ...
    @overload
    def decode(
        self, token_ids: Any, skip_special_tokens: bool = ..., clean_up_tokenization_spaces: bool | None = ...
    ) -> Any: ...
    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> Any:
        """The text of ids: a str, or a list of them for a batch of rows.

        `token_ids` is an int, a list, an array, a tensor or an encoding. The profiles `open_clip` and `openai` keep the
        spaces at both ends, as their references do. `clean_up_tokenization_spaces` (default: what the files say) has
        an effect in the profile `transformers-slow` only, as in transformers.

        Raises ValueError for an id that is no token's.
        """
        from cliptok.tokenizer.calls.decoding import as_ids, decode

        ids = as_ids(token_ids)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        if isinstance(ids, int):
            ids = [ids]
        if ids and isinstance(ids[0], (list, tuple)):
            return [decode(self, list(row), skip_special_tokens, clean_up_tokenization_spaces) for row in ids]
        return decode(self, list(ids), skip_special_tokens, clean_up_tokenization_spaces)

    def batch_decode(
        self, sequences: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> list[str]:
        """The texts of rows of ids. Raises as `decode`."""
        if hasattr(sequences, "__len__") and len(sequences) == 0:
            return []
        texts = self.decode(sequences, skip_special_tokens, clean_up_tokenization_spaces)
        return [texts] if isinstance(texts, str) else texts
