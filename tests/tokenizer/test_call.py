"""`tok(...)` with every option, beside transformers 5: the same values, or an error on both sides."""

import itertools
import unicodedata
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cliptok import Tokenizer
from support.references import clip_files
from support.shared import tokenizer
from support.strategies import texts

SHORT, LONG = "a photo of a cat", "a very long caption, " * 30
INPUTS: list[Any] = [SHORT, "", [SHORT], [SHORT, "It's 2 words…", ""], [LONG, SHORT], LONG]
PADDING = [False, True, "longest", "max_length", "do_not_pad"]
TRUNCATION = [None, False, True, "longest_first", "only_first", "do_not_truncate"]
LENGTHS = [None, 2, 3, 8, 16, 77]
FLAGS = [
    "return_token_type_ids",
    "return_attention_mask",
    "return_overflowing_tokens",
    "return_special_tokens_mask",
    "return_offsets_mapping",
    "return_length",
]


def plain(value: Any) -> Any:
    """A value with what its type and dtype are, for comparing. Of nothing transformers makes floats, and we int64."""
    if isinstance(value, torch.Tensor):
        return "torch", str(value.dtype if value.numel() else torch.int64), value.tolist()
    if isinstance(value, np.ndarray):
        dtype = str(value.dtype if value.size else np.dtype(np.int64))
        return "numpy", dtype, [plain(row) for row in value] if value.dtype == object else value.tolist()
    return value


def outcome(tok: Any, text: Any, options: dict[str, Any]) -> Any:
    """Name to value of what a call returns, or "error". The reference may warn; ours may not."""
    ours = isinstance(tok, Tokenizer)
    with warnings.catch_warnings():
        if not ours:
            warnings.simplefilter("ignore")
        try:
            found = tok(text, **options)
        except (ValueError, TypeError, OverflowError) as error:
            if not str(error):
                raise
            return "error"
        except BaseException as error:  # tokenizers may panic, and a panic is no Exception.
            if ours or type(error).__name__ != "PanicException":
                raise
            return "panic"
    return {name: plain(value) for name, value in found.items()}


def assert_same_outcome(hf: Any, tok: Any, text: Any, options: dict[str, Any]) -> None:
    expected, got = outcome(hf, text, options), outcome(tok, text, options)
    if expected == "panic":  # It does at a stride as long as a row. Where no row goes on, the stride has no say.
        unstrided = outcome(tok, text, {**options, "stride": 0})
        expected = "error" if options.get("return_overflowing_tokens") or got == "error" else unstrided
    assert got == expected, f"text={text!r} {options}"


@pytest.fixture(scope="module")
def pairs(hf: Any) -> dict[str, tuple[Any, Tokenizer]]:
    """Tokenizers of transformers and ours, made with the same arguments."""
    vocab, merges = clip_files()
    variants: dict[str, dict[str, Any]] = {
        "pad !": {"pad_token": "!"},
        "left padding": {"padding_side": "left"},
        "left truncation": {"truncation_side": "left"},
        "both left": {"padding_side": "left", "truncation_side": "left"},
        "length 12": {"model_max_length": 12},
    }
    made: dict[str, tuple[Any, Tokenizer]] = {"as it comes": (hf, tokenizer("transformers"))}
    for name, options in variants.items():
        options = {"model_max_length": 77, **options}
        made[name] = type(hf)(vocab=dict(vocab), merges=list(merges), **options), Tokenizer(**options)
    return made


@pytest.mark.parametrize(
    "variant", ["as it comes", "pad !", "left padding", "left truncation", "both left", "length 12"]
)
def test_padding_and_truncation(pairs: Any, variant: str) -> None:
    hf, tok = pairs[variant]
    grid = itertools.product(PADDING, TRUNCATION, LENGTHS, [None, 8], [True, False])
    for number, (padding, truncation, length, multiple, specials) in enumerate(grid):
        options = {
            "padding": padding,
            "truncation": truncation,
            "max_length": length,
            "pad_to_multiple_of": multiple,
            "add_special_tokens": specials,
        }
        assert_same_outcome(hf, tok, INPUTS[number % len(INPUTS)], options)
        assert_same_outcome(hf, tok, INPUTS[(number + 3) % len(INPUTS)], options)


