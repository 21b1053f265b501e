"""`from_pretrained` and `save_pretrained`: the folders of the Stable Diffusion families, there and back."""

import os
from pathlib import Path
from typing import Any

import pytest
from transformers import CLIPTokenizer

from cliptok import AddedToken, Tokenizer
from support.layouts import TEXTS, small_clip, token, write_json, write_layout
from support.references import PROFILES
from support.scripts import names_in

LAYOUTS = ("sd1", "sd2", "sdxl", "sdxl-2", "bare")
NAMES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "pad_token",
    "model_max_length",
    "all_special_tokens",
    "all_special_ids",
)


def assert_same(tok: Tokenizer, hf: Any) -> None:
    """Ids, pads, names and sizes as transformers has them."""
    for text in TEXTS:
        assert tok(text)["input_ids"] == hf(text)["input_ids"], text
    # A tokenizer without a length of its own has none to pad to.
    options = {"padding": "max_length", "max_length": 20, "truncation": True}
    assert tok(TEXTS, **options)["input_ids"] == hf(TEXTS, **options)["input_ids"]
    for name in NAMES:
        assert getattr(tok, name) == getattr(hf, name), name
    assert (len(tok), tok.vocab_size, tok.pad_token_id) == (len(hf), hf.vocab_size, hf.pad_token_id)
    assert tok.get_vocab() == hf.get_vocab()
    assert {id: str(t) for id, t in tok.added_tokens_decoder.items()} == {
        id: str(t) for id, t in hf.added_tokens_decoder.items()
    }


def assert_same_as_slow(tok: Tokenizer, slow: Any) -> None:
    assert [tok(text)["input_ids"] for text in TEXTS] == slow.do("batch", texts=TEXTS)
    assert [getattr(tok, name) for name in NAMES] == slow.do("get", names=list(NAMES))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_load_as_in_transformers(layout: str, tmp_path: Path) -> None:
    folder = write_layout(tmp_path / layout, layout)
    tok = Tokenizer.from_pretrained(folder)
    assert_same(tok, CLIPTokenizer.from_pretrained(folder))
    if layout in ("sd2", "sdxl-2"):
        assert tok("wow!")["input_ids"][-2] == tok.pad_token_id == 0
    elif layout != "bare":
        assert tok.pad_token_id == tok.eos_token_id


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_load_as_in_transformers_4(layout: str, tmp_path: Path, slow: Any) -> None:
    folder = write_layout(tmp_path / layout, layout)
    slow.do("load", folder=str(folder))
    assert_same_as_slow(Tokenizer.from_pretrained(folder, profile="transformers-slow"), slow)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_we_save_transformers_loads(layout: str, tmp_path: Path, slow: Any) -> None:
    tok = Tokenizer.from_pretrained(write_layout(tmp_path / layout, layout))
    paths = tok.save_pretrained(tmp_path / "saved")
    assert names_in(tmp_path / "saved") == sorted(Path(path).name for path in paths)
    assert_same(tok, CLIPTokenizer.from_pretrained(tmp_path / "saved"))
    assert_same(Tokenizer.from_pretrained(tmp_path / "saved"), CLIPTokenizer.from_pretrained(tmp_path / "saved"))
    slow.do("load", folder=str(tmp_path / "saved"), fast=True)
    assert_same_as_slow(tok, slow)
    slow.do("load", folder=str(tmp_path / "saved"))
    assert_same_as_slow(Tokenizer.from_pretrained(tmp_path / "saved", profile="transformers-slow"), slow)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_transformers_saves_we_load(layout: str, tmp_path: Path, slow: Any) -> None:
    folder = write_layout(tmp_path / layout, layout)
    hf = CLIPTokenizer.from_pretrained(folder)
    hf.add_tokens(["<tok>"])
    hf.save_pretrained(tmp_path / "five")
    assert_same(Tokenizer.from_pretrained(tmp_path / "five"), CLIPTokenizer.from_pretrained(tmp_path / "five"))
    for name, fast in (("four", False), ("four-fast", True)):
        slow.do("load", folder=str(folder), fast=fast)
        slow.do("add_tokens", tokens=[{"content": "<tok>"}])
        slow.do("save", folder=str(tmp_path / name))
        assert_same(Tokenizer.from_pretrained(tmp_path / name), CLIPTokenizer.from_pretrained(tmp_path / name))
        slow.do("load", folder=str(tmp_path / name))
        assert_same_as_slow(Tokenizer.from_pretrained(tmp_path / name, profile="transformers-slow"), slow)


def test_added_tokens_json(tmp_path: Path, slow: Any) -> None:
    """Textual inversion with transformers 4 left a file of the tokens' ids beside the vocabulary."""
    folder = write_layout(tmp_path / "old", "sd1")
    write_json(folder / "added_tokens.json", {"<tok>": 914, "<other>": 915})
    tok = Tokenizer.from_pretrained(folder)
    assert_same(tok, CLIPTokenizer.from_pretrained(folder))
    assert tok("the <tok>")["input_ids"][-2] == 914
    slow.do("load", folder=str(folder))
    assert_same_as_slow(Tokenizer.from_pretrained(folder, profile="transformers-slow"), slow)


