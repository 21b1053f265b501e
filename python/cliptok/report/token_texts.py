"""Token ids as text for human eyes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cliptok.tokenizer.tokenizer import Tokenizer


class TokenText(NamedTuple):
    """The text of one token, or of several that make up a character between them."""

    text: str
    tokens: int


def token_texts(tok: "Tokenizer", ids: Sequence[int]) -> list[TokenText]:
    """Each token's text, without the space after a word. Tokens that break a character up are joined."""
    found: list[TokenText] = []
    open_ids: list[int] = []
    for at, id in enumerate(ids):
        open_ids.append(id)
        text = tok.decode(open_ids).strip()
        if "\ufffd" not in text or at == len(ids) - 1:
            found.append(TokenText(text, len(open_ids)))
            open_ids = []
    return found
