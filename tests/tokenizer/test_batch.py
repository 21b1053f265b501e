"""`encode_batch`, `encode_packed` and `count`: dtypes, `out=`, lengths, what is cut and what is refused."""

from typing import Any

import numpy as np
import pytest
import torch

from cliptok import Tokenizer
from support.references import PROFILES
from support.shared import live, tokenizer

TEXTS = ["a photo of a cat", "", "A very, very long caption; " * 20, "“It’s” 10% <|endoftext|> 日本語 &amp;", "dog"]
DTYPES = ("uint16", "int32", "int64")


def rows(profile: str, length: int, pad: int) -> list[list[int]]:
    """What the references' ids are when cut before the end and padded."""
    found = []
    for ids in live(profile).batch(TEXTS):
        cut = ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]
        found.append(cut + [pad] * (length - len(cut)))
    return found


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("length", [2, 3, 7, 20, 77, 500])
def test_rows(profile: str, length: int) -> None:
    tok = tokenizer(profile)
    expected = rows(profile, length, 49407 if profile.startswith("transformers") else 0)
    for dtype in (*DTYPES, np.int64, np.dtype("int32"), torch.int64):
        ids, lengths = tok.encode_batch(TEXTS, length, dtype, return_lengths=True, truncate=True)
        assert ids.tolist() == expected
        assert ids.dtype == np.dtype(str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else dtype)
        assert ids.flags.c_contiguous
        assert ids.flags.writeable
        assert lengths.dtype == np.int64
        assert lengths.tolist() == [min(length, count) for count in tok.count(TEXTS)]


def test_the_whole_calls_of_open_clip_and_openai() -> None:
    """`tokenize(texts)` of open_clip, and the same values through its own function."""
    reference = live("open_clip").tok
    for length in (5, 20, 77):
        expected = reference(TEXTS, context_length=length)
        assert np.array_equal(tokenizer("open_clip").encode_batch(TEXTS, length), expected.numpy())


def test_openai_refuses_long_texts_unless_told() -> None:
    tok = tokenizer("openai")
    with pytest.raises(RuntimeError, match=r"texts\[2\].*truncate"):
        tok.encode_batch(TEXTS)
    with pytest.raises(ValueError, match=r"texts\[2\]"):
        tok.encode_packed(TEXTS, 77)
    with pytest.raises(ValueError, match=r"texts\[2\]"):
        tokenizer("transformers").encode_batch(TEXTS, truncate=False)
    assert tok.encode_batch(TEXTS, truncate=True)[2, -1] == 49407
    assert tok.encode_batch(TEXTS[:2]).shape == (2, 77)


def test_a_text_of_just_the_length_is_not_too_long() -> None:
    tok = tokenizer("openai")
    assert tok.encode_batch(["a " * 75])[0, -1] == 49407
    with pytest.raises(ValueError, match="78"):
        tok.encode_batch(["a " * 76])


@pytest.mark.parametrize("dtype", DTYPES)
def test_out_numpy(dtype: str) -> None:
    tok = tokenizer("transformers")
    out = np.full((5, 20), 7, dtype)
    assert tok.encode_batch(TEXTS, 20, out=out) is out
    assert out.tolist() == rows("transformers", 20, 49407)
    # A part of a larger array is fine as long as its rows lie one after the other.
    whole = np.full((9, 20), 7, dtype)
    assert tok.encode_batch(TEXTS, 20, out=whole[2:7]) is not None
    assert whole[2:7].tolist() == out.tolist()
    assert (whole[:2] == 7).all()
    assert (whole[7:] == 7).all()


@pytest.mark.parametrize("dtype", [torch.uint16, torch.int32, torch.int64])
def test_out_torch(dtype: torch.dtype) -> None:
    tok = tokenizer("transformers")
    out = torch.zeros((5, 20), dtype=dtype)
    ids, lengths = tok.encode_batch(TEXTS, 20, out=out, return_lengths=True)
    assert ids is out
    assert out.tolist() == rows("transformers", 20, 49407)
    assert lengths.tolist() == [min(20, len(ids)) for ids in live("transformers").batch(TEXTS)]