def test_tokenizer_json_alone(tmp_path: Path) -> None:
    hf = CLIPTokenizer.from_pretrained(write_layout(tmp_path / "sd2", "sd2"))
    hf.add_tokens(["<tok>", " spaced "])
    hf.save_pretrained(tmp_path / "five")
    for name in names_in(tmp_path / "five"):
        if name != "tokenizer.json":
            (tmp_path / "five" / name).unlink()
    tok = Tokenizer.from_pretrained(tmp_path / "five")
    again = CLIPTokenizer.from_pretrained(tmp_path / "five")
    assert [tok(text)["input_ids"] for text in TEXTS] == [again(text)["input_ids"] for text in TEXTS]


@pytest.mark.parametrize("profile", PROFILES)
def test_there_and_back(profile: str, tmp_path: Path) -> None:
    tok = Tokenizer(profile, model_max_length=33, padding_side="left", pad_token="!")
    if profile.startswith("transformers"):
        tok.add_tokens([AddedToken("<tok>", lstrip=True), AddedToken("word", single_word=profile == "transformers")])
        tok.add_special_tokens({"extra_special_tokens": ["<extra>"]})
    tok.save_pretrained(tmp_path / "saved")
    again = Tokenizer.from_pretrained(tmp_path / "saved")
    assert repr(again) == repr(tok)
    assert again.get_vocab() == tok.get_vocab()
    assert again.added_tokens_decoder == tok.added_tokens_decoder
    texts = [*TEXTS, "x  <tok> words word <extra>", "“q” &amp; <end_of_text>"]
    assert again(texts, padding=True)["input_ids"] == tok(texts, padding=True)["input_ids"]
    again.save_pretrained(tmp_path / "twice")
    for name in names_in(tmp_path / "saved"):
        assert (tmp_path / "saved" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes(), name


def test_subfolders_and_overrides(tmp_path: Path) -> None:
    write_layout(tmp_path / "model" / "tokenizer", "sdxl")
    write_layout(tmp_path / "model" / "tokenizer_2", "sdxl-2")
    first = Tokenizer.from_pretrained(tmp_path / "model", subfolder="tokenizer")
    second = Tokenizer.from_pretrained(str(tmp_path / "model"), subfolder="tokenizer_2")
    assert (first.pad_token, second.pad_token) == ("<|endoftext|>", "!")
    changed = Tokenizer.from_pretrained(tmp_path / "model", subfolder="tokenizer", pad_token="!", model_max_length=9)
    expected = CLIPTokenizer.from_pretrained(
        tmp_path / "model", subfolder="tokenizer", pad_token="!", model_max_length=9
    )
    assert_same(changed, expected)
    with pytest.raises(TypeError, match="nonsense"):
        Tokenizer.from_pretrained(tmp_path / "model", subfolder="tokenizer", nonsense=1)
    with pytest.raises(FileNotFoundError, match="subfolder"):
        Tokenizer.from_pretrained(tmp_path / "model", subfolder="tokenizer_3")


def test_saving_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tok = Tokenizer()
    tok.save_pretrained(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)}

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    tok.add_tokens("<tok>")
    with pytest.raises(OSError, match="No space left"):
        tok.save_pretrained(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)} == before
    monkeypatch.undo()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OSError, match="file"):
        tok.save_pretrained(tmp_path / "file")


def test_merges_in_any_order_and_vocabularies_in_any_order(tmp_path: Path) -> None:
    """Ids need not follow the merges, and a merge may stand before those that it needs."""
    vocab, merges = small_clip()
    folder = write_layout(tmp_path / "odd", "bare")
    shuffled = sorted(merges, key=lambda merge: hash_of("".join(merge)))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in shuffled), encoding="utf-8")
    ids = sorted(range(len(vocab)), key=lambda id: hash_of(str(id)))
    write_json(folder / "vocab.json", {name: ids[id] for name, id in vocab.items()})
    write_json(folder / "special_tokens_map.json", {"pad_token": token("!")})
    tok, hf = Tokenizer.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    texts = [*TEXTS, "information and the interesting station " * 3, "thethe ininging starting", "aaaa eeee !!!! ssss"]
    assert [tok(text)["input_ids"] for text in texts] == [hf(text)["input_ids"] for text in texts]
    assert tok.batch_decode(tok(texts)["input_ids"]) == hf.batch_decode(hf(texts)["input_ids"])


def hash_of(text: str) -> int:
    """The same in every run, unlike `hash`."""
    import zlib

    return zlib.crc32(text.encode())


def test_of_merges_that_repeat_the_last_counts(tmp_path: Path, slow: Any) -> None:
    _, merges = small_clip()
    folder = write_layout(tmp_path / "again", "sd1")
    again = [*merges, *merges[::3], *merges[:5]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in again), encoding="utf-8")
    tok, hf = Tokenizer.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    texts = [*TEXTS, "information and the interesting station within this inn"]
    assert [tok(text)["input_ids"] for text in texts] == [hf(text)["input_ids"] for text in texts]
    slow.do("load", folder=str(folder))
    tok = Tokenizer.from_pretrained(folder, profile="transformers-slow")
    assert [tok(text)["input_ids"] for text in texts] == slow.do("batch", texts=texts)
