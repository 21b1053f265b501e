"""Values of another kind for what is not a text: an error that names the argument, at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cliptok import Tokenizer


class Endless:
    """A sequence by its items alone, which says that it has two and never ends."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, at: int) -> str:
        return "a"


class Longer(list):  # type: ignore[type-arg]
    def __len__(self) -> int:
        return 1 << 62


NO_SEVERAL: list[Any] = [5, 1.5, True, object(), int, Endless(), Ellipsis]
TAKE_SEVERAL: dict[str, Callable[[Tokenizer, Any], Any]] = {
    "tokens": lambda tok, value: tok.convert_tokens_to_ids(value),
    "tokens (?=is)": lambda tok, value: tok.convert_tokens_to_string(value),
    "batch_text_or_text_pairs": lambda tok, value: tok.batch_encode_plus(value),
    "token_ids_0": lambda tok, value: tok.build_inputs_with_special_tokens(value),
    "token_ids_1": lambda tok, value: tok.create_token_type_ids_from_sequences([1], value),
    "token_ids_[0]": lambda tok, value: tok.get_special_tokens_mask(value),
    "extra_special_tokens": lambda tok, value: setattr(tok, "additional_special_tokens", value),
    "extra_special_tokens_ids": lambda tok, value: setattr(tok, "additional_special_tokens_ids", value),
}


@pytest.mark.parametrize("name", TAKE_SEVERAL)
def test_what_is_not_several(name: str) -> None:
    tok = Tokenizer()
    for value in NO_SEVERAL:
        with pytest.raises(TypeError, match=f"{name} ?is of type {type(value).__name__}; expected"):
            TAKE_SEVERAL[name](tok, value)
    assert tok.encode("a cat") == [49406, 320, 2368, 49407]


def test_ids_and_their_tokens() -> None:
    tok = Tokenizer()
    with pytest.raises(TypeError, match="ids is of type float; expected int or several"):
        tok.convert_ids_to_tokens(1.5)  # type: ignore[call-overload]
    for ids in (["a"], [1.5], [None], ["320"]):
        with pytest.raises(TypeError, match="extra_special_tokens_ids is of type"):
            tok.additional_special_tokens_ids = ids
    with pytest.raises(ValueError, match="extra_special_tokens_ids holds 99999, which is no token's id"):
        tok.additional_special_tokens_ids = iter([320, 99999])  # type: ignore[assignment]
    with pytest.raises(TypeError, match="token_ids is a dict without input_ids; expected ids or an encoding"):
        tok.decode({"ids": [320]})
    with pytest.raises(TypeError, match="text is list; expected str"):
        tok.clean_up_tokenization(["a ."])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"batch_text_or_text_pairs\[1\] is no pair of texts"):
        tok.batch_encode_plus([("a", "b"), ("c",)])
    with pytest.raises(MemoryError):
        tok.convert_tokens_to_string(Longer(["a</w>"]))


def test_lengths_and_threads() -> None:
    tok = Tokenizer()
    for length in (int, np.array([5, 6]), np.array([1.5]), "5", 5.0, True):
        with pytest.raises(TypeError, match=f"max_length is of type {type(length).__name__}"):
            tok.encode_batch(["a cat"], length)
    texts = ["a cat"] * 200
    assert (tok.encode_batch(texts, 5, threads=10**30) == tok.encode_batch(texts, 5, threads=1)).all()