def readonly() -> np.ndarray:
    out = np.zeros((5, 20), np.int64)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros((5, 21), np.int64), r"\(5, 20\)"),
        (np.zeros((4, 20), np.int64), r"\(5, 20\)"),
        (np.zeros(100, np.int64), r"\(5, 20\)"),
        (np.zeros((5, 20, 1), np.int64), r"\(5, 20\)"),
        (np.zeros((5, 20), np.float32), "float32"),
        (np.zeros((5, 20), np.int16), "int16"),
        (np.zeros((5, 20), np.uint64), "uint64"),
        (np.zeros((5, 20), ">i8"), "dtype"),
        (np.zeros((20, 5), np.int64).T, "contiguous"),
        (np.zeros((5, 40), np.int64)[:, ::2], "contiguous"),
        (np.zeros((10, 20), np.int64)[::2], "contiguous"),
        (np.zeros((5, 20), np.int64)[::-1], "contiguous"),
        (np.zeros((5, 40), np.int64)[:, :20], "contiguous"),
        (readonly(), "read-only"),
        (torch.zeros((5, 19), dtype=torch.int64), r"\(5, 20\)"),
        (torch.zeros((20, 5), dtype=torch.int64).T, "contiguous"),
        (torch.zeros((5, 20)), "float32"),
        (torch.zeros((5, 20), dtype=torch.int64, device="meta"), "meta"),
        (torch.zeros((5, 20), dtype=torch.int64).to_sparse(), "contiguous|sparse"),
        ([[0] * 20] * 5, "list"),
        ("out", "str"),
        (memoryview(bytearray(800)), "memoryview"),
    ],
)
def test_out_that_cannot_be_written(out: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"out.*({message})"):
        tokenizer("transformers").encode_batch(TEXTS, 20, out=out)


def test_an_array_that_is_too_narrow() -> None:
    tok = Tokenizer()
    tok.add_tokens([f"<extra{number}>" for number in range(65536 - 49408)])
    assert tok.encode_batch(["<extra16127>"], 3, "uint16").tolist() == [[49406, 65535, 49407]]
    tok.add_tokens("<one more>")
    assert tok.encode_batch(["<one more>"], 3, "int32").tolist() == [[49406, 65536, 49407]]
    for wrong in ({"dtype": "uint16"}, {"out": np.zeros((1, 3), np.uint16)}):
        with pytest.raises(ValueError, match="uint16"):
            tok.encode_batch(["a"], 3, **wrong)


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint32", "uint8", ">i8", object, None, "nonsense", 5])
def test_wrong_dtypes_are_named(dtype: Any) -> None:
    for method in ("encode_batch", "encode_packed"):
        with pytest.raises((ValueError, TypeError), match="dtype"):
            getattr(tokenizer("transformers"), method)(TEXTS, 77, dtype=dtype)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_length": 1}, ValueError),
        ({"max_length": 0}, ValueError),
        ({"max_length": -5}, ValueError),
        ({"max_length": 2.5}, TypeError),
        ({"max_length": "77"}, TypeError),
        ({"max_length": True}, TypeError),
        ({"threads": 0}, ValueError),
        ({"threads": -1}, ValueError),
        ({"threads": "2"}, TypeError),
        ({"threads": 1.5}, TypeError),
    ],
)
def test_wrong_numbers_are_named(options: dict[str, Any], error: type[Exception]) -> None:
    for method in ("encode_batch", "encode_packed"):
        with pytest.raises(error, match=next(iter(options))):
            getattr(tokenizer("transformers"), method)(TEXTS, **options)


