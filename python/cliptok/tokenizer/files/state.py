"""A tokenizer as one line of JSON, for pickles: equal tokenizers have equal ones in every process."""

import json
from typing import Any, Final

from cliptok.tokenizer.profiles import profile_named
from cliptok.tokenizer.settings import vocabulary_engine
from cliptok.tokenizer.tokens.added_tokens import AddedToken, AddedTokens
from cliptok.tokenizer.tokens.special_tokens import SpecialTokens
from cliptok.tokenizer.tokens.token_table import TokenTable

FORMAT: Final = 1
"""The number of the format. A later version of the package loads every earlier format."""


def to_json(tokens: TokenTable, specials: SpecialTokens, settings: dict[str, Any]) -> str:
    """Tokens, special tokens and settings. A vocabulary that is the package's own is not written."""
    own = tokens.vocabulary
    state = {
        "profile": tokens.profile.name,
        "vocabulary": None if tokens.is_bundled else (own.vocabulary(), own.merges(), tokens.unknown),
        "added": [(id, _fields(token)) for id, token in tokens.added.by_id.items()],
        "special": sorted(tokens.added.special),
        "start_end": (tokens.start_id, tokens.end_id),
        "roles": {role: _fields(token) for role, token in specials.roles.items()},
        "extra": [_fields(token) for token in specials.extra],
        "settings": settings,
    }
    return json.dumps(state)


def from_json(text: str) -> tuple[TokenTable, SpecialTokens, dict[str, Any]]:
    """What `to_json` was given."""
    state = json.loads(text)
    profile, vocabulary = profile_named(state["profile"]), state["vocabulary"]
    if vocabulary is not None:
        tokens, merges, unknown = vocabulary
        vocabulary = (tokens, [(left, right) for left, right in merges], unknown)
    added = AddedTokens({id: AddedToken(*fields) for id, fields in state["added"]}, frozenset(state["special"]))
    roles = {role: AddedToken(*fields) for role, fields in state["roles"].items()}
    start, end = state["start_end"]
    unknown = vocabulary[2] if vocabulary else None
    table = TokenTable(profile, vocabulary_engine(profile, vocabulary), added, start, end, vocabulary is None, unknown)
    return table, SpecialTokens(roles, tuple(AddedToken(*fields) for fields in state["extra"])), state["settings"]


def _fields(token: AddedToken) -> tuple[Any, ...]:
    fields: tuple[Any, ...] = token.__reduce__()[1]
    return fields
