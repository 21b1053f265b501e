"""`tok.pad` beside transformers', and transformers' data collators with our tokenizer."""

import copy
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from cliptok import Tokenizer
from support.shared import tokenizer

TEXTS = ["a photo of a cat", "", "“quoted” &amp; 日本語", "a", "very " * 20 + "long"]


def plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.parametrize("tensors", [None, "np", "pt"])
def test_it_does_what_transformers_does(hf: Any, tensors: str | None) -> None:
    tok, chance = tokenizer("transformers"), random.Random(5)
    for _ in range(150):
        encoded = [
            dict(tok(chance.choice(TEXTS), return_special_tokens_mask=True)) for _ in range(chance.randint(1, 5))
        ]
        for row, item in enumerate(encoded):
            item["label"] = row / 2
        for name in chance.sample(["attention_mask", "special_tokens_mask", "label"], chance.randint(0, 3)):
            for item in encoded:
                del item[name]
        given: Any = encoded
        if chance.random() < 0.3:
            given = {name: [item[name] for item in encoded] for name in encoded[0]}
        options = {
            "padding": chance.choice([True, "longest", "max_length"]),
            "max_length": chance.choice([None, 30, 77]),
            "pad_to_multiple_of": chance.choice([None, 8]),
            "padding_side": chance.choice([None, "left", "right"]),
            "return_attention_mask": chance.choice([None, True]),
            "return_tensors": tensors,
            "verbose": False,
        }
        found, expected = tok.pad(given, **options), hf.pad(copy.deepcopy(given), **options)
        assert found.keys() == expected.keys(), options
        for name in expected:
            assert type(found[name]) is type(expected[name]) and plain(found[name]) == plain(expected[name]), (
                name,
                options,
            )
            assert tensors is None or found[name].dtype == expected[name].dtype


def test_one_encoding_arrays_and_nothing() -> None:
    tok = tokenizer("transformers")
    one = tok.pad(tok("a cat"), padding="max_length", max_length=6)
    assert one == {"input_ids": [49406, 320, 2368, 49407, 49407, 49407], "attention_mask": [1, 1, 1, 1, 0, 0]}
    for kind in (np.array, torch.tensor):
        rows = [{"input_ids": kind([49406, 320, 49407])}, {"input_ids": kind([49406, 49407])}]
        assert tok.pad(rows, return_tensors="pt").input_ids.tolist() == [[49406, 320, 49407], [49406, 49407, 49407]]
    assert tok.pad({"input_ids": []}) == {"input_ids": [], "attention_mask": []}
    assert tok.pad([{"input_ids": [1, 2]}, {"input_ids": [1]}], padding=False).input_ids == [[1, 2], [1]]
    assert list(tok.pad([{"input_ids": [1, 2]}], return_attention_mask=False)) == ["input_ids"]


def test_errors() -> None:
    tok = tokenizer("transformers")
    for given, options, message in (
        ([{"label": 1}], {}, "no input_ids; it has label"),
        ([], {}, "no input_ids; it has nothing"),
        ({"input_ids": [[1], [2]], "label": [1]}, {}, "label has 1 rows, and input_ids has 2"),
        ([{"input_ids": [1]}, {"input_ids": [1, 2]}], {"padding": False, "return_tensors": "pt"}, "different lengths"),
        ([{"input_ids": [1], "label": "x"}], {"return_tensors": "pt"}, "label makes no tensor"),
        ([{"input_ids": [1]}], {"padding": "widest"}, "padding"),
        ([{"input_ids": [1]}], {"return_tensors": "tf"}, "return_tensors"),
    ):
        with pytest.raises(ValueError, match=message):
            tok.pad(given, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 2])
def test_data_collator_with_padding(workers: int) -> None:
    from transformers import DataCollatorWithPadding

    tok = Tokenizer()
    rows = [{**tok(text), "label": row} for row, text in enumerate(TEXTS)]
    loader: Any = DataLoader(rows, 5, collate_fn=DataCollatorWithPadding(tok), num_workers=workers)  # type: ignore[arg-type]
    (batch,) = loader
    assert batch["labels"].tolist() == [0, 1, 2, 3, 4]
    expected = tok(TEXTS, padding=True, return_tensors="pt")
    assert all(torch.equal(batch[name], expected[name]) for name in expected)
