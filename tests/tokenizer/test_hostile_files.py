"""Files that are broken, cut short or made to hurt: a clear error that names the file, never a crash, never a wait."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from cliptok import Tokenizer
from support.layouts import small_clip, write_json, write_layout
from support.shared import live


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_layout(tmp_path / "model", "sd2")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A folder with tokenizer.json alone."""
    folder = tmp_path / "whole"
    CLIPTokenizer.from_pretrained(write_layout(tmp_path / "model", "sd1")).save_pretrained(folder)
    return folder


JSON_FILES = ("vocab.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
RUBBISH = [
    b"", b" ", b"{", b"[]", b"null", b"5", b'"text"', b"\xff\xfe", b"{\"a\": }", b"\x00" * 100,
    b'{"a": "\xff"}', b"[" * 100_000,
    b'{"a":' * 50_000, b"NaN", b"\x1f\x8b\x08\x00",
]  # fmt: skip


@pytest.mark.parametrize("name", JSON_FILES)
@pytest.mark.parametrize("content", RUBBISH, ids=lambda content: repr(content[:12]))
def test_rubbish(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        Tokenizer.from_pretrained(folder)


@pytest.mark.parametrize("content", RUBBISH, ids=lambda content: repr(content[:12]))
def test_rubbish_as_tokenizer_json(whole: Path, content: bytes) -> None:
    (whole / "tokenizer.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        Tokenizer.from_pretrained(whole)


@pytest.mark.parametrize(
    "content",
    [
        "", "#version: 0.2\n",
        "#version: 0.2\na\n", "#version: 0.2\na b c\n", "#version: 0.2\nno such\n", "#version: 0.2\n\n\n", "\ud7ff",
        "a  b\n", "#version: 0.2\n t h\n",
        "#version: 0.2\nzzzz qqqq\n", "<html>not found</html>",
    ],
)  # fmt: skip
def test_wrong_merges(folder: Path, content: str) -> None:
    (folder / "merges.txt").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"merges\.txt|vocab\.json"):
        Tokenizer.from_pretrained(folder)


@pytest.mark.parametrize("profile", ["transformers", "transformers-slow", "open_clip"])
@pytest.mark.parametrize("kept", [slice(40), slice(-2), slice(-1)])
def test_merges_that_are_not_whole(folder: Path, kept: slice, profile: Any) -> None:
    """A file that is cut at a line is sound, and gives other ids."""
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    (folder / "merges.txt").write_text("\n".join(lines[kept]) + "\n", encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"merges\.txt is not whole: merges are missing for \d+ .*vocab\.json"
    ) as caught:
        Tokenizer.from_pretrained(folder, profile=profile)
    assert kept.stop > 0 or f"missing for {-kept.stop} " in str(caught.value)


@pytest.mark.parametrize("line", [1, 2, 30_000])
def test_a_merge_that_is_missing_of_a_whole_vocabulary(tmp_path: Path, line: int) -> None:
    """The second line is that of "in", which many others are made of."""
    Tokenizer().save_pretrained(tmp_path, legacy_format=True)
    (tmp_path / "tokenizer.json").unlink()
    lines = (tmp_path / "merges.txt").read_text(encoding="utf-8").splitlines()
    del lines[line]
    (tmp_path / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=r"merges\.txt is not whole: merges are missing for 1 "):
        Tokenizer.from_pretrained(tmp_path)


def test_merges_of_tokenizer_json_that_are_not_whole(whole: Path) -> None:
    content = json.loads((whole / "tokenizer.json").read_text(encoding="utf-8"))
    del content["model"]["merges"][-5:]
    write_json(whole / "tokenizer.json", content)
    with pytest.raises(ValueError, match=r"tokenizer\.json is not whole: merges are missing for 5 "):
        Tokenizer.from_pretrained(whole)


def test_special_tokens_need_no_merges(folder: Path) -> None:
    """Of a special token that two others join to, in vocab.json itself, no merge is missing."""
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    write_json(folder / "vocab.json", {**vocab, "zq": max(vocab.values()) + 1})
    with pytest.raises(ValueError, match=r"missing for 1 of the tokens in vocab\.json, 'zq'"):
        Tokenizer.from_pretrained(folder)
    tok = Tokenizer.from_pretrained(folder, extra_special_tokens=["zq"])
    assert tok.convert_tokens_to_ids("zq") == max(vocab.values()) + 1


def test_merges_that_are_no_utf8(folder: Path) -> None:
    (folder / "merges.txt").write_bytes(b"#version: 0.2\nt\xff h\n")
    with pytest.raises(ValueError, match=r"merges\.txt"):
        Tokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"a</w>": "320"}, {"a</w>": 3.5}, {"a</w>": None}, {"a</w>": -1}, {"a</w>": 2**31}, {"a</w>": 2**32},
        {"a</w>": 2**64}, {"a</w>": 10**30},
        {"a</w>": True}, {"a</w>": 5}, {"a</w>": [1]}, {"new": 1},
    ],
)  # fmt: skip
def test_wrong_ids(folder: Path, change: dict[str, Any]) -> None:
    vocab, _ = small_clip()
    write_json(folder / "vocab.json", {**vocab, **change})
    with pytest.raises(ValueError, match=r"vocab\.json"):
        Tokenizer.from_pretrained(folder)


