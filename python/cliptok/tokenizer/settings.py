"""What a tokenizer is built from: read from files or given to the constructor."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from cliptok._engine import Engine
from cliptok.tokenizer.profiles import NO_LIMIT, Profile, bundled_ids
from cliptok.tokenizer.tokens.added_tokens import AddedToken, AddedTokens
from cliptok.tokenizer.tokens.special_tokens import SpecialTokens
from cliptok.tokenizer.tokens.token_table import TokenTable

Vocabulary = tuple[dict[str, int], Sequence[tuple[str, str]], str | None]
"""Token to id, merges in order, unknown token."""


class Settings(NamedTuple):
    """Everything `Tokenizer` needs to be built."""

    profile: Profile
    roles: dict[str, AddedToken]
    """Special tokens with a role, in the order in which they are added."""
    extra: Sequence[AddedToken] = ()
    added: Mapping[int, AddedToken] = MappingProxyType({})
    """Added tokens with the ids that the files give them."""
    vocabulary: Vocabulary | None = None
    """None stands for the bundled one."""
    model_max_length: int = NO_LIMIT
    padding_side: str = "right"
    truncation_side: str = "right"
    clean_up_tokenization_spaces: bool = False
    name_or_path: str = ""
    engine: Engine | None = None
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


def vocabulary_engine(profile: Profile, vocabulary: Vocabulary | None) -> Engine:
    """The engine without added tokens. The one of the bundled vocabulary is shared, and so is its warm cache."""
    return _bundled(profile) if vocabulary is None else _engine(profile, vocabulary)


@cache
def _bundled(profile: Profile) -> Engine:
    return _engine(profile, None)


def _engine(profile: Profile, vocabulary: Vocabulary | None) -> Engine:
    return Engine(profile.name, (), 0, 0, vocabulary)


def build(settings: Settings) -> tuple[TokenTable, SpecialTokens]:
    """The tokens of a new tokenizer, added ones with the ids that the profile's reference gives them.

    Raises ValueError for special tokens that have no id and need one, and for added tokens where there are none.
    """
    profile, roles, vocabulary = settings.profile, settings.roles, settings.vocabulary
    if not profile.specials_are_added and (settings.added or settings.extra):
        raise ValueError(f"the profile {profile.name!r} has no added tokens; use profile='transformers'")
    engine = settings.engine or vocabulary_engine(profile, vocabulary)
    known = {} if vocabulary else bundled_ids(profile)

    def vocabulary_id(token: str) -> int | None:
        id = known.get(token)
        return engine.token_to_id(token) if id is None else id

    added = _initial_tokens(settings, vocabulary_id, engine.vocabulary_size)
    ids = added.ids()

    def id_of(role: str) -> int | None:
        token = roles[role].content if role in roles else None
        return None if token is None else ids.get(token, vocabulary_id(token))

    start, end = id_of("bos_token"), id_of("eos_token")
    for role, id in (("bos_token", start), ("eos_token", end)):
        if id is None:
            raise ValueError(f"{role} is {roles.get(role)}, which has no id; a CLIP tokenizer needs one")
    if "pad_token" in roles and id_of("pad_token") is None:
        raise ValueError(f"pad_token is {roles['pad_token'].content!r}, which is no token")
    unknown = vocabulary[2] if vocabulary else None
    table = TokenTable(profile, engine, added, int(start or 0), int(end or 0), vocabulary is None, unknown)
    return table, SpecialTokens.ordered(roles, settings.extra)


def _initial_tokens(settings: Settings, vocabulary_id: Callable[[str], int | None], vocab_size: int) -> AddedTokens:
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
        return given.plus_slow([t.as_special() for t in tokens], vocabulary_id, vocab_size)[0]
    # The files' order holds, not their ids: tokens past the vocabulary are numbered anew, without gaps.
    tokens = [settings.added[id] for id in sorted(settings.added)]
    tokens = [token.as_special() if token.content in roles else token for token in tokens]
    listed = {token.content for token in tokens}
    # A role may repeat a token with other flags, and then the later flags hold.
    for token in [*(token.as_special() for token in settings.roles.values()), *settings.extra]:
        if token.content not in listed and token not in tokens:
            tokens.append(token)
    return AddedTokens({}, frozenset()).plus(tokens, vocabulary_id, vocab_size)[0]
