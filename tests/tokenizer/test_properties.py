"""Ids of made-up texts equal the live references' and the twin's, and nothing but the text ever changes them."""

import itertools
import json
import pickle
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptok import Tokenizer
from support import twin
from support.compare import differences
from support.references import PROFILES, clip_files, write_clip_files
from support.shared import live, tokenizer
from support.strategies import anything, ascii_text, assigned, atom, mojibake, special, texts, twice_misread

batches = st.lists(texts, max_size=40)


def packed(tok: Tokenizer, batch: Any, **options: Any) -> list[list[int]]:
    ids, offsets = tok.encode_packed(batch, **options)
    return [ids[begin:end].tolist() for begin, end in itertools.pairwise(offsets)]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "kind",
    [texts, special, anything, ascii_text, mojibake | twice_misread, st.lists(atom, max_size=3).map(" ".join)],
    ids=["texts", "specials", "anything", "ascii", "mojibake", "spaced"],
)
def test_ids_equal_the_references(profile: str, kind: st.SearchStrategy[str]) -> None:
    live(profile)

    @given(st.lists(kind, min_size=20, max_size=40))
    @settings(max_examples=settings().max_examples // 4)
    def check(batch: list[str]) -> None:
        found = differences(profile, batch)
        assert not found, "\n".join(found)

    check()


@pytest.mark.parametrize("profile", PROFILES)
@given(batch=st.lists(texts.map(assigned), max_size=40))
def test_ids_equal_the_twins(profile: str, batch: list[str]) -> None:
    assert packed(tokenizer(profile), batch) == [twin.ids(profile, text) for text in batch]


@given(texts.map(assigned))
@settings(max_examples=40)
def test_the_twin_equals_the_references(text: str) -> None:
    for profile in PROFILES:
        assert twin.ids(profile, text) == live(profile).ids(text), profile


@given(first=texts, second=texts)
def test_a_space_keeps_two_texts_apart(first: str, second: str) -> None:
    """In the profile without cleaning: ftfy looks at the whole text, so elsewhere one part may change the other."""
    tok = tokenizer("transformers")
    joined = tok.encode(f"{first} {second}", add_special_tokens=False)
    assert joined == tok.encode(first, add_special_tokens=False) + tok.encode(second, add_special_tokens=False)


@given(words=st.lists(st.from_regex(r"[A-Za-z0-9,.!?]{1,12}", fullmatch=True), max_size=12))
def test_words_apart_are_the_words_alone(words: list[str]) -> None:
    for profile in PROFILES:
        tok = tokenizer(profile)
        alone = [id for word in words for id in tok.encode(word, add_special_tokens=False)]
        assert tok.encode(" ".join(words), add_special_tokens=False) == alone


@pytest.mark.parametrize("profile", PROFILES)
@given(batch=batches)
@settings(max_examples=25)
def test_the_cache_never_changes_ids(profile: str, batch: list[str]) -> None:
    cold = pickle.loads(_cold(profile))
    assert packed(cold, batch) == packed(tokenizer(profile), batch)
    assert packed(cold, batch) == packed(tokenizer(profile), batch)
    assert [cold(text)["input_ids"] for text in reversed(batch)] == packed(cold, batch)[::-1]


@cache
def _cold(profile: str) -> bytes:
    """A pickle of a tokenizer with a token that no merge makes: its own vocabulary, so a cache of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = write_clip_files(Path(name))
        vocab, _ = clip_files()
        (folder / "vocab.json").write_text(
            json.dumps({**vocab, "token that no merge makes</w>": len(vocab)}), encoding="utf-8"
        )
        tok = Tokenizer.from_pretrained(folder, profile=profile, model_max_length=77)
    assert tok.vocab_size == 49409
    return pickle.dumps(tok)


@pytest.mark.parametrize("profile", PROFILES)
@given(batch=batches, threads=st.sampled_from([1, 2, 3, 8]), copies=st.sampled_from([1, 4, 30]))
def test_threads_never_change_ids(profile: str, batch: list[str], threads: int, copies: int) -> None:
    tok = tokenizer(profile)
    many = batch * copies
    alone = [tok(text)["input_ids"] for text in batch] * copies
    assert packed(tok, many, threads=threads) == alone
    rows, lengths = tok.encode_batch(many, 20, truncate=True, return_lengths=True, threads=threads)
    one_by_one = [tok.encode_batch([text], 20, truncate=True, threads=1)[0] for text in batch] * copies
    assert np.array_equal(rows, np.array(one_by_one, np.int64).reshape(len(many), 20))
    assert lengths.tolist() == [min(len(ids), 20) for ids in alone]
    assert tok.count(many, threads=threads).tolist() == [len(ids) for ids in alone]


@pytest.mark.parametrize("profile", PROFILES)
@given(batch=batches, data=st.data())
def test_how_texts_are_batched_never_changes_ids(profile: str, batch: list[str], data: st.DataObject) -> None:
    tok = tokenizer(profile)
    cut = data.draw(st.integers(0, len(batch)))
    assert packed(tok, batch[:cut]) + packed(tok, batch[cut:]) == packed(tok, batch)
    assert packed(tok, tuple(batch)) == packed(tok, batch)
    assert packed(tok, iter(batch)) == packed(tok, batch)
    assert packed(tok, np.array(batch, dtype=object)) == packed(tok, batch)
    assert tok(batch)["input_ids"] == packed(tok, batch) if batch else True


@pytest.mark.parametrize("profile", PROFILES)
@given(text=texts)
def test_every_way_in_gives_the_same_ids(profile: str, text: str) -> None:
    tok = tokenizer(profile)
    ids = tok(text)["input_ids"]
    assert tok.encode(text) == ids
    assert tok([text])["input_ids"] == [ids]
    assert tok.count(text).tolist() == [len(ids)]
    assert packed(tok, text) == [ids]
    tokens = tok.tokenize(text)
    assert tok.convert_tokens_to_ids(tokens) == ids[1:-1]
    assert [tok.decoder[id] for id in ids[1:-1]] == tokens
    length = len(ids) + 3
    assert tok.encode_batch([text], length)[0].tolist() == ids + [tok.pad_token_id] * 3
    assert (
        tok(text, padding="max_length", max_length=length, truncation=True)["input_ids"] == ids + [tok.pad_token_id] * 3
    )
