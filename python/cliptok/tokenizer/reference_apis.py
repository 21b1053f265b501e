"""A tokenizer under the names of another library, so that code written for that library runs as it is."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from cliptok.tokenizer.tokens.token_table import TokenTable


class _SimpleTokenizer:
    """What both `SimpleTokenizer` classes have: `encode` and `decode` without start and end, and the two ids."""

    def __init__(self, tokens: "TokenTable", context_length: int) -> None:
        self._tokens = tokens
        self.context_length = context_length
        """The default of `context_length`."""
        self.sot_token_id = tokens.start_id
        """The id before a text."""
        self.eot_token_id = tokens.end_id
        """The id after a text."""
        self.all_special_ids = [tokens.start_id, tokens.end_id]
        """`sot_token_id` and `eot_token_id`."""
        self.vocab_size = tokens.vocabulary.vocabulary_size
        """Tokens of the vocabulary."""

    @property
    def encoder(self) -> dict[str, int]:
        """Token to id. Made at the first use and kept, so do not change it."""
        return self._tokens.encoder()

    @property
    def decoder(self) -> dict[int, str]:
        """Id to token. Made at the first use and kept, so do not change it."""
        return self._tokens.decoder()

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without start and end, and not truncated."""
        from cliptok.tokenizer.texts import as_text

        return self._tokens.engine.encode(as_text(text))

    def decode(self, tokens: Any) -> str:
        """The text of ids: a list, an array or a tensor. The space after each word stays, as in the reference."""
        from cliptok.tokenizer.calls.decoding import as_ids, decode
        from cliptok.tokenizer.tokens.special_tokens import SpecialTokens

        return decode(list(as_ids(tokens)), self._tokens, SpecialTokens({}, ()), False, False)

    def __getstate__(self) -> dict[str, Any]:
        from cliptok.tokenizer.files.state import to_json
        from cliptok.tokenizer.tokens.special_tokens import SpecialTokens

        return {"tokens": to_json(self._tokens, SpecialTokens({}, ()), {}), "context_length": self.context_length}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from cliptok.tokenizer.files.state import from_json

        tokens, *_ = from_json(state["tokens"])
        _SimpleTokenizer.__init__(self, tokens, state["context_length"])

    def _rows(self, texts: Any, context_length: int, dtype: str, truncate: bool) -> "torch.Tensor":
        import torch

        from cliptok.tokenizer.bulk import encode_batch

        ids, _ = encode_batch(
            self._tokens, texts, context_length, dtype, None, None, not truncate, "error", 0, False, False
        )
        return torch.from_numpy(ids)


class OpenClipTokenizer(_SimpleTokenizer):
    """open_clip's `SimpleTokenizer`: what `open_clip.get_tokenizer(...)` returns for CLIP's models.

    >>> from cliptok import Tokenizer
    >>> tokenizer = Tokenizer("open_clip").as_open_clip()
    >>> tokenizer.encode("a cat")
    [320, 2368]
    """

    def __call__(self, texts: Any, context_length: int | None = None) -> "torch.Tensor":
        """Ids, a LongTensor (texts, context_length), padded with 0. The last id of a truncated text is the end.

        `texts` is a str or several. Raises as `Tokenizer.encode_batch`.
        """
        return self._rows(texts, context_length or self.context_length, "int64", truncate=True)


class OpenAITokenizer(_SimpleTokenizer):
    """`clip.tokenize`, and `clip.simple_tokenizer.SimpleTokenizer`.

    >>> from cliptok import Tokenizer
    >>> clip = Tokenizer("openai").as_openai()
    >>> clip.encode("a cat")
    [320, 2368]
    """

    def __call__(self, texts: Any, context_length: int | None = None, truncate: bool = False) -> "torch.Tensor":
        """Ids, an IntTensor (texts, context_length), padded with 0.

        `texts` is a str or several. Raises TooLongError, a RuntimeError, for a longer text unless `truncate` is set,
        and else as `Tokenizer.encode_batch`.
        """
        return self._rows(texts, context_length or self.context_length, "int32", truncate)

    tokenize = __call__
