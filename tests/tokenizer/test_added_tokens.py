"""Tokens that users add, with all their flags, beside transformers 5 and 4.57."""

import itertools
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from cliptok import AddedToken, Tokenizer
from support.references import clip_files
from support.shared import live
from support.strategies import texts

CONTENTS = [
    "<tok>", "<TOK>", "tok", "Tok", "cat", "a", "a photo", "photo of", " spaced ", " x", "x ", "<|end", "é", "É",
    "e\u0301", "\u0301", "İ", "ſ",
    "ΑΣ", "日本", "日", "!", "!!", "'s", "'", "1", "12", "a  b", "A\tB", "K",
    "<|startoftext|>x", "…", "😀", "ﬁ",
    "oftext", "<|endoftext", "ph", "to", "\u1100\u1161", "가", "\x00", "&amp;", "the", "Ω",
]  # fmt: skip


def folded(content: str) -> str:
    """What tokens share that are the same once normalised."""
    return unicodedata.normalize("NFC", content).lower()


FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
flags = st.fixed_dictionaries({flag: st.booleans() for flag in FLAGS})
# Not among them: white space alone, which nobody adds and whose stripping the references do piece by piece, and two
# that differ in case alone, of which tokenizers decodes one as the other.
tokens = st.lists(
    st.tuples(st.sampled_from(CONTENTS), flags), min_size=1, max_size=4, unique_by=lambda token: folded(token[0])
)
slow_tokens = tokens.map(lambda added: [(content, {**options, "single_word": False}) for content, options in added])


def sprinkled(added: list[tuple[str, dict[str, bool]]]) -> st.SearchStrategy[str]:
    """Texts in which these tokens stand between other things, in this and in other cases."""
    contents = [content for content, _ in added]
    spellings = [*contents, *map(str.upper, contents), *map(str.lower, contents)]
    near = st.sampled_from([" ", "  ", "\t", "\n", "x", "X", "1", "_", ".", "é", "\u0301", "\xa0", "日", "'", ""])
    return st.lists(st.sampled_from(spellings) | near | st.sampled_from(CONTENTS) | texts, max_size=10).map("".join)


def new_hf() -> Any:
    vocab, merges = clip_files()
    return transformers.CLIPTokenizer(vocab=dict(vocab), merges=list(merges), model_max_length=77)


@given(data=st.data())
@settings(max_examples=60)
def test_ids_and_offsets_with_added_tokens(data: st.DataObject, hf: Any) -> None:
    added = data.draw(tokens)
    batch = data.draw(st.lists(sprinkled(added), min_size=5, max_size=25))
    theirs, tok = new_hf(), Tokenizer()
    assert tok.add_tokens([AddedToken(content, **options) for content, options in added]) == theirs.add_tokens(
        [transformers.AddedToken(content, **options) for content, options in added]
    )
    assert len(tok) == len(theirs)
    for content, _ in added:
        assert tok.convert_tokens_to_ids(content) == theirs.convert_tokens_to_ids(content)
    expected = theirs(batch, return_offsets_mapping=True, return_special_tokens_mask=True)
    got = tok(batch, return_offsets_mapping=True, return_special_tokens_mask=True)
    for row, text in enumerate(batch):
        for name in ("input_ids", "offset_mapping", "special_tokens_mask"):
            assert got[name][row] == expected[name][row], f"{name} of {text!r} with {added}"
    ids, offsets = tok.encode_packed(batch)
    assert [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)] == expected["input_ids"]
    if Version(tokenizers.__version__) < Version("0.23"):
        return  # They decode a token as it was added; later ones, and ours, as it is found: normalised.
    for skip in (False, True):
        theirs_decoded = [theirs.decode(row, skip_special_tokens=skip) for row in expected["input_ids"]]
        assert tok.batch_decode(expected["input_ids"], skip_special_tokens=skip) == theirs_decoded