@pytest.mark.parametrize("gone", ["a</w>", "a", "Ġ", "!", "<|endoftext|>", "<|startoftext|>"])
def test_missing_tokens(folder: Path, gone: str) -> None:
    """A vocabulary without a byte could not encode every text; transformers would give an unknown token."""
    vocab, _ = small_clip()
    del vocab[gone]
    write_json(folder / "vocab.json", vocab)
    try:
        tok = Tokenizer.from_pretrained(folder)
    except ValueError as error:
        if gone not in str(error):
            raise
        return
    hf = CLIPTokenizer.from_pretrained(folder)
    for text in ("a photo, !", "x\x00 y", "the a a", "<|endoftext|>", ""):
        assert tok(text)["input_ids"] == hf(text)["input_ids"]


def test_missing_files(tmp_path: Path, folder: Path) -> None:
    (folder / "merges.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"merges\.txt"):
        Tokenizer.from_pretrained(folder)
    with pytest.raises(FileNotFoundError):
        Tokenizer.from_pretrained(tmp_path / "no such folder")
    with pytest.raises(FileNotFoundError):
        Tokenizer.from_pretrained("./no/such/folder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        Tokenizer.from_pretrained(tmp_path / "empty")


CHANGES: list[tuple[str, Any]] = [
    ("model", None),
    ("model", {}),
    ("model", {"type": "WordPiece", "vocab": {"a": 0}}),
    ("model", {"type": "BPE", "vocab": {"a": 0}, "merges": []}),
    ("normalizer", None),
    ("normalizer", {"type": "BertNormalizer"}),
    ("pre_tokenizer", {"type": "Whitespace"}),
    ("pre_tokenizer", None),
    ("normalizer.type", "Other"),
    ("normalizer.normalizers.1.pattern", {"String": " "}),
    ("normalizer.normalizers.1.pattern", None),
    ("normalizer.normalizers.1.content", "_"),
    ("pre_tokenizer.type", None),
    ("pre_tokenizer.pretokenizers.0.behavior", "Isolated"),
    ("pre_tokenizer.pretokenizers.0.invert", False),
    ("pre_tokenizer.pretokenizers.0.invert", 1),
    ("pre_tokenizer.pretokenizers.1.add_prefix_space", True),
    ("pre_tokenizer.pretokenizers.1.use_regex", False),
    ("model.dropout", 0.1),
    ("model.dropout", False),
    ("model.byte_fallback", True),
    ("model.ignore_merges", True),
    ("model.merges", []),
    ("padding", []),
    ("truncation", 0),
    ("added_tokens", 5),
    ("added_tokens", [{"id": 5}]),
    ("added_tokens", [{"id": -1, "content": "x"}]),
    ("added_tokens", [{"id": 2**40, "content": "x"}]),
    ("added_tokens", ["x"]),
]


@pytest.mark.parametrize(("key", "value"), CHANGES)
def test_another_kind_of_tokenizer(whole: Path, key: str, value: Any) -> None:
    """The files of other models are refused, since their ids would be wrong."""
    path = whole / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    *around, last = (int(part) if part.isdecimal() else part for part in key.split("."))
    inner: Any = content
    for part in around:
        inner = inner[part]
    inner[last] = value
    write_json(path, content)
    (whole / "tokenizer_config.json").unlink()
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        Tokenizer.from_pretrained(whole)


@pytest.mark.parametrize(
    "change",
    [
        {"model_max_length": "77"}, {"model_max_length": [77]}, {"padding_side": 5}, {"padding_side": "up"},
        {"model_max_length": 1.5}, {"model_max_length": 0.5}, {"tokenizer_class": []}, {"tokenizer_class": 5},
        {"clean_up_tokenization_spaces": ""}, {"clean_up_tokenization_spaces": 0}, {"split_special_tokens": []},
        {"extra_special_tokens": ""}, {"extra_special_tokens": 0},
        {"truncation_side": None},
        {"pad_token": 5}, {"pad_token": ["!"]}, {"bos_token": {"no": "content"}}, {"bos_token": {"content": 5}},
        {"extra_special_tokens": 5},
        {"added_tokens_decoder": []}, {"added_tokens_decoder": {"x": {"content": "y"}}},
        {"added_tokens_decoder": {"5": "x"}},
        {"added_tokens_decoder": {"-1": {"content": "y"}}}, {"cliptok_profile": "nonsense"},
        {"bos_token": {"content": "<x>", "lstrip": "yes"}},
    ],
)  # fmt: skip
def test_wrong_configuration(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "tokenizer_config.json"
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **change})
    (folder / "special_tokens_map.json").unlink()
    with pytest.raises(ValueError, match=r"tokenizer_config\.json"):
        Tokenizer.from_pretrained(folder)


def test_folders_for_files(folder: Path) -> None:
    (folder / "added_tokens.json").mkdir()
    (folder / "tokenizer.json").mkdir()
    assert Tokenizer.from_pretrained(folder).pad_token == "!"
    (folder / "merges.txt").unlink()
    (folder / "merges.txt").mkdir()
    with pytest.raises(OSError):  # noqa: PT011
        Tokenizer.from_pretrained(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / "vocab.json").chmod(0)
    with pytest.raises(OSError, match=r"vocab\.json"):
        Tokenizer.from_pretrained(folder)


@pytest.mark.parametrize("name", ["../../etc", "a/b/c", "https://example.com/x", "", "con\0", "a" * 5000, "\ud800"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises((OSError, ValueError)):
        Tokenizer.from_pretrained(name, local_files_only=True)


def test_a_vocabulary_of_many_tokens(folder: Path) -> None:
    """Beyond 65,536 tokens ids no longer fit two bytes."""
    vocab, _merges = small_clip()
    write_json(
        folder / "vocab.json", {**vocab, **{f"filler{number}</w>": len(vocab) + number for number in range(70_000)}}
    )
    try:
        tok = Tokenizer.from_pretrained(folder)
    except ValueError as error:
        assert "vocab.json" in str(error)  # noqa: PT017
        return
    assert tok("a photo")["input_ids"] == CLIPTokenizer.from_pretrained(folder)("a photo")["input_ids"]


letters = st.sampled_from("abc")
symbols = st.text(letters, min_size=1, max_size=3)
merges_in_any_order = st.lists(st.tuples(symbols, symbols, st.booleans()), max_size=14)


def write_merges(folder: Path, chosen: list[tuple[str, str, bool]]) -> list[tuple[str, str]]:
    """vocab.json and merges.txt with these merges, whose last part may end a word."""
    vocab = {token: id for token, id in small_clip()[0].items() if id < 512}
    merges = list(dict.fromkeys((left, f"{right}</w>" if last else right) for left, right, last in chosen))
    for left, right in merges:
        for token in (left, right, left + right):
            vocab.setdefault(token, len(vocab))
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocab[token] = len(vocab)
    write_json(folder / "vocab.json", vocab)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")
    return merges


words_of_letters = st.lists(st.text(letters, max_size=12), min_size=1, max_size=12)


@given(chosen=merges_in_any_order, words=words_of_letters)
@settings(max_examples=60)
def test_merges_of_any_kind(chosen: Any, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Merges that no training would make: out of order, overlapping, repeated, several ways to one token."""
    folder = tmp_path_factory.mktemp("merges")
    merges = write_merges(folder, chosen)
    expected, tok = CLIPTokenizer.from_pretrained(folder), Tokenizer.from_pretrained(folder)
    for word in [*words, *words, " ".join(words)]:
        assert tok(word)["input_ids"] == expected(word)["input_ids"], f"{word!r} with {merges}"


def test_merges_of_any_kind_in_the_slow_profile(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It merges every place of a pair before it looks for the next, which matters for such merges alone."""
    slow = live("transformers-slow")

    @given(chosen=merges_in_any_order, words=words_of_letters)
    @settings(max_examples=60)
    def check(chosen: Any, words: list[str]) -> None:
        folder = tmp_path_factory.mktemp("merges")
        merges = write_merges(folder, chosen)
        tok = Tokenizer.from_pretrained(folder, profile="transformers-slow")
        slow.do("load", folder=str(folder))
        for word, expected in zip(words, slow.batch(words), strict=True):
            assert tok(word)["input_ids"] == expected, f"{word!r} with {merges}"

    try:
        check()
    finally:
        slow.do("use_clip")