@pytest.mark.parametrize("profile", PROFILES)
def test_packed(profile: str) -> None:
    tok = tokenizer(profile)
    expected = live(profile).batch(TEXTS)
    for dtype in DTYPES:
        packed = tok.encode_packed(TEXTS, dtype=dtype)
        assert (packed.input_ids.dtype, packed.offsets.dtype) == (np.dtype(dtype), np.int64)
        assert packed.input_ids.tolist() == [id for ids in expected for id in ids]
        assert packed.offsets.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    cut = tok.encode_packed(TEXTS, 9, truncate=True)
    begin, end = cut.offsets[2:4]
    assert cut.input_ids[begin:end].tolist() == [*expected[2][:8], 49407]


def test_no_texts() -> None:
    tok = tokenizer("transformers")
    assert tok.encode_batch([]).shape == (0, 77)
    assert tok.encode_batch([], out=np.zeros((0, 77), np.int64)).shape == (0, 77)
    assert [part.tolist() for part in tok.encode_packed([])] == [[], [0]]
    assert tok.count([]).shape == (0,)
    ids, lengths = tok.encode_batch([], return_lengths=True)
    assert (ids.shape, lengths.shape) == ((0, 77), (0,))


def test_one_text() -> None:
    tok = tokenizer("transformers")
    assert tok.encode_batch("a cat").shape == (1, 77)
    assert tok.count("a cat").tolist() == [4]


def test_count_says_what_would_be_cut() -> None:
    counts = tokenizer("transformers").count(TEXTS)
    assert counts.dtype == np.int64
    assert counts.tolist() == [len(ids) for ids in live("transformers").batch(TEXTS)]
    assert (counts > 77).tolist() == [False, False, True, False, False]


def test_padding_on_the_left() -> None:
    tok = Tokenizer(padding_side="left", pad_token="!")
    assert tok.encode_batch(["a cat", ""], 6).tolist() == [[0, 0, 49406, 320, 2368, 49407], [0, 0, 0, 0, 49406, 49407]]


def test_out_keeps_its_rows_when_a_text_is_refused() -> None:
    """Nothing is promised of the rows themselves, but the array must still be the caller's, and usable."""
    tok, out = tokenizer("transformers"), np.zeros((2, 5), np.int64)
    with pytest.raises(TypeError, match=r"texts\[1\]"):
        tok.encode_batch(["a", None], 5, out=out)
    assert tok.encode_batch(["a", "b"], 5, out=out)[1, 1] == 321


@pytest.mark.parametrize(
    "kind", ["list", "tuple", "generator", "object array", "str array", "arrow", "chunked", "large", "view"]
)
def test_what_texts_may_stand_in(kind: str) -> None:
    tok = tokenizer("transformers")
    expected = tok.encode_batch(TEXTS, 20).tolist()
    if kind in ("arrow", "chunked", "large", "view"):
        pa = pytest.importorskip("pyarrow")
        types = {"arrow": pa.string(), "chunked": pa.string(), "large": pa.large_string(), "view": pa.string_view()}
        given = (
            pa.chunked_array([TEXTS[:2], TEXTS[2:]], pa.string()) if kind == "chunked" else pa.array(TEXTS, types[kind])
        )
        sliced = given[1:4]
        assert tok.encode_batch(sliced, 20).tolist() == expected[1:4]
    else:
        given = {
            "list": TEXTS,
            "tuple": tuple(TEXTS),
            "generator": (text for text in TEXTS),
            "object array": np.array(TEXTS, object),
            "str array": np.array(TEXTS),
        }[kind]
    assert tok.encode_batch(given, 20).tolist() == expected


def test_strings_of_every_internal_kind() -> None:
    """CPython keeps strings in one, two or four bytes a character; and str may be subclassed."""

    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "something else"

    tok = tokenizer("transformers")
    for text in ("ascii", "latin é", "bmp 日本", "astral 😀", "a" * 100_000 + "é", "\0", "é\0日\0😀"):
        assert tok.encode_batch([Text(text)], 30).tolist() == tok.encode_batch([text], 30).tolist()
        assert tok(Text(text))["input_ids"] == tok(text)["input_ids"] == live("transformers").ids(text)