@given(data=st.data())
@settings(max_examples=40)
def test_ids_with_added_tokens_in_the_slow_profile(data: st.DataObject, slow_clip: Any) -> None:
    added = data.draw(slow_tokens)
    batch = data.draw(st.lists(sprinkled(added), min_size=5, max_size=20))
    slow_clip.do("renew")
    tok = Tokenizer("transformers-slow")
    expected = slow_clip.do("add_tokens", tokens=[{"content": content, **options} for content, options in added])
    assert tok.add_tokens([AddedToken(content, **options) for content, options in added]) == expected
    rows = slow_clip.do("batch", texts=batch)
    for text, row in zip(batch, rows, strict=True):
        assert tok(text)["input_ids"] == row, f"{text!r} with {added}"
    for skip in (False, True):
        expected_texts = slow_clip.do("decode", rows=rows, options={"skip_special_tokens": skip})
        assert tok.batch_decode(rows, skip_special_tokens=skip) == expected_texts, f"{rows} with {added}"


@pytest.fixture(scope="module")
def slow_clip() -> Any:
    found = live("transformers-slow")
    yield found
    found.do("use_clip")


def test_a_token_that_strips_makes_its_neighbour_text_in_the_slow_profile(slow_clip: Any) -> None:
    """White space is taken from a token too, and what is left of it is no token."""
    added = [("<l>", {"lstrip": True}), ("<r>", {"rstrip": True}), (" spaced ", {})]
    slow_clip.do("renew")
    slow_clip.do("add_tokens", tokens=[{"content": content, **options} for content, options in added])
    tok = Tokenizer("transformers-slow")
    tok.add_tokens([AddedToken(content, **options) for content, options in added])
    texts = [" spaced <l>", "<r> spaced ", "a spaced <l> spaced b", "<r>  spaced <l>", "<l><r> spaced  spaced <l>"]
    assert [tok(text)["input_ids"] for text in texts] == slow_clip.do("batch", texts=texts)
    slow_clip.do("renew")


def test_whole_words_are_not_to_be_had_in_the_slow_profile() -> None:
    """Its reference has a rule of its own for them, so they are refused rather than found elsewhere."""
    tok = Tokenizer("transformers-slow")
    with pytest.raises(ValueError, match="single_word"):
        tok.add_tokens(AddedToken("<tok>", single_word=True))
    assert len(tok) == 49408
    assert tok("<tok>")["input_ids"] == live("transformers-slow").ids("<tok>")


@pytest.mark.parametrize("side", ["lstrip", "rstrip"])
def test_offsets_of_a_token_that_takes_white_space_along(side: str) -> None:
    """A run of white space is one space by then, and stands where the run's last character stood."""
    theirs, tok = new_hf(), Tokenizer()
    options = {"normalized": True, "special": True, side: True}
    theirs.add_tokens(transformers.AddedToken("tok", **options))
    tok.add_tokens(AddedToken("tok", **options))
    for text in ("a tok\t x", "a \n tok x", "\t\ttok", "tok \u3000", "a\u3000 \u3000TOK\u2003\u2003b"):
        expected = theirs(text, return_offsets_mapping=True)
        assert tok(text, return_offsets_mapping=True)["offset_mapping"] == expected["offset_mapping"], repr(text)


def test_roles(hf: Any) -> None:
    theirs, tok = new_hf(), Tokenizer()
    for roles in (
        {"pad_token": "<pad>"},
        {"extra_special_tokens": ["<a>", "<b>"]},
        {"mask_token": "<mask>", "pad_token": "!"},
        {"extra_special_tokens": ["<c>"]},
    ):
        assert tok.add_special_tokens(roles) == theirs.add_special_tokens(roles), roles
        assert tok.special_tokens_map == {k: v for k, v in theirs.special_tokens_map.items() if isinstance(v, str)}
        assert tok.all_special_tokens == theirs.all_special_tokens
        assert tok.all_special_ids == theirs.all_special_ids
        text = "a <pad> <a><b>! <mask> <c> x"
        assert (
            tok(text, padding="max_length", max_length=20)["input_ids"]
            == theirs(text, padding="max_length", max_length=20)["input_ids"]
        )
    with pytest.raises(ValueError, match="nonsense"):
        tok.add_special_tokens({"nonsense": "<x>"})
    with pytest.raises(TypeError, match="pad_token"):
        tok.add_special_tokens({"pad_token": 5})


def test_textual_inversion() -> None:
    """How diffusers adds a concept of several vectors."""
    theirs, tok = new_hf(), Tokenizer()
    names = ["<cat-toy>", "<cat-toy>_1", "<cat-toy>_2"]
    assert tok.add_tokens(names) == theirs.add_tokens(names) == 3
    assert tok.convert_tokens_to_ids(names) == [49408, 49409, 49410]
    text = "a <cat-toy> <cat-toy>_1 <cat-toy>_2 on a <CAT-TOY>"
    assert tok(text)["input_ids"] == theirs(text)["input_ids"]
    assert tok.add_tokens(names) == theirs.add_tokens(names)
    assert len(tok) == 49411


