"""Tokens, their ids, and what may be added to them: everything about the vocabulary that needs no text."""

from collections.abc import Iterable
from typing import Any, overload

from cliptok._engine import Engine
from cliptok.tokenizer.profiles import Profile
from cliptok.tokenizer.tokens.added_tokens import AddedToken, AddedTokens, as_added_token, as_token_list
from cliptok.tokenizer.tokens.special_tokens import SpecialTokens

_IDS = 1 << 32


class TokenTable(SpecialTokens):
    """The part of a tokenizer that holds the engine, the added tokens and the conversions."""

    _profile: Profile
    _base: Engine
    """The vocabulary without added tokens."""
    _engine: Engine
    """The same vocabulary, and the same warm cache, with them."""
    _known: dict[str, int]
    """Ids of the vocabulary that are known without asking it."""
    _added: AddedTokens
    _added_ids: dict[str, int]
    _spellings: dict[int, str]
    _ends: tuple[int, int]
    """The ids put before and after a text."""
    _decoder: dict[int, str] | None
    model_max_length: int
    padding_side: str
    truncation_side: str
    clean_up_tokenization_spaces: bool

    def _set_added(self, added: AddedTokens) -> None:
        """Take these added tokens: the engine is replaced as a whole, so threads see the old one or the new one."""
        spellings = added.spellings(self._profile.name == "transformers")
        # First what may refuse the tokens, so that a refusal changes nothing.
        self._engine = self._base.with_added_tokens(added.for_engine(spellings), *self._ends)
        self._added = added
        self._added_ids = added.ids()
        self._spellings = spellings
        self._decoder = None

    # -- sizes and dictionaries

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary, without added tokens."""
        return self._base.vocabulary_size

    def __len__(self) -> int:
        return self.vocab_size + sum(self._base_id(content) is None for content in self._added_ids)

    def _id_bound(self) -> int:
        """One more than the largest id. Files of the slow reference may leave gaps."""
        return max(len(self), max(self._added.by_id, default=0) + 1)

    def __bool__(self) -> bool:
        return True

    def get_vocab(self) -> dict[str, int]:
        """Token to id, added tokens included. A new dict."""
        return {**self._base.vocabulary(), **self._added_ids}

    @property
    def vocab(self) -> dict[str, int]:
        """`get_vocab()`."""
        return self.get_vocab()

    @property
    def encoder(self) -> dict[str, int]:
        """Token to id, without added tokens. A new dict."""
        return self._base.vocabulary()

    @property
    def decoder(self) -> dict[int, str]:
        """Id to token, added tokens included. Made at the first use and kept, so do not change it."""
        if self._decoder is None:
            self._decoder = {id: token for token, id in self.get_vocab().items()}
        return self._decoder

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id to AddedToken, in id order."""
        return dict(self._added.by_id)

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Content of each added token to its id, in id order."""
        return dict(self._added_ids)

    def get_added_vocab(self) -> dict[str, int]:
        """`added_tokens_encoder`."""
        return self.added_tokens_encoder

    # -- conversions

    def _base_id(self, token: str) -> int | None:
        id = self._known.get(token)
        return self._base.token_to_id(token) if id is None else id

    def _token_id(self, token: str) -> int | None:
        id = self._added_ids.get(token)
        return self._base_id(token) if id is None else id

    def _id_token(self, id: int) -> str | None:
        added = self._spellings.get(id)
        if added is not None:
            return added
        return self._base.id_to_token(id) if 0 <= id < _IDS else None

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...  # type: ignore[overload-overlap]
    @overload
    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> int | list[int]:
        """The id of a token, or of each of several. A string that is no token has the id of `unk_token`.

        Raises ValueError for such a string when there is no `unk_token`, TypeError for anything but str.
        """
        if isinstance(tokens, str):
            return self._known_id(tokens)
        return [self._known_id(token) for token in tokens]

    def _known_id(self, token: str) -> int:
        if not isinstance(token, str):
            raise TypeError(f"tokens holds a value of type {type(token).__name__}; expected str")
        id = self._token_id(token)
        if id is None:
            id = self.unk_token_id
        if id is None:
            raise ValueError(f"{token!r} is no token, and there is no unk_token to stand for it")
        return id

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str | None: ...
    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int], skip_special_tokens: bool = False) -> list[str | None]: ...
    def convert_ids_to_tokens(
        self, ids: int | Iterable[int], skip_special_tokens: bool = False
    ) -> str | list[str | None] | None:
        """The token of an id, or of each of several; None for an id that is no token's."""
        if isinstance(ids, int):
            return self._id_token(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else ()
        return [self._id_token(id) for id in map(int, ids) if id not in skipped]

    # -- additions

    def add_tokens(
        self, new_tokens: str | AddedToken | Iterable[str | AddedToken], special_tokens: bool = False
    ) -> int:
        """Add tokens that are found in a text as a whole, and return how many were new.

        A token of the vocabulary keeps its id; the others are numbered from `len(self)` on. A known token takes the
        new flags. As in transformers, the default profile counts tokens that changed in any way as new,
        `transformers-slow` only those that had no id.

        Raises ValueError in the profiles `open_clip` and `openai`, whose references know no added tokens, and
        TypeError for anything but str and AddedToken.
        """
        given = as_token_list(new_tokens)
        tokens = []
        for position, token in enumerate(given):
            tokens.append(as_added_token(token, f"new_tokens[{position}]", special=special_tokens))
        if not tokens:
            return 0
        if not self._profile.specials_are_added:
            raise ValueError(f"the profile {self._profile.name!r} has no added tokens; use profile='transformers'")
        slow = self._profile.name == "transformers-slow"
        if slow:  # It skips a str that it has already, whatever its flags.
            known = {content for content in given if isinstance(content, str) and content in self._added_ids}
            tokens = [token for token in tokens if token.content not in known]
        plus = self._added.plus_slow if slow else self._added.plus
        added, count = plus(tokens, self._base_id, self.vocab_size)
        self._set_added(added)
        if slow:
            listed = {"", *self.all_special_tokens}
            self._extra = [*self._extra, *(t for t in tokens if t.special and t.content not in listed)]
        return count

    def remove_tokens(self, tokens: str | AddedToken | Iterable[str | AddedToken]) -> int:
        """Take added tokens out again, and return how many. The other tokens keep their ids.

        Raises ValueError, and removes nothing, for a token that was not added and for one with a role, such as
        `pad_token`; in the profile `transformers-slow`, which numbers new tokens by their count, also when an added
        token with a larger id would stay.
        """
        contents = [as_added_token(token, f"tokens[{i}]").content for i, token in enumerate(as_token_list(tokens))]
        roles = {content: name for name, content in self.special_tokens_map.items()}
        for position, content in enumerate(contents):
            if content not in self._added_ids:
                raise ValueError(f"tokens[{position}], {content!r}, is no added token")
            if content in roles:
                raise ValueError(
                    f"tokens[{position}], {content!r}, is the {roles[content]}; give it another token first"
                )
        kept = {id: token for id, token in self._added.by_id.items() if token.content not in contents}
        first_gone = min((self._added_ids[content] for content in contents), default=0)
        if self._profile.name == "transformers-slow" and contents and max(kept, default=0) > first_gone:
            raise ValueError(f"{kept[max(kept)].content!r} was added after {contents[0]!r}; remove it as well")
        self._set_added(AddedTokens(kept, self._added.special.difference(contents)))
        self._extra = [token for token in self._extra if token.content not in contents]
        return len(set(contents))

    def add_special_tokens(self, special_tokens_dict: dict[str, Any], replace_extra_special_tokens: bool = True) -> int:
        """Give tokens a role, as in `{"pad_token": "<pad>", "extra_special_tokens": ["<a>"]}`, adding those missing.

        Returns how many were new, as `add_tokens`. Raises ValueError for an unknown role.
        """
        roles = self._check_roles(special_tokens_dict)
        to_add: list[AddedToken] = []
        for name, value in roles.items():
            if name != "extra_special_tokens":
                token = as_added_token(value, name, special=True)
                to_add.append(token)
                self._set_named(name, token)
                continue
            tokens = [as_added_token(token, name, special=True) for token in value]
            if not replace_extra_special_tokens:
                tokens = [token for token in tokens if token.content not in self.extra_special_tokens]
            self._extra = tokens if replace_extra_special_tokens and tokens else [*self._extra, *tokens]
            to_add += tokens
        count = self.add_tokens(to_add) if to_add else 0
        self._roles_changed()
        return count
