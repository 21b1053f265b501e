"""What is wrong is refused, and the message names the argument and the row."""

from typing import Any

import numpy as np
import pytest

from cliptok import Tokenizer
from support.references import PROFILES
from support.shared import tokenizer

METHODS = ("encode_batch", "encode_packed", "count")
SURROGATES = ["\ud800", "\udfff", "a\ud83d", "\ude00b", "\udc80", "x" * 1000 + "\udbff", "\ude00\ud83d", "é\udcff日"]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("text", SURROGATES, ids=ascii)
def test_lone_surrogates(profile: str, text: str) -> None:
    tok = tokenizer(profile)
    for method in METHODS:
        with pytest.raises(ValueError, match=r"texts\[2\].*surrogate"):
            getattr(tok, method)(["a", "b", text, "c"])
    many = ["a"] * 500 + [text] + ["b"] * 500
    with pytest.raises(ValueError, match=r"texts\[500\].*surrogate"):
        tok.encode_batch(many, threads=2)
    for call in (tok, tok.tokenize, tok.encode):
        with pytest.raises(ValueError, match="surrogate"):
            call(text)
    with pytest.raises(ValueError, match=r"texts\[1\].*surrogate"):
        tok(["a", text], padding=True, return_tensors="np")


WRONG: list[tuple[Any, str]] = [
    (None, "None"),
    (b"bytes", "bytes"),
    (5, "int"),
    (1.5, "float"),
    (np.nan, "float"),
    (["a", "b"], "list"),
    (("a",), "tuple"),
    (object(), "object"),
    (np.str_, "type"),
]


@pytest.mark.parametrize(("value", "name"), WRONG, ids=[name for _, name in WRONG])
@pytest.mark.parametrize("position", [0, 3, 700])
def test_rows_that_are_no_text(value: Any, name: str, position: int) -> None:
    texts: list[Any] = ["a"] * 1000
    texts[position] = value
    tok = tokenizer("transformers")
    for method in METHODS:
        with pytest.raises(TypeError, match=rf"texts\[{position}\] is .*{name}"):
            getattr(tok, method)(texts)
    for options in (
        {},
        {"padding": True},
        {"return_offsets_mapping": True},
        {"padding": "max_length", "truncation": True},
    ):
        with pytest.raises(TypeError, match=rf"\[{position}\] is .*{name}"):
            tok(texts, **options)


def test_the_first_wrong_row_is_named() -> None:
    with pytest.raises(TypeError, match=r"texts\[2\]"):
        tokenizer("transformers").encode_batch(["a", "b", None, 5, b"c"], threads=2)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "None"),
        (b"bytes", "bytes"),
        (5, "int"),
        (1.5, "float"),
        ({"a": 1}, "dict"),
        ({"a"}, "set"),
        (bytearray(b"a"), "bytearray"),
        (object(), "object"),
    ],
)
def test_what_is_no_batch(value: Any, name: str) -> None:
    tok = tokenizer("transformers")
    for method in METHODS:
        with pytest.raises(TypeError, match=f"texts is .*{name}"):
            getattr(tok, method)(value)
    with pytest.raises(TypeError, match=name):
        tok(value)
    with pytest.raises(TypeError, match=name):
        tok.tokenize(value)


def test_ragged_arrays() -> None:
    tok = tokenizer("transformers")
    with pytest.raises(TypeError, match=r"texts\[0\] is .*list"):
        tok.encode_batch([["a", "b"], ["c"]])
    with pytest.raises(TypeError, match=r"texts\[0\]"):
        tok.encode_batch(np.array([["a", "b"], ["c", "d"]]))
    with pytest.raises(TypeError):
        tok.encode_batch(np.array([1.5, 2.5]))
    with pytest.raises(TypeError):
        tok.encode_batch(np.array([b"a", b"b"]))
    with pytest.raises(TypeError):
        tok.encode_batch(np.array("a"))
    with pytest.raises(ValueError, match="padding"):
        tok(["a", "a b"], return_tensors="pt")


def test_a_generator_that_raises() -> None:
    def broken() -> Any:
        yield "a"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        tokenizer("transformers").encode_batch(broken())


@pytest.mark.parametrize("profile", ["clip", "Transformers", "", None, 5, ["transformers"]])
def test_unknown_profiles(profile: Any) -> None:
    with pytest.raises(ValueError, match="transformers-slow"):
        Tokenizer(profile)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pad_token": "no such token"}, None, ""),
        ({"pad_token": 5}, TypeError, "pad_token"),
        ({"bos_token": b"x"}, TypeError, "bos_token"),
        ({"padding_side": "up"}, ValueError, "padding_side"),
        ({"truncation_side": "middle"}, ValueError, "truncation_side"),
        ({"nonsense": 1}, TypeError, "nonsense"),
    ],
)
def test_wrong_arguments_of_the_constructor(
    options: dict[str, Any], error: type[Exception] | None, message: str
) -> None:
    if error is None:  # As in transformers, a new special token is added to the vocabulary.
        tok = Tokenizer(**options)
        assert (tok.pad_token_id, len(tok)) == (49408, 49409)
        return
    with pytest.raises(error, match=message):
        Tokenizer(**options)


def test_added_tokens_in_profiles_without_them() -> None:
    for profile in ("open_clip", "openai"):
        with pytest.raises(ValueError, match=profile):
            Tokenizer(profile).add_tokens(["<x>"])


@pytest.mark.parametrize("add", ["add_tokens", "add_special_tokens"])
def test_added_tokens_with_lone_surrogates(add: str) -> None:
    """They have no UTF-8; a list with one adds none of its tokens."""
    tok = Tokenizer()
    given: Any = ["<ok>", "\ud800"] if add == "add_tokens" else {"extra_special_tokens": ["<ok>", "\ud800"]}
    with pytest.raises(ValueError, match="lone surrogate") as caught:
        getattr(tok, add)(given)
    assert type(caught.value) is ValueError and len(tok) == 49408
