"""A tokenizer of transformers' own class whose calls the engine answers. transformers is imported when one is made."""

from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

from cliptok.tokenizer.calls.call import Call
from cliptok.tokenizer.calls.options import Returned, strategies
from cliptok.tokenizer.files.saving import save
from cliptok.tokenizer.tokens.added_tokens import AddedToken, AddedTokens, as_added_token
from cliptok.tokenizer.tokens.special_tokens import SpecialTokens
from cliptok.tokenizer.tokens.token_table import TokenTable

_ANSWERED = {
    *("add_special_tokens", "max_length", "pad_to_multiple_of", "padding", "padding_side", "return_attention_mask"),
    *("return_tensors", "return_token_type_ids", "truncation", "verbose"),
}
"""Options of the calls that the engine answers. Every other call is transformers' own."""


def made(tokens: TokenTable, specials: SpecialTokens, settings: dict[str, Any]) -> Any:
    """A new tokenizer of transformers' class, from what `save` would write."""
    kept = specials
    renamed: dict[str, str | None] = {}
    for role, token in specials.roles.items():
        # A role that was only renamed is no added token, and would become one in the files.
        if token.content not in tokens.added_ids:
            renamed[role] = token.content
            kept = kept.with_role(role, None)
    for role, id in (("bos_token", tokens.start_id), ("eos_token", tokens.end_id)):
        content = specials.content(role)
        if content is None or tokens.token_to_id(content) != id:
            renamed[role] = content
            kept = kept.with_role(role, AddedToken(tokens.id_to_token(id) or "", special=True))
    with TemporaryDirectory() as folder:
        save(folder, tokens, kept, settings)
        tok = tokenizer_class().from_pretrained(folder)
    tok.__dict__["_cliptok_source"] = tokens, _pipeline(tok)
    for role, content in renamed.items():
        setattr(tok, role, content)
    return tok


@cache
def tokenizer_class() -> Any:
    """transformers' class of CLIP's fast tokenizer, with calls of its own. It has the name of its base in files."""
    import transformers

    older = int(transformers.__version__.partition(".")[0]) < 5
    base: Any = getattr(transformers, "CLIPTokenizerFast" if older else "CLIPTokenizer")

    class Made(base):  # type: ignore[misc]
        def __call__(self, text: Any = None, *further: Any, **options: Any) -> Any:
            data = None if further else _by_engine(self, text, options)
            if data is None:
                return super().__call__(text, *further, **options)
            call = super().__call__
            return _encoding_class()(data, lambda: call(text, **{**options, "return_tensors": None}).encodings)

        def _add_tokens(self, *args: Any, **kwargs: Any) -> int:
            self.__dict__["_cliptok_tokens"] = None
            return int(super()._add_tokens(*args, **kwargs))

        def update_post_processor(self) -> None:
            self.__dict__["_cliptok_tokens"] = None
            super().update_post_processor()

        def __reduce__(self) -> Any:
            from cliptok.tokenizer.files.state import to_json

            state = {key: value for key, value in self.__dict__.items() if not key.startswith("_cliptok")}
            tokens, pipeline = self.__dict__.get("_cliptok_source", (None, None))
            source = None if tokens is None else to_json(tokens, SpecialTokens({}, ()), {})
            return _restored, (source, pipeline), state

    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(Made, name, getattr(base, name))
    return Made


def _restored(source: str | None, pipeline: Any) -> Any:
    from cliptok.tokenizer.files.state import from_json

    made = tokenizer_class()
    tok = made.__new__(made)
    if source is not None:
        tok.__dict__["_cliptok_source"] = from_json(source)[0], pipeline
    return tok


def _by_engine(tok: Any, text: Any, options: dict[str, Any]) -> dict[str, Any] | None:
    """The values of a call, or None for one that transformers answers: it is unusual, or an error."""
    texts = (text,) if isinstance(text, str) else text
    if not isinstance(texts, (list, tuple)) or not texts or not all(type(one) is str for one in texts):
        return None
    tensors = options.get("return_tensors")
    if not options.keys() <= _ANSWERED or tensors not in (None, "np", "pt"):
        return None
    tokens = _tokens(tok)
    if tokens is None:
        return None
    specials = bool(options.get("add_special_tokens", True))
    side = options.get("padding_side") or tok.padding_side
    mask, types = options.get("return_attention_mask"), options.get("return_token_type_ids")
    names = tok.model_input_names
    wanted = Returned(
        "attention_mask" in names if mask is None else bool(mask),
        "token_type_ids" in names if types is None else bool(types),
    )
    try:
        how = strategies(
            options.get("padding", False),
            options.get("truncation"),
            options.get("max_length"),
            options.get("pad_to_multiple_of"),
            specials,
            tok.model_max_length,
        )
        left = tok.truncation_side == "left"
        call = Call(tokens, tok.pad_token_id, side == "left", left, how, wanted, specials, 0, tensors)
        return call.encoding(text).data
    except (ValueError, TypeError):
        return None  # transformers says what is wrong.


def _tokens(tok: Any) -> TokenTable | None:
    """The tokens as transformers' own tokenizer has them now; None where it is no longer CLIP's."""
    backend, found = tok.__dict__.get("_cliptok_tokens") or (None, None)
    if backend is tok._tokenizer:
        return found
    source, pipeline = tok.__dict__.get("_cliptok_source", (None, None))
    if source is None:
        return None
    found = None
    if _pipeline(tok) == pipeline and tok._tokenizer.get_vocab(False) == source.vocabulary.vocabulary():
        added = {id: as_added_token(token, "a token") for id, token in tok.added_tokens_decoder.items()}
        special = frozenset(token.content for token in added.values() if token.special)
        found = source.replaced(AddedTokens(added, special))
    tok.__dict__["_cliptok_tokens"] = tok._tokenizer, found
    return found


def _pipeline(tok: Any) -> tuple[bytes, ...]:
    """What the tokenizers library does around the vocabulary, to be compared."""
    backend = tok._tokenizer
    return tuple(
        bytes(part.__getstate__()) for part in (backend.normalizer, backend.pre_tokenizer, backend.post_processor)
    )


@cache
def _encoding_class() -> Any:
    from transformers import BatchEncoding

    class Encoding(BatchEncoding):
        """transformers' BatchEncoding, whose `encodings` are made when they are asked for."""

        def __init__(self, data: Any = None, make: Any = None) -> None:
            super().__init__(data)
            self.__dict__["_make"] = make
            self._n_sequences = 1

        is_fast = True

        @property
        def _encodings(self) -> Any:
            if self.__dict__.get("_made") is None and self.__dict__.get("_make") is not None:
                self.__dict__["_made"] = self._make()
            return self.__dict__.get("_made")

        @_encodings.setter
        def _encodings(self, value: Any) -> None:
            self.__dict__["_made"] = value

        def __reduce__(self) -> Any:
            return BatchEncoding, (self.data,)

    return Encoding
