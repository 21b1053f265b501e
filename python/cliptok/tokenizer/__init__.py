"""The tokenizer: texts to ids and back, exact for its profile."""

from cliptok.tokenizer.bulk import PackedTokens, TooLongError
from cliptok.tokenizer.calls.encoding import BatchEncoding
from cliptok.tokenizer.tokenizer import Tokenizer
from cliptok.tokenizer.tokens.added_tokens import AddedToken

__all__ = ["AddedToken", "BatchEncoding", "PackedTokens", "Tokenizer", "TooLongError"]