@pytest.mark.parametrize("tensors", [None, "np", "pt"])
def test_what_is_returned(pairs: Any, tensors: str | None) -> None:
    hf, tok = pairs["as it comes"]
    ways: list[dict[str, Any]] = [
        {},
        {"padding": True},
        {"padding": "max_length", "truncation": True},
        {"padding": "max_length", "truncation": True, "max_length": 10, "stride": 3},
        {"truncation": True, "max_length": 7},
    ]
    for flags in itertools.product([False, True], repeat=len(FLAGS)):
        chosen = dict(zip(FLAGS, flags, strict=True))
        for way in ways:
            for text in (SHORT, [LONG, SHORT]):
                assert_same_outcome(hf, tok, text, {**way, **chosen, "return_tensors": tensors})


@pytest.mark.parametrize("stride", [0, 1, 3, 5, 6])
@pytest.mark.parametrize("variant", ["as it comes", "left truncation", "left padding"])
def test_overflow(pairs: Any, stride: int, variant: str) -> None:
    hf, tok = pairs[variant]
    for length, padding, specials, text in itertools.product([8, 9, 20], PADDING[:4], [True, False], INPUTS):
        options = {
            "max_length": length,
            "padding": padding,
            "add_special_tokens": specials,
            "stride": stride,
            "truncation": True,
            "return_overflowing_tokens": True,
            "return_offsets_mapping": True,
            "return_special_tokens_mask": True,
            "return_length": True,
        }
        assert_same_outcome(hf, tok, text, options)


def test_a_stride_without_a_way_forward_is_an_error_for_every_text() -> None:
    """transformers only notices when a text is long enough."""
    for text in INPUTS:
        with pytest.raises(ValueError, match="stride"):
            tokenizer("transformers")(text, max_length=8, truncation=True, return_overflowing_tokens=True, stride=7)


def _some(name: str, values: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(values).map(lambda value: {name: value}) | st.just({})


OPTIONS = st.tuples(
    _some("padding", PADDING),
    _some("truncation", TRUNCATION),
    _some("max_length", [2, 3, 4, 5, 7, 11, 77, 100]),
    _some("stride", [0, 1, 2, 4]),
    _some("pad_to_multiple_of", [1, 3, 8, 64]),
    _some("padding_side", ["left", "right"]),
    _some("add_special_tokens", [True, False]),
    _some("return_tensors", ["np", "pt"]),
    *(_some(flag, [True, False]) for flag in FLAGS),
).map(lambda options: {name: value for option in options for name, value in option.items()})


@given(options=OPTIONS, text=texts | st.lists(texts, min_size=1, max_size=4), variant=st.integers(0, 5))
def test_any_options_for_any_text(pairs: Any, options: dict[str, Any], text: Any, variant: int) -> None:
    hf, tok = list(pairs.values())[variant]
    assert_same_outcome(hf, tok, text, options)


@given(st.lists(texts, min_size=1, max_size=20))
def test_offsets_of_any_text(hf: Any, batch: list[str]) -> None:
    expected = hf(batch, return_offsets_mapping=True)["offset_mapping"]
    assert tokenizer("transformers")(batch, return_offsets_mapping=True)["offset_mapping"] == expected


def test_offsets_where_nfc_moves_characters(hf: Any) -> None:
    """Composed, decomposed, reordered: every base of a composition with marks that go before or after its own."""
    marks = "\u0301\u0323\u030c\u0344\u0345\u0f71\u3099\u093c\u05b4"
    bases = [chr(code) for code in range(0x30000) if unicodedata.normalize("NFD", chr(code)) != chr(code)]
    bases = [base for base in bases if not "\uac00" <= base <= "\ud7a3"] + [
        "\u1100\u1161",
        "\uac00\u11a8",
        "a",
        "\u0344",
    ]
    batch = [f"{base}{mark} x{unicodedata.normalize('NFD', base)}{mark}y" for base in bases for mark in marks]
    expected = hf(batch, return_offsets_mapping=True)["offset_mapping"]
    got = tokenizer("transformers")(batch, return_offsets_mapping=True)["offset_mapping"]
    wrong = [(text, theirs, ours) for text, theirs, ours in zip(batch, expected, got, strict=True) if theirs != ours]
    assert not wrong, f"{len(wrong)} of {len(batch)}: {wrong[:5]}"


def test_offsets_of_corpora(hf: Any, all_corpora: Any) -> None:
    tok = tokenizer("transformers")
    for corpus in all_corpora:
        if corpus.name.startswith("6_long/"):
            continue
        batch = corpus.texts()[::97]
        expected = hf(batch, return_offsets_mapping=True)
        got = tok(batch, return_offsets_mapping=True)
        for text, ids, offsets, their_ids, theirs in zip(
            batch,
            got["input_ids"],
            got["offset_mapping"],
            expected["input_ids"],
            expected["offset_mapping"],
            strict=True,
        ):
            assert (ids, offsets) == (their_ids, theirs), f"{corpus.name} {text!r}"


def test_offsets_only_where_the_reference_has_them() -> None:
    for profile in ("transformers-slow", "open_clip", "openai"):
        with pytest.raises(NotImplementedError, match="return_offsets_mapping"):
            tokenizer(profile)("a", return_offsets_mapping=True)


def test_slow_profile_pads_and_cuts_as_its_reference(slow: Any) -> None:
    tok = tokenizer("transformers-slow")
    for text, padding, truncation, length, specials in itertools.product(
        [SHORT, LONG, ""], [False, True, "max_length"], [False, True], [None, 3, 8, 77], [True, False]
    ):
        if not text and not specials:
            continue  # the reference leaves a row of nothing unpadded
        options = {"padding": padding, "truncation": truncation, "max_length": length, "add_special_tokens": specials}
        try:
            expected = slow.do("call", text=text, options=options)
        except RuntimeError:
            expected = "error"
        # The reference has no length of its own when it is made of a vocabulary alone.
        if length is not None:
            assert outcome(tok, text, options) == expected, f"{text!r} {options}"


def test_the_result_is_a_mapping_with_attributes() -> None:
    tok = tokenizer("transformers")
    found = tok([SHORT, "a dog"], padding=True, return_tensors="pt")
    assert found.input_ids is found["input_ids"]
    assert list(found) == ["input_ids", "attention_mask"]
    assert dict(**found).keys() == found.keys()
    assert found.to("cpu") is found
    assert found[0:1]["input_ids"].shape == (1, 7)
    with pytest.raises(AttributeError, match="pixel_values"):
        _ = found.pixel_values
    assert tok(SHORT).to("cpu")["input_ids"] == tok(SHORT)["input_ids"]


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    tok = tokenizer("transformers")
    tok(LONG * 5)
    tok(LONG, padding="max_length", truncation=True, return_tensors="np")
    tok.encode_batch([LONG], 77)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["nonsense", "tokenizer_kwargs"])
