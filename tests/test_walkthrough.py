"""The way of a Stable Diffusion prompt, value by value: in the example, and here by itself."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cliptok import Tokenizer

EXAMPLE = Path(__file__).parent.parent / "examples" / "walkthrough.py"
PROMPT = "a highres photo of a woman wearing a red dress"
TOKENS = [
    "a</w>",
    "high",
    "res</w>",
    "photo</w>",
    "of</w>",
    "a</w>",
    "woman</w>",
    "wearing</w>",
    "a</w>",
    "red</w>",
    "dress</w>",
]
IDS = [320, 1487, 934, 1125, 539, 320, 2308, 3309, 320, 736, 2595]
WORD_IDS = [49406, 596, 4480, 267, 36857, 71, 73, 8498, 4057, 49407]


@pytest.fixture
def sd2() -> Tokenizer:
    return Tokenizer.from_preset("sd2")


def test_the_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert str(IDS) in done.stdout
    assert "every value is as it should be" in done.stdout


def test_the_example_checks_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails when a value is another."""
    monkeypatch.setattr(Tokenizer, "tokenize", lambda self, text: ["wrong"])
    with pytest.raises(AssertionError):
        runpy.run_path(str(EXAMPLE), run_name="__main__")


def test_tokens_and_ids(sd2: Tokenizer) -> None:
    assert sd2.tokenize(PROMPT) == TOKENS
    assert sd2.convert_tokens_to_ids(TOKENS) == IDS
    assert sd2.convert_ids_to_tokens(IDS) == TOKENS


def test_padding(sd2: Tokenizer) -> None:
    for options in ({}, {"max_length": 77}, {"max_length": 77, "truncation": True}):
        found = sd2(PROMPT, padding="max_length", **options)
        assert found["input_ids"] == [49406, *IDS, 49407] + [0] * 64
        assert found.attention_mask == [1] * 13 + [0] * 64


@pytest.mark.parametrize("tensors", [None, "np", "pt"])
def test_truncation(sd2: Tokenizer, tensors: str | None) -> None:
    found: Any = sd2(
        "a " + "very " * 100 + "text", padding="max_length", max_length=77, truncation=True, return_tensors=tensors
    )
    ids, mask = found["input_ids"], found["attention_mask"]
    if tensors is not None:
        assert tuple(ids.shape) == tuple(mask.shape) == (1, 77)
        ids, mask = ids[0].tolist(), mask[0].tolist()
    assert ids == [49406, 320] + [1070] * 74 + [49407]
    assert mask == [1] * 77


def test_back_to_text(sd2: Tokenizer) -> None:
    text = "<|startoftext|>a highres photo of a woman wearing a red dress <|endoftext|>"
    assert sd2.decode([49406, *IDS, 49407]) == text
    assert sd2.decode([49406, *IDS, 49407], skip_special_tokens=True) == PROMPT


def test_vocabulary(sd2: Tokenizer) -> None:
    assert sd2.vocab_size == len(sd2) == 49408
    assert sd2.special_tokens_map == {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "!",
    }
    decoded = [sd2.decoder[id] for id in (320, 1125, 49406, 49407)]
    assert decoded == ["a</w>", "photo</w>", "<|startoftext|>", "<|endoftext|>"]


def test_words_without_a_token(sd2: Tokenizer) -> None:
    tokens = ["ä½", "ł", "å¥", "½</w>", ",</w>", "ab", "cd</w>", ",</w>", "asdf", "h", "j", "kl", "mn</w>"]
    assert sd2.tokenize("你好, abcd, asdfhjklmn") == tokens
    assert Tokenizer()("abcd, asdfhjklmn")["input_ids"] == WORD_IDS


def test_a_batch_padded_to_the_longer(sd2: Tokenizer) -> None:
    for tok, pad in ((sd2, 0), (Tokenizer(), 49407)):
        batch = tok(["abcd, asdfhjklmn", PROMPT], padding=True)
        assert batch["input_ids"] == [WORD_IDS + [pad] * 3, [49406, *IDS, 49407]]
        assert batch["attention_mask"] == [[1] * 10 + [0] * 3, [1] * 13]


def test_presets() -> None:
    pads = {preset: Tokenizer.from_preset(preset).pad_token_id for preset in ("sd1", "sd2", "sdxl", "sdxl-2")}
    assert pads == {"sd1": 49407, "sd2": 0, "sdxl": 49407, "sdxl-2": 0}
    assert Tokenizer.from_preset("sd2")("wow!")["input_ids"] == [49406, 2781, 0, 49407]
    assert Tokenizer("open_clip")("wow!")["input_ids"] == [49406, 2781, 256, 49407]
    with pytest.raises(ValueError, match="sdxl-2"):
        Tokenizer.from_preset("sd9")
