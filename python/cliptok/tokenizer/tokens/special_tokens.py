"""The named special tokens: `bos_token`, `pad_token_id` and the rest, kept as transformers keeps them."""

from collections.abc import Sequence
from typing import Any, Final, overload

from cliptok.tokenizer.tokens.added_tokens import AddedToken, as_added_token

NAMES: Final = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class _Token:
    """The content of a named special token, or None. Setting it renames; it adds no token to the vocabulary."""

    def __init__(self, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: object) -> "_Token": ...
    @overload
    def __get__(self, owner: "SpecialTokens", kind: object) -> str | None: ...
    def __get__(self, owner: "SpecialTokens | None", kind: object) -> "_Token | str | None":
        if owner is None:
            return self
        token = owner._named.get(self._name)
        return None if token is None else token.content

    def __set__(self, owner: "SpecialTokens", value: object) -> None:
        owner._rename(self._name, value)


class _TokenId:
    """The id of a named special token, or None. Setting it takes the token of that id."""

    def __init__(self, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: object) -> "_TokenId": ...
    @overload
    def __get__(self, owner: "SpecialTokens", kind: object) -> int | None: ...
    def __get__(self, owner: "SpecialTokens | None", kind: object) -> "_TokenId | int | None":
        if owner is None:
            return self
        return owner._role_id(self._name)

    def __set__(self, owner: "SpecialTokens", value: int | None) -> None:
        token = None if value is None else owner._id_token(value)
        if value is not None and token is None:
            raise ValueError(f"{self._name}_id is {value}, which is no token's id")
        owner._rename(self._name, token)


class SpecialTokens:
    """The part of a tokenizer that knows which tokens play which role."""

    _named: dict[str, AddedToken]
    _extra: list[AddedToken]

    bos_token = _Token("bos_token")
    eos_token = _Token("eos_token")
    unk_token = _Token("unk_token")
    sep_token = _Token("sep_token")
    pad_token = _Token("pad_token")
    cls_token = _Token("cls_token")
    mask_token = _Token("mask_token")
    bos_token_id = _TokenId("bos_token")
    eos_token_id = _TokenId("eos_token")
    unk_token_id = _TokenId("unk_token")
    sep_token_id = _TokenId("sep_token")
    pad_token_id = _TokenId("pad_token")
    cls_token_id = _TokenId("cls_token")
    mask_token_id = _TokenId("mask_token")

    def _token_id(self, token: str) -> int | None:
        raise NotImplementedError

    def _id_token(self, id: int) -> str | None:
        raise NotImplementedError

    def _roles_changed(self) -> None:
        raise NotImplementedError

    def _role_id(self, name: str) -> int | None:
        token = self._named.get(name)
        return None if token is None else self._token_id(token.content)

    def _rename(self, name: str, value: object) -> None:
        if value is None:
            self._named.pop(name, None)
        else:
            self._set_named(name, as_added_token(value, name))
        self._roles_changed()

    def _set_named(self, name: str, token: AddedToken) -> None:
        """Put the token under its name, names in the order in which transformers lists them."""
        self._named[name] = token
        order = {name: rank for rank, name in enumerate(NAMES)}
        self._named = dict(sorted(self._named.items(), key=lambda item: order.get(item[0], len(NAMES))))

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Role to token, for the roles that are set."""
        return {name: token.content for name, token in self._named.items()}

    @property
    def extra_special_tokens(self) -> list[str]:
        """Special tokens without a role."""
        return [token.content for token in self._extra]

    @property
    def additional_special_tokens(self) -> list[str]:
        """`extra_special_tokens` under the name of transformers 4."""
        return self.extra_special_tokens

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once, those with a role first."""
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self.extra_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        unknown = self.unk_token_id
        ids = [self._token_id(token) for token in self.all_special_tokens]
        return [id for id in (unknown if id is None else id for id in ids) if id is not None]

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for each special id, 0 for each other.

        Without `already_has_special_tokens` the mask is that of the ids after start and end are put around them.
        """
        if token_ids_1 is not None:
            raise TypeError("token_ids_1 is not supported: CLIP has no pairs of texts")
        if not already_has_special_tokens:
            return [1, *([0] * len(token_ids_0)), 1]
        special = set(self.all_special_ids)
        return [int(int(id) in special) for id in token_ids_0]

    def _check_roles(self, roles: dict[str, Any]) -> dict[str, Any]:
        """The argument of `add_special_tokens` with today's names, or a ValueError that lists them."""
        if not isinstance(roles, dict):
            raise TypeError(f"special_tokens_dict is of type {type(roles).__name__}; expected a dict of role to token")
        renamed = {"extra_special_tokens" if k == "additional_special_tokens" else k: v for k, v in roles.items()}
        for name, value in renamed.items():
            if name == "extra_special_tokens":
                if not isinstance(value, (list, tuple)):
                    raise ValueError(f"{name} is of type {type(value).__name__}; expected a list of str or AddedToken")
            elif name not in NAMES and name not in self._named:
                choices = ", ".join((*NAMES, "extra_special_tokens"))
                raise ValueError(f"{name!r} is no special token; choose from {choices}")
        return renamed
