"""Added tokens: strings that are found in a text before it is split into words."""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

_FLAGS: Final = ("single_word", "lstrip", "rstrip", "normalized", "special")


class AddedToken:
    """A token with its own rules for being found in a text. Immutable, and equal to another with the same fields.

    `single_word` asks for no letter or digit beside it, `lstrip` and `rstrip` take in the whitespace beside it,
    `normalized` matches in the normalised text (so in any case) and defaults to `not special`, and `special` lets
    `decode(skip_special_tokens=True)` leave it out.

    >>> from cliptok import Tokenizer
    >>> tok = Tokenizer()
    >>> tok.add_tokens(AddedToken("<sks>", single_word=True))
    1
    >>> tok.tokenize("a <sks> dog")
    ['a</w>', '<sks>', 'dog</w>']
    """

    __slots__ = ("_normalized", "content", "lstrip", "rstrip", "single_word", "special")

    content: str
    single_word: bool
    lstrip: bool
    rstrip: bool
    special: bool
    _normalized: bool | None

    def __init__(
        self,
        content: str,
        single_word: bool = False,
        lstrip: bool = False,
        rstrip: bool = False,
        normalized: bool | None = None,
        special: bool = False,
    ) -> None:
        if not isinstance(content, str):
            raise TypeError(f"content is {_brief(content)}; expected str")
        values: dict[str, object] = {"single_word": single_word, "lstrip": lstrip, "rstrip": rstrip, "special": special}
        for flag, value in values.items():
            if not isinstance(value, bool):
                raise TypeError(f"{flag} is {_brief(value)}; expected bool")
        if normalized is not None and not isinstance(normalized, bool):
            raise TypeError(f"normalized is {_brief(normalized)}; expected bool or None")
        values["content"] = content
        values["_normalized"] = normalized
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def normalized(self) -> bool:
        return not self.special if self._normalized is None else self._normalized

    def as_special(self) -> "AddedToken":
        """The same token with `special=True`. An unset `normalized` follows."""
        if self.special:
            return self
        return AddedToken(self.content, self.single_word, self.lstrip, self.rstrip, self._normalized, True)

    def to_json(self) -> dict[str, Any]:
        """The fields as the files of transformers write them."""
        return {"content": self.content, **{flag: getattr(self, flag) for flag in _FLAGS}}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"AddedToken is immutable; make a new one to change {name}")

    def __str__(self) -> str:
        return self.content

    def __repr__(self) -> str:
        flags = ", ".join(f"{flag}={getattr(self, flag)}" for flag in ("rstrip", "lstrip", *_FLAGS[:1], *_FLAGS[3:]))
        return f'AddedToken("{self.content}", {flags})'

    def _key(self) -> tuple[object, ...]:
        return (self.content, *(getattr(self, flag) for flag in _FLAGS))

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, AddedToken) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        return AddedToken, (self.content, self.single_word, self.lstrip, self.rstrip, self._normalized, self.special)


class AddedTokens(NamedTuple):
    """The added tokens of one tokenizer: by id, and the contents that count as special."""

    by_id: dict[int, AddedToken]
    special: frozenset[str]

    def ids(self) -> dict[str, int]:
        return {token.content: id for id, token in self.by_id.items()}

    def spellings(self, normalizes: bool) -> dict[int, str]:
        """What each id stands for in decoded text: in the default profile normalised tokens in their normal form."""
        spellings: dict[int, str] = {}
        taken = {token.content for token in self.by_id.values()}
        for id, token in self.by_id.items():
            spelling = _normal_form(token.content) if normalizes and token.normalized else token.content
            # The engine wants each token once, so of two that differ in case alone one keeps its own spelling.
            spellings[id] = token.content if spelling in taken else spelling
            taken.add(spelling)
        return spellings

    def for_engine(self, spellings: dict[int, str]) -> list[tuple[int, str, bool, bool, bool, bool, bool]]:
        return [
            (id, spellings[id], spellings[id] in self.special, t.normalized, t.lstrip, t.rstrip, t.single_word)
            for id, t in self.by_id.items()
        ]

    def plus(
        self, tokens: Iterable[AddedToken], token_to_id: Callable[[str], int | None], vocab_size: int
    ) -> tuple["AddedTokens", int]:
        """With more tokens, and how many of them changed something, by the rule of the tokenizers library.

        A token of the vocabulary keeps its id and becomes an added token too; a known token takes the new flags.
        """
        by_id, special, ids = dict(self.by_id), set(self.special), self.ids()
        changed = 0
        for token in tokens:
            if not token.content:
                continue
            if token.special:
                special.add(token.content)
            id = ids.get(token.content)
            if id is None:
                id = token_to_id(token.content)
            if id is None:
                id = max(max(by_id, default=-1) + 1, vocab_size)
            if by_id.get(id) == token:
                continue
            by_id[id] = token
            ids[token.content] = id
            changed += 1
        return AddedTokens(dict(sorted(by_id.items())), frozenset(special)), changed

    def plus_slow(
        self, tokens: Iterable[AddedToken], token_to_id: Callable[[str], int | None], vocab_size: int
    ) -> tuple["AddedTokens", int]:
        """With more tokens, and how many of them are new, by the rule of transformers 4's slow tokenizers."""
        by_id, special, ids = dict(self.by_id), set(self.special), self.ids()
        next_id = vocab_size + sum(token_to_id(content) is None for content in ids)
        new = 0
        for token in tokens:
            if not token.content:
                continue
            if token.special:
                special.add(token.content)
            id = ids.get(token.content)
            if id is None:
                id = token_to_id(token.content)
            if id is None:
                id = next_id + new
                new += 1
            by_id[id] = token
            ids[token.content] = id
        return AddedTokens(dict(sorted(by_id.items())), frozenset(special)), new


def _normal_form(content: str) -> str:
    """NFC, white space, lower case: as the engine looks for a normalised token, and as transformers 5 gives it back."""
    import re
    import unicodedata

    return "".join(c.lower() for c in re.sub(r"[^\S\x1c-\x1f]+", " ", unicodedata.normalize("NFC", content)))


def as_added_token(value: object, what: str, *, special: bool = False) -> AddedToken:
    """An AddedToken of a str, of ours, or of anything with the same attributes, such as transformers' own.

    Raises TypeError that names `what` otherwise, and ValueError for a lone surrogate.
    """
    if isinstance(value, str):
        token = AddedToken(value, special=special)
    elif isinstance(value, AddedToken):
        token = value
    elif isinstance(getattr(value, "content", None), str):
        token = AddedToken(value.content, **{flag: getattr(value, flag) for flag in _FLAGS})  # type: ignore[attr-defined]
    else:
        raise TypeError(f"{what} is {_brief(value)}; expected str or AddedToken")
    if any("\ud800" <= c <= "\udfff" for c in token.content):
        raise ValueError(f"{what} is {token.content!r}, which holds a lone surrogate and has no UTF-8")
    return token.as_special() if special else token


def added_token_from_json(fields: dict[str, Any], **more: bool) -> AddedToken:
    """An AddedToken of a file's fields. Raises TypeError for an unknown or missing field or a wrong type."""
    return AddedToken(**{key: value for key, value in {**fields, **more}.items() if key not in ("id", "__type")})


def as_token_list(tokens: object) -> list[object]:
    """`tokens` as a list: one str or AddedToken, or an iterable of them."""
    if isinstance(tokens, str) or not isinstance(tokens, Iterable):
        return [tokens]
    return list(tokens)


def _brief(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
