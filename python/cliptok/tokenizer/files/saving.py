"""Writing a tokenizer's folder, for transformers and for `from_pretrained`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cliptok._common.atomic_files import replacing
from cliptok.tokenizer.files.reading import PROFILE_KEY
from cliptok.tokenizer.files.vocabulary import SPLIT

if TYPE_CHECKING:
    from cliptok.tokenizer.tokenizer import Tokenizer


def save(tok: "Tokenizer", save_directory: "str | os.PathLike[str]") -> tuple[str, ...]:
    """Write the files into the folder and return their paths."""
    folder = Path(save_directory)
    if folder.is_file():
        raise NotADirectoryError(f"save_directory is {folder}, which is a file; expected a folder")
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = _vocabulary(tok), tok._base.merges()
    contents = {
        "tokenizer_config.json": _json(_config(tok)),
        "special_tokens_map.json": _json(_roles(tok)),
        "vocab.json": _json(vocabulary, indent=None),
        "merges.txt": "".join(["#version: 0.2\n", *(f"{left} {right}\n" for left, right in merges)]),
        "tokenizer.json": _json(_whole(tok, vocabulary, merges), indent=None),
    }
    further = {token: id for token, id in tok._added_ids.items() if id >= tok.vocab_size}
    if further:
        contents["added_tokens.json"] = _json(further)
    else:  # One of an earlier tokenizer would be read again.
        (folder / "added_tokens.json").unlink(missing_ok=True)
    for name, content in contents.items():
        with replacing(folder / name) as file:
            file.write(content.encode())
    return tuple(str(folder / name) for name in contents)


def _config(tok: "Tokenizer") -> dict[str, Any]:
    config: dict[str, Any] = {
        "added_tokens_decoder": {str(id): token.to_json() for id, token in _added(tok).items()},
        # What is not set is written as null: left out, it would come back as the default.
        **dict.fromkeys(("unk_token", "pad_token")),
        **_roles(tok),
        "clean_up_tokenization_spaces": tok.clean_up_tokenization_spaces,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": tok.model_max_length,
        "padding_side": tok.padding_side,
        "tokenizer_class": "CLIPTokenizer",
        "truncation_side": tok.truncation_side,
    }
    if tok.profile != "transformers":
        config[PROFILE_KEY] = tok.profile
    return config


def _added(tok: "Tokenizer") -> dict[int, Any]:
    if tok._profile.specials_are_added:
        return tok.added_tokens_decoder
    from cliptok.tokenizer.tokens.added_tokens import AddedToken

    ends = zip(tok._ends, ("<|startoftext|>", "<|endoftext|>"), strict=True)
    return {id: AddedToken(content, special=True) for id, content in ends}


def _roles(tok: "Tokenizer") -> dict[str, Any]:
    roles: dict[str, Any] = dict(tok.special_tokens_map)
    if not tok._profile.specials_are_added:
        roles.update(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")
    if tok.extra_special_tokens:
        roles["additional_special_tokens"] = tok.extra_special_tokens
    return roles


def _vocabulary(tok: "Tokenizer") -> dict[str, int]:
    """The vocabulary with the names of start and end that transformers knows."""
    names = {tok._profile.start: "<|startoftext|>", tok._profile.end: "<|endoftext|>"}
    if tok._profile.specials_are_added:
        return tok.encoder
    return {names.get(token, token): id for token, id in tok.encoder.items()}


def _whole(tok: "Tokenizer", vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> dict[str, Any]:
    """tokenizer.json: the same for the tokenizers library, and for transformers' fast tokenizers."""
    roles = _roles(tok)
    space = {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
    split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Removed", "invert": True}
    letters = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, **token.to_json()} for id, token in _added(tok).items()],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, space, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, letters]},
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [roles["eos_token"], tok._ends[1]],
            "cls": [roles["bos_token"], tok._ends[0]],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": letters,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": roles.get("unk_token"),
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def _json(value: Any, indent: int | None = 2) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent) + "\n"
