"""Folders as the Stable Diffusion families publish them, with a small vocabulary: written into a temporary folder.

The vocabulary is CLIP's, cut to the 256 bytes twice and its first merges, so that nothing else changes.
"""

import json
from pathlib import Path
from typing import Any

from support.references import clip_files

MERGES = 400
TEXTS = [
    "a photo of a cat", "!", "wow! <|endoftext|> it's <|startoftext|>!!", "日本語 café", "", "a!b",
    "in the <tok> the<tok>!<TOK>",
]  # fmt: skip


def small_clip() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges: 512 letters, the first merges, start and end."""
    vocab, merges = clip_files()
    tokens = sorted(vocab, key=vocab.__getitem__)
    kept = [*tokens[: 512 + MERGES], "<|startoftext|>", "<|endoftext|>"]
    return {token: id for id, token in enumerate(kept)}, merges[:MERGES]


def token(content: str, **flags: bool) -> dict[str, Any]:
    """An added token as transformers 4 wrote it."""
    fields = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {"__type": "AddedToken", "content": content, **fields, **flags}


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def _config(pad: str, **more: Any) -> dict[str, Any]:
    start, end = (token(f"<|{name}oftext|>", normalized=True) for name in ("start", "end"))
    return {
        "add_prefix_space": False,
        "bos_token": start,
        "do_lower_case": True,
        "eos_token": end,
        "errors": "replace",
        "model_max_length": 77,
        "pad_token": pad,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": end,
        **more,
    }


def _map(pad: str) -> dict[str, Any]:
    def bare(content: str) -> dict[str, Any]:
        return {key: value for key, value in token(content, normalized=True).items() if key != "__type"}

    return {
        "bos_token": bare("<|startoftext|>"),
        "eos_token": bare("<|endoftext|>"),
        "pad_token": pad,
        "unk_token": bare("<|endoftext|>"),
    }


def write_layout(folder: Path, layout: str) -> Path:
    """`sd1`, `sd2`, `sdxl`, `sdxl-2` (all vocab.json and merges.txt) or `bare`, which has no other file."""
    vocab, merges = small_clip()
    folder.mkdir(parents=True)
    write_json(folder / "vocab.json", vocab)
    text = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges)
    (folder / "merges.txt").write_text(text, encoding="utf-8")
    if layout == "bare":
        return folder
    pad = "!" if layout in ("sd2", "sdxl-2") else "<|endoftext|>"
    more: dict[str, Any] = {
        "name_or_path": "openai/clip-vit-large-patch14",
        "special_tokens_map_file": "./special_tokens_map.json",
    }
    if layout == "sdxl-2":
        more["added_tokens_decoder"] = {
            str(id): {**{k: v for k, v in token(content).items() if k != "__type"}, "special": True}
            for content, id in (("!", 0), ("<|startoftext|>", 912), ("<|endoftext|>", 913))
        }
    write_json(folder / "tokenizer_config.json", _config(pad, **more))
    write_json(folder / "special_tokens_map.json", _map(pad))
    return folder
