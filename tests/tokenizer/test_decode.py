"""From ids back to text, and between ids and tokens, beside the references."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support.references import PROFILES
from support.shared import live, tokenizer
from support.strategies import texts

ids_of_any_kind = st.lists(
    st.integers(0, 49407) | st.sampled_from([49406, 49407, 0, 256, 320]) | st.integers(0, 511), max_size=30
)


def expected_texts(profile: str, rows: list[list[int]], skip: bool) -> list[str]:
    """What the reference decodes, each row by itself."""
    found = live(profile)
    if profile == "transformers":
        return [found.tok.decode(row, skip_special_tokens=skip) for row in rows]
    if profile == "transformers-slow":
        return list(found.do("decode", rows=rows, options={"skip_special_tokens": skip}))
    # These know no skipping. Start, end and padding are special.
    return [found.tok.decode([id for id in row if not skip or id not in (49406, 49407, 0)]) for row in rows]


@pytest.mark.parametrize("profile", PROFILES)
@given(rows=st.lists(ids_of_any_kind, min_size=1, max_size=8), skip=st.booleans())
def test_decode_any_ids(profile: str, rows: list[list[int]], skip: bool) -> None:
    tok = tokenizer(profile)
    expected = expected_texts(profile, rows, skip)
    assert [tok.decode(row, skip_special_tokens=skip) for row in rows] == expected
    assert tok.batch_decode(rows, skip_special_tokens=skip) == expected


@pytest.mark.parametrize("profile", PROFILES)
def test_decode_every_id(profile: str) -> None:
    tok = tokenizer(profile)
    rows = [[id] for id in range(49408)] + [list(range(at, at + 64)) for at in range(0, 49408, 64)]
    expected = expected_texts(profile, rows, False)
    assert [tok.decode(row) for row in rows] == expected
    assert tok.decode(1125) == expected[1125]


@pytest.mark.parametrize("profile", PROFILES)
@given(text=texts)
def test_decode_what_was_encoded(profile: str, text: str) -> None:
    tok = tokenizer(profile)
    ids = tok(text)["input_ids"]
    assert [tok.decode(ids)] == expected_texts(profile, [ids], False)
    assert [tok.decode(ids, skip_special_tokens=True)] == expected_texts(profile, [ids], True)


def test_decode_takes_lists_arrays_tensors_and_encodings() -> None:
    tok = tokenizer("transformers")
    found = tok(["a photo", "a dog"], padding=True, return_tensors="pt")
    expected = ["<|startoftext|>a photo <|endoftext|>", "<|startoftext|>a dog <|endoftext|>"]
    for rows in (found["input_ids"], found["input_ids"].numpy(), found["input_ids"].tolist(), list(found["input_ids"])):
        assert tok.batch_decode(rows) == expected
    first = found["input_ids"][0]
    for row in (
        first,
        first.numpy(),
        first.tolist(),
        tuple(first.tolist()),
        np.asarray(first, np.uint16),
        iter(first.tolist()),
    ):
        assert tok.decode(row) == expected[0]
    assert tok.decode(torch.tensor(320)) == tok.decode(np.int64(320)) == tok.decode(320) == "a"
    assert tok.decode([]) == ""
    assert tok.batch_decode([]) == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("wrong", [49408, -1, 10**6, 2**31, 2**40, -(2**70)])
def test_ids_of_no_token_are_named(profile: str, wrong: int) -> None:
    with pytest.raises(ValueError, match=str(wrong)):
        tokenizer(profile).decode([320, wrong])


@pytest.mark.parametrize("wrong", [None, "text", b"ids", 1.5, [1.5], ["a"], [None]])
def test_what_is_no_id_is_a_type_error(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        tokenizer("transformers").decode(wrong)


def test_tokens_and_ids(hf: Any) -> None:
    tok = tokenizer("transformers")
    every = list(range(49408))
    tokens = tok.convert_ids_to_tokens(every)
    assert tokens == hf.convert_ids_to_tokens(every)
    assert tok.convert_tokens_to_ids(tokens) == every
    assert tok.get_vocab() == hf.get_vocab()
    assert tok.convert_ids_to_tokens(every[-5:], skip_special_tokens=True) == tokens[-5:-2]
    assert tok.convert_tokens_to_ids("photo</w>") == 1125
    assert tok.convert_ids_to_tokens(1125) == "photo</w>"
    assert tok.convert_tokens_to_ids(["photo</w>", "no such token"]) == [1125, 49407]
    assert tok.convert_tokens_to_ids("no such token") == hf.convert_tokens_to_ids("no such token") == 49407
    assert tok.convert_ids_to_tokens(np.array([320, 1125])) == ["a</w>", "photo</w>"]
    assert (len(tok), tok.vocab_size) == (len(hf), hf.vocab_size) == (49408, 49408)
    assert tok.decoder[320] == "a</w>"
    assert tok.encoder["photo</w>"] == 1125


@pytest.mark.parametrize("profile", PROFILES)
@given(text=texts)
def test_tokens_of_any_text(profile: str, text: str) -> None:
    tok, found = tokenizer(profile), live(profile)
    if profile == "transformers":
        expected = found.tok.tokenize(text)
    elif profile == "transformers-slow":
        (expected,) = found.do("tokenize", texts=[text])
    else:
        expected = [found.tok.decoder[id] for id in found.ids(text)[1:-1]]
    assert tok.tokenize(text) == expected


def test_special_tokens(hf: Any) -> None:
    tok = tokenizer("transformers")
    for name in (
        "bos_token",
        "eos_token",
        "unk_token",
        "pad_token",
        "all_special_tokens",
        "all_special_ids",
        "model_max_length",
    ):
        assert getattr(tok, name) == getattr(hf, name), name
        if name.endswith("_token"):
            assert getattr(tok, f"{name}_id") == getattr(hf, f"{name}_id"), name
    assert tok.special_tokens_map == hf.special_tokens_map
    ids = tok("<|endoftext|> a <|startoftext|>")["input_ids"]
    expected = hf.get_special_tokens_mask(ids, already_has_special_tokens=True)
    assert tok.get_special_tokens_mask(ids, already_has_special_tokens=True) == expected == [1, 1, 0, 1, 1]
