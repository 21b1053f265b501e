"""All captions of a sample in their order, and several fields of texts."""

from typing import Any

import numpy as np
import pytest
import torch

from cliptok import Tokenizer
from cliptok.data import Collator

TOK = Tokenizer("open_clip")


def rows(texts: list[str]) -> Any:
    return torch.from_numpy(TOK.encode_batch(texts, 16, truncate=True))


def test_all_captions_in_order() -> None:
    samples = [{"caption": ["a cat", "a dog"], "n": 1}, {"caption": ["a bird", "no bird"], "n": 2}]
    batch = Collator(TOK, "caption", captions="all", max_length=16, attention_mask=True)(samples)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, 2, 16)
    assert torch.equal(batch["input_ids"].view(4, 16), rows(["a cat", "a dog", "a bird", "no bird"]))
    assert batch["n"].tolist() == [1, 2]


def test_ragged_captions_are_refused_or_padded() -> None:
    samples = [["a cat"], ["a bird", "no bird", "two birds"], ["a dog", "a fox"]]
    with pytest.raises(ValueError, match=r"samples\[1\] has 3 captions, and samples\[0\] 1"):
        Collator(TOK, captions="all")(samples)
    collate = Collator(TOK, captions="all", ragged="pad", max_length=16, attention_mask=True)
    batch = collate(samples)
    mask = batch["caption_mask"]
    assert mask.tolist() == [[True, False, False], [True, True, True], [True, True, False]]
    texts = [text for sample in samples for text in sample]
    assert torch.equal(batch["input_ids"][mask], rows(texts))
    assert (batch["input_ids"][~mask] == TOK.pad_token_id).all() and (batch["attention_mask"][~mask] == 0).all()
    assert int(batch["attention_mask"].sum()) == TOK.count(texts).sum()


def test_several_fields() -> None:
    samples = [{"caption": "a cat", "negative": "a dog", "n": 1}, {"caption": "a bird", "negative": "a fish", "n": 2}]
    batch = Collator(TOK, ["caption", "negative"], max_length=16)(samples)
    assert sorted(batch) == ["caption_input_ids", "n", "negative_input_ids"]
    assert torch.equal(batch["negative_input_ids"], rows(["a dog", "a fish"]))
    first, n, second = Collator(TOK, [0, 2], max_length=16)([("a cat", 1, "a dog"), ("a bird", 2, "a fish")])
    assert torch.equal(first, rows(["a cat", "a bird"])) and torch.equal(second, rows(["a dog", "a fish"]))
    assert np.array_equal(n, [1, 2])


@pytest.mark.parametrize(
    "arguments",
    [{"captions": "some"}, {"captions": 0}, {"ragged": "pad"}, {"ragged": "cut"}, {"text": []}, {"text": ["a", "a"]}],
)
def test_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"captions|ragged|text"):
        Collator(TOK, **arguments)