def test_what_is_unknown_says_so(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} is no argument"):
        tokenizer("transformers")(SHORT, **{name: 1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "longst"}, "padding"),
        ({"truncation": "yes"}, "truncation"),
        ({"return_tensors": "tf"}, "return_tensors"),
        ({"max_length": -1}, "max_length"),
        ({"max_length": "8"}, "max_length"),
        ({"stride": -1}, "stride"),
        ({"pad_to_multiple_of": 0, "padding": True}, "pad_to_multiple_of"),
        ({"padding_side": "top"}, "padding_side"),
    ],
)
def test_wrong_values_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        tokenizer("transformers")(SHORT, **options)


@pytest.mark.parametrize("padding", [False, True, "max_length"])
@pytest.mark.parametrize("limit", [None, 2, 5, 77, 200_000])
@pytest.mark.parametrize("specials", [True, False])
def test_one_text_to_arrays_is_the_row_of_a_batch_of_one(
    padding: bool | str, limit: int | None, specials: bool
) -> None:
    """It has a shorter way to the engine, in which ids and mask are written apart from those of batches."""
    for side in ("right", "left"):
        tok = Tokenizer(padding_side=side, truncation_side=side, pad_token="!")
        for text in ("", "a cat", "a photo of a cat, " * 30, "\u043a\u043e\u0442 " * 90, "x" * 17_000):
            for truncation in (False, True):
                options = {"padding": padding, "truncation": truncation, "add_special_tokens": specials}
                one = tok(text, max_length=limit, return_tensors="np", **options)
                batch = tok([text], max_length=limit, return_tensors="np", **options)
                assert one.keys() == batch.keys()
                for name, values in batch.items():
                    assert (one[name].dtype, one[name].shape) == (np.int64, values.shape)
                    np.testing.assert_array_equal(one[name], values)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("at_once", [1, 3, 5])
def test_rows_made_part_by_part(side: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As rows of a hundred million ids are, so that Ctrl-C is seen meanwhile."""
    options: dict[str, Any] = {
        "padding": True,
        "padding_side": side,
        "return_offsets_mapping": True,
        "return_special_tokens_mask": True,
    }
    captions = ["a photo of a cat with a dog", "", "a cat"]
    wanted = tokenizer("transformers")(captions, **options)
    for module in ("cliptok._common.parts", "cliptok.tokenizer.calls.rows"):
        monkeypatch.setattr(f"{module}.AT_ONCE", at_once)
    assert tokenizer("transformers")(captions, **options) == wanted