@pytest.mark.parametrize("profile", ["transformers", "transformers-slow"])
def test_removed_tokens_are_gone_and_others_keep_their_ids(profile: str) -> None:
    tok, plain = Tokenizer(profile=profile), Tokenizer(profile=profile)
    text = "<a> <b> <c> in <A>"
    tok.add_tokens(["<a>", "<b>"])
    tok.add_special_tokens({"extra_special_tokens": ["<c>"]})
    if profile == "transformers":
        assert tok.remove_tokens("<a>") == 1
        assert tok.convert_tokens_to_ids(["<b>", "<c>"]) == [49409, 49410] and "<a>" not in tok.get_vocab()
        assert tok.add_tokens("<d>") == 1 and tok.convert_tokens_to_ids("<d>") == 49411
        assert tok.remove_tokens(["<c>", AddedToken("<d>"), "<b>"]) == 3
    else:
        with pytest.raises(ValueError, match="'<c>' was added after '<a>'"):
            tok.remove_tokens("<a>")
        assert tok.remove_tokens(["<c>", "<a>", "<b>"]) == 3
    assert len(tok) == len(plain) and tok.get_vocab() == plain.get_vocab()
    assert tok.all_special_tokens == plain.all_special_tokens
    assert tok(text)["input_ids"] == plain(text)["input_ids"]
    assert tok.remove_tokens([]) == 0


def test_tokens_that_cannot_be_removed() -> None:
    tok = Tokenizer()
    tok.add_tokens("<x>")
    with pytest.raises(ValueError, match=r"tokens\[1\], 'photo</w>', is no added token"):
        tok.remove_tokens(["<x>", "photo</w>"])
    with pytest.raises(ValueError, match="is the bos_token"):
        tok.remove_tokens("<|startoftext|>")
    with pytest.raises(TypeError, match=r"tokens\[0\]"):
        tok.remove_tokens(5)  # type: ignore[arg-type]
    assert tok.convert_tokens_to_ids("<x>") == 49408


def test_wrong_tokens() -> None:
    tok = Tokenizer()
    for wrong in (5, None, b"x", [5], ["a", None]):
        with pytest.raises(TypeError, match="new_tokens"):
            tok.add_tokens(wrong)  # type: ignore[arg-type]
    assert tok.add_tokens([]) == 0
    assert tok.add_tokens([""]) == 0
    assert len(tok) == 49408
    with pytest.raises(ValueError, match="surrogate"):
        tok.add_tokens("\ud800")
    assert tok("a")["input_ids"] == [49406, 320, 49407]


def test_one_tokenizers_tokens_are_not_anothers() -> None:
    first, second = Tokenizer(), Tokenizer()
    first.add_tokens("<x>")
    assert len(second) == 49408
    assert second("<x>")["input_ids"] == Tokenizer()("<x>")["input_ids"] != first("<x>")["input_ids"]


@pytest.mark.parametrize("lstrip", [False, True])
@pytest.mark.parametrize("rstrip", [False, True])
@pytest.mark.parametrize("content", [" ", "  ", "\t", "\u3000"])
def test_white_space_that_is_stripped_is_no_token(lstrip: bool, rstrip: bool, content: str, tmp_path: Path) -> None:
    """Found by fuzzing beside tokenizers: of the second of two spaces nothing is left where the first strips both."""
    Tokenizer().save_pretrained(tmp_path)
    theirs, ours = transformers.CLIPTokenizer.from_pretrained(tmp_path), Tokenizer()
    theirs.add_tokens([transformers.AddedToken(content, normalized=False, lstrip=lstrip, rstrip=rstrip)])
    ours.add_tokens([AddedToken(content, normalized=False, lstrip=lstrip, rstrip=rstrip)])
    for text in ("  z", "a   z ", "   ", "\t\t \t", "x\u3000\u3000 y", "    a     "):
        wanted = theirs(text, return_offsets_mapping=True)
        found = ours(text, return_offsets_mapping=True)
        assert (found.input_ids, found.offset_mapping) == (wanted.input_ids, wanted.offset_mapping), text
