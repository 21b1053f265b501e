"""The special tokens: those with a role, such as `pad_token`, and those without."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, overload

from cliptok.tokenizer.tokens.added_tokens import AddedToken, as_added_token

NAMES: Final = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class SpecialTokens(NamedTuple):
    """Which tokens are special. Immutable."""

    roles: Mapping[str, AddedToken]
    """Role, such as `pad_token`, to token, in the order in which transformers lists them."""
    extra: Sequence[AddedToken]
    """The special tokens without a role."""

    @classmethod
    def ordered(cls, roles: Mapping[str, AddedToken], extra: Sequence[AddedToken]) -> "SpecialTokens":
        """Special tokens from roles in any order."""
        names = [*(name for name in NAMES if name in roles), *(name for name in roles if name not in NAMES)]
        return cls({name: roles[name] for name in names}, tuple(extra))

    def with_role(self, name: str, token: AddedToken | None) -> "SpecialTokens":
        """The same with another token in a role, or with None without that role."""
        others = {role: other for role, other in self.roles.items() if role != name}
        if token is None:
            return SpecialTokens(others, self.extra)
        return SpecialTokens.ordered({**self.roles, name: token}, self.extra)

    def with_extra(self, extra: Sequence[AddedToken]) -> "SpecialTokens":
        """The same with other tokens that have no role."""
        return SpecialTokens(self.roles, tuple(extra))

    def content(self, role: str) -> str | None:
        """The token in a role, or None."""
        token = self.roles.get(role)
        return None if token is None else token.content

    def contents(self) -> list[str]:
        """Every special token once, those with a role first."""
        return list(dict.fromkeys(token.content for token in (*self.roles.values(), *self.extra)))


class HasRoles(Protocol):
    """What the attributes below belong to."""

    def _role(self, name: str) -> str | None: ...
    def _role_id(self, name: str) -> int | None: ...
    def _set_role(self, name: str, token: AddedToken | None) -> None: ...
    def _token_of(self, id: int) -> str | None: ...


class Role:
    """The attribute `pad_token` and its like: a token or None. Setting it adds no token to the vocabulary."""

    def __init__(self, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: object) -> "Role": ...
    @overload
    def __get__(self, owner: HasRoles, kind: object) -> str | None: ...
    def __get__(self, owner: HasRoles | None, kind: object) -> "Role | str | None":
        return self if owner is None else owner._role(self._name)

    def __set__(self, owner: HasRoles, value: Any) -> None:
        owner._set_role(self._name, None if value is None else as_added_token(value, self._name))


class RoleId:
    """The attribute `pad_token_id` and its like: an id or None. Setting it takes the token with that id."""

    def __init__(self, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: object) -> "RoleId": ...
    @overload
    def __get__(self, owner: HasRoles, kind: object) -> int | None: ...
    def __get__(self, owner: HasRoles | None, kind: object) -> "RoleId | int | None":
        return self if owner is None else owner._role_id(self._name)

    def __set__(self, owner: HasRoles, value: int | None) -> None:
        token = None if value is None else owner._token_of(value)
        if value is not None and token is None:
            raise ValueError(f"{self._name}_id is {value}, which is no token's id")
        owner._set_role(self._name, None if token is None else AddedToken(token))


def checked_roles(roles: Any, known: Mapping[str, AddedToken]) -> dict[str, Any]:
    """The argument of `add_special_tokens` with today's names, or a ValueError that lists them."""
    if not isinstance(roles, dict):
        raise TypeError(f"special_tokens_dict is of type {type(roles).__name__}; expected a dict of role to token")
    renamed = {"extra_special_tokens" if k == "additional_special_tokens" else k: v for k, v in roles.items()}
    for name, value in renamed.items():
        if name == "extra_special_tokens":
            if not isinstance(value, (list, tuple)):
                raise ValueError(f"{name} is of type {type(value).__name__}; expected a list of str or AddedToken")
        elif name not in NAMES and name not in known:
            choices = ", ".join((*NAMES, "extra_special_tokens"))
            raise ValueError(f"{name!r} is no special token; choose from {choices}")
    return renamed
