"""What a tokenizer is made of, before there is one: read from files or given to the constructor."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from cliptok._engine import Engine
from cliptok.tokenizer.profiles import NO_LIMIT, Profile
from cliptok.tokenizer.tokens.added_tokens import AddedToken, AddedTokens

Vocabulary = tuple[dict[str, int], Sequence[tuple[str, str]], str | None]
"""Token to id, merges in order, unknown token."""


class Settings(NamedTuple):
    """Everything `Tokenizer` needs to be built."""

    profile: Profile
    roles: dict[str, AddedToken]
    """Named special tokens, in the order in which they are added."""
    extra: Sequence[AddedToken] = ()
    added: Mapping[int, AddedToken] = MappingProxyType({})
    vocabulary: Vocabulary | None = None
    """None stands for the bundled one."""
    model_max_length: int = NO_LIMIT
    padding_side: str = "right"
    truncation_side: str = "right"
    clean_up_tokenization_spaces: bool = False
    name_or_path: str = ""
    base: Engine | None = None
    """The engine of `vocabulary`, if it is made already."""


def default_roles(profile: Profile) -> dict[str, AddedToken]:
    """The special tokens that the reference has when it is told none."""
    # transformers 4 makes start and end with `normalized`, which its slow tokenizer then ignores.
    normalized = True if profile.name == "transformers-slow" else None
    contents = {"bos_token": profile.start, "eos_token": profile.end}
    if profile.specials_are_added:
        contents["unk_token"] = profile.end
    roles = {name: AddedToken(content, normalized=normalized, special=True) for name, content in contents.items()}
    roles["pad_token"] = AddedToken(profile.pad, special=True)
    return roles


def base_engine(profile: Profile, vocabulary: Vocabulary | None) -> Engine:
    """The engine without added tokens. The one of the bundled vocabulary is shared, and so is its warm cache."""
    return _bundled(profile) if vocabulary is None else _engine(profile, vocabulary)


@cache
def _bundled(profile: Profile) -> Engine:
    return _engine(profile, None)


def _engine(profile: Profile, vocabulary: Vocabulary | None) -> Engine:
    return Engine(profile.name, (), 0, 0, vocabulary)


def initial_tokens(settings: Settings, token_to_id: Callable[[str], int | None], vocab_size: int) -> AddedTokens:
    """The added tokens of a new tokenizer, with the ids that the profile's reference gives them."""
    if not settings.profile.specials_are_added:
        return AddedTokens({}, frozenset())
    roles = {token.content for token in settings.roles.values()}
    if settings.profile.name == "transformers-slow":
        # The files' ids hold, and the special tokens follow with the flags of their roles.
        given = AddedTokens(
            dict(sorted(settings.added.items())), frozenset(t.content for t in settings.added.values() if t.special)
        )
        first = {token.content: token for token in reversed([*settings.roles.values(), *settings.extra])}
        tokens = [first.pop(t.content) for t in [*settings.roles.values(), *settings.extra] if t.content in first]
        return given.plus_slow([t.as_special() for t in tokens], token_to_id, vocab_size)[0]
    # The files' order holds, not their ids: tokens past the vocabulary are numbered anew, without gaps.
    tokens = [settings.added[id] for id in sorted(settings.added)]
    tokens = [token.as_special() if token.content in roles else token for token in tokens]
    listed = {token.content for token in tokens}
    # A role may repeat a token with other flags, and then the later flags hold.
    for token in [*(token.as_special() for token in settings.roles.values()), *settings.extra]:
        if token.content not in listed and token not in tokens:
            tokens.append(token)
    return AddedTokens({}, frozenset()).plus(tokens, token_to_id, vocab_size)[0]
