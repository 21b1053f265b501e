"""Fingerprints of tokenizers and encoders, by which a resumed job knows whether its settings are the same."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cliptok import TextEncoder, Tokenizer

_BYTES = 4096


def of_tokenizer(tok: "Tokenizer") -> str:
    """The profile, and a digest of everything that determines the ids of a text."""
    added = [(id, repr(token)) for id, token in tok.added_tokens_decoder.items()]
    tokens = tok._tokens
    parts: list[Any] = [
        added,
        (tokens.start_id, tokens.end_id),
        tok.pad_token_id,
        tok.padding_side,
        tok.truncation_side,
    ]
    if not tokens.is_bundled:
        parts += [tokens.vocabulary.vocabulary(), tokens.vocabulary.merges()]
    return f"{tok.profile} {_digest(json.dumps(parts).encode())}"


def of_any_tokenizer(tok: Any) -> str:
    """The same for transformers' too: its class, and a digest of its vocabulary and special tokens."""
    from cliptok import Tokenizer

    if isinstance(tok, Tokenizer):
        return of_tokenizer(tok)
    parts = [sorted(tok.get_vocab().items()), sorted(map(str, tok.special_tokens_map.items())), tok.pad_token_id]
    return f"{type(tok).__name__} {_digest(json.dumps(parts).encode())}"


def of_encoder(encoder: "TextEncoder") -> str:
    """A digest of the sizes and of the beginning of every weight."""
    from cliptok.encoder.sharing.fingerprint import weights_digest

    return weights_digest(encoder, _BYTES)[:16]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
