"""Token to id and back: a vocabulary, the tokens added to it, and the engine that knows both."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from cliptok._common.parts import parts
from cliptok._engine import Engine
from cliptok.tokenizer.profiles import Profile, bundled_ids
from cliptok.tokenizer.tokens.added_tokens import AddedToken, AddedTokens

_IDS = 1 << 32
_MANY = 256
"""From so many tokens on a table of the vocabulary pays, which takes some milliseconds to make."""


class TokenTable:
    """Every token of one tokenizer. Immutable: tokens are added by making another, which shares the warm cache.

    `vocabulary` is the engine without added tokens, and `engine` the one with them. `start_id` and `end_id` are put
    around every text. `id_bound` is one more than the largest id. `is_bundled` says that the vocabulary is the
    package's own, and `unknown` is the unknown token of one that is not.
    """

    __slots__ = (
        "_decoder",
        "_encoder",
        "_known",
        "_size",
        "_spelled",
        "_spellings",
        "added",
        "added_ids",
        "end_id",
        "engine",
        "id_bound",
        "is_bundled",
        "profile",
        "start_id",
        "unknown",
        "vocabulary",
    )

    def __init__(
        self,
        profile: Profile,
        vocabulary: Engine,
        added: AddedTokens,
        start_id: int,
        end_id: int,
        is_bundled: bool = True,
        unknown: str | None = None,
    ) -> None:
        self.profile, self.vocabulary, self.added = profile, vocabulary, added
        self.start_id, self.end_id, self.is_bundled, self.unknown = start_id, end_id, is_bundled, unknown
        self.added_ids = added.ids()
        self._spellings = added.spellings(profile.name == "transformers")
        self._known = bundled_ids(profile) if is_bundled else {}
        self._encoder: dict[str, int] | None = None
        self._decoder: dict[int, str] | None = None
        self._spelled: dict[int, str] | None = None
        self._size = vocabulary.vocabulary_size + sum(self.vocabulary_id(token) is None for token in self.added_ids)
        self.id_bound = max(self._size, max(added.by_id, default=0) + 1)  # The slow reference's files may leave gaps.
        self.engine = vocabulary.with_added_tokens(added.for_engine(self._spellings), start_id, end_id)

    def replaced(self, added: AddedTokens, start_id: int | None = None, end_id: int | None = None) -> "TokenTable":
        """The same vocabulary with other added tokens, and perhaps other ids around a text."""
        start_id = self.start_id if start_id is None else start_id
        end_id = self.end_id if end_id is None else end_id
        return TokenTable(self.profile, self.vocabulary, added, start_id, end_id, self.is_bundled, self.unknown)

    def __len__(self) -> int:
        return self._size

    def vocabulary_id(self, token: str) -> int | None:
        """The id of a token of the vocabulary."""
        id = self._known.get(token)
        return self.vocabulary.token_to_id(token) if id is None else id

    def token_to_id(self, token: str) -> int | None:
        """The id of any token."""
        id = self.added_ids.get(token)
        return self.vocabulary_id(token) if id is None else id

    def id_to_token(self, id: int) -> str | None:
        """The token as it stands in decoded text."""
        added = self._spellings.get(id)
        if added is not None:
            return added
        return self.vocabulary.id_to_token(id) if 0 <= id < _IDS else None

    def ids_of(self, tokens: Sequence[str]) -> list[int | None]:
        """The id of each token, None for what is no token."""
        if len(tokens) >= _MANY:
            try:
                return _looked_up(self.encoder(), tokens)
            except TypeError:  # Something that cannot be looked up is among them.
                pass
        return [self.token_to_id(token) if isinstance(token, str) else None for token in tokens]

    def tokens_of(self, ids: Iterable[int]) -> list[str | None]:
        """The token of each id, None for what is no token's."""
        keys: Any = ids if hasattr(ids, "tolist") else list(ids)
        if len(keys) < _MANY:
            return [self.id_to_token(int(id)) for id in (keys.tolist() if hasattr(keys, "tolist") else keys)]
        if self._spelled is None:
            self._spelled = {**self.decoder(), **self._spellings}
        found = _looked_up(self._spelled, keys)
        if None in found:  # Perhaps of tensors, which are never equal to their hash's int.
            pairs = zip(keys, found, strict=True)
            return [self.id_to_token(int(id)) if token is None else token for id, token in pairs]
        return found

    def tokens(self) -> dict[str, int]:
        """Token to id, added tokens included. A new dict."""
        return {**self.vocabulary.vocabulary(), **self.added_ids}

    def encoder(self) -> dict[str, int]:
        """Token to id, added tokens included. Made at the first use and kept."""
        if self._encoder is None:
            self._encoder = self.tokens()
        return self._encoder

    def decoder(self) -> dict[int, str]:
        """Id to token, added tokens included. Made at the first use and kept."""
        if self._decoder is None:
            self._decoder = {id: token for token, id in self.tokens().items()}
        return self._decoder

    def plus(self, tokens: Iterable[AddedToken]) -> tuple["TokenTable", int]:
        """With more tokens, and how many of them are new by the rules of the profile's reference.

        Raises ValueError in the profiles whose references know no added tokens.
        """
        if not self.profile.specials_are_added:
            raise ValueError(f"the profile {self.profile.name!r} has no added tokens; use profile='transformers'")
        plus = self.added.plus_slow if self.profile.name == "transformers-slow" else self.added.plus
        added, count = plus(tokens, self.vocabulary_id, self.vocabulary.vocabulary_size)
        return self.replaced(added), count

    def minus(self, contents: Sequence[str]) -> "TokenTable":
        """Without these added tokens; the others keep their ids.

        Raises ValueError for one that was not added, and in the profile `transformers-slow`, which numbers new tokens
        by their count, when an added token with a larger id would stay.
        """
        for position, content in enumerate(contents):
            if content not in self.added_ids:
                raise ValueError(f"tokens[{position}], {content!r}, is no added token")
        kept = {id: token for id, token in self.added.by_id.items() if token.content not in contents}
        first_gone = min((self.added_ids[content] for content in contents), default=0)
        if self.profile.name == "transformers-slow" and contents and max(kept, default=0) > first_gone:
            raise ValueError(f"{kept[max(kept)].content!r} was added after {contents[0]!r}; remove it as well")
        return self.replaced(AddedTokens(kept, self.added.special.difference(contents)))


def _looked_up(table: dict[Any, Any], keys: Any) -> list[Any]:
    """What the table has for each of a list or an array."""
    lists = (part.tolist() if hasattr(part, "tolist") else part for part in parts(keys))
    return list(chain.from_iterable(map(table.get, part) for part in lists))
