"""What finished jobs recorded stays comparable: fingerprints are the same in each version, for resuming and caches."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch

from cliptok import Tokenizer
from cliptok.batch.fingerprints import of_any_tokenizer, of_encoder, of_tokenizer
from cliptok.encoder import TextConfig, TextEncoder


class Other:
    """A tokenizer of another library."""

    special_tokens_map: ClassVar[dict[str, str]] = {"pad_token": "!", "bos_token": "<"}
    pad_token_id = 0

    def get_vocab(self) -> dict[str, int]:
        """Not in its order."""
        return {"b": 1, "!": 0}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "transformers 00411a034b82e9e6"),
        ({"profile": "open_clip"}, "open_clip 70804424f6472f1d"),
        ({"pad_token": "!"}, "transformers fac711192b60e7bd"),
        ({"padding_side": "left"}, "transformers 0918635c7264f1f1"),
        ({"truncation_side": "left"}, "transformers 8e81bc75e445bf6a"),
    ],
)
def test_of_tokenizers(options: dict[str, Any], expected: str) -> None:
    tok = Tokenizer(**options)
    assert of_tokenizer(tok) == of_any_tokenizer(tok) == expected


def test_of_other_tokenizers() -> None:
    assert of_any_tokenizer(Other()) == "Other 6b5eb351903a8d68"


def test_of_encoders() -> None:
    encoder = TextEncoder(TextConfig(width=64, layers=1, heads=1, mlp=64, vocabulary=100))
    with torch.no_grad():
        for number, weight in enumerate(encoder.parameters()):
            weight.copy_(torch.arange(weight.numel()).reshape(weight.shape) % 7 + number)
    assert of_encoder(encoder) == "9d611d39eb325a00"
