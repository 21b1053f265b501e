"""Writing a tokenizer's folder, for transformers and for `from_pretrained`."""

import json
import os
from pathlib import Path
from typing import Any

from cliptok._common.atomic_files import atomic_write
from cliptok.tokenizer.files.reading import PROFILE_KEY
from cliptok.tokenizer.files.vocabulary import SPLIT
from cliptok.tokenizer.tokens.added_tokens import AddedToken
from cliptok.tokenizer.tokens.special_tokens import SpecialTokens
from cliptok.tokenizer.tokens.token_table import TokenTable


def save(
    save_directory: "str | os.PathLike[str]", tokens: TokenTable, specials: SpecialTokens, settings: dict[str, Any]
) -> tuple[str, ...]:
    """Write the files into the folder and return their paths. `settings` goes into tokenizer_config.json as it is."""
    folder = Path(save_directory)
    if folder.is_file():
        raise NotADirectoryError(f"save_directory is {folder}, which is a file; expected a folder")
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges, roles = _vocabulary(tokens), tokens.vocabulary.merges(), _roles(tokens, specials)
    contents = {
        "tokenizer_config.json": _json(_config(tokens, roles, settings)),
        "special_tokens_map.json": _json(roles),
        **_vocabulary_files(vocabulary, merges),
        "tokenizer.json": _json(_whole(tokens, roles, vocabulary, merges), indent=None),
    }
    further = {token: id for token, id in tokens.added_ids.items() if id >= tokens.vocabulary.vocabulary_size}
    if further:
        contents["added_tokens.json"] = _json(further)
    else:  # One of an earlier tokenizer would be read again.
        (folder / "added_tokens.json").unlink(missing_ok=True)
    for name, content in contents.items():
        with atomic_write(folder / name) as file:
            file.write(content.encode())
    return tuple(str(folder / name) for name in contents)


def save_vocabulary(
    save_directory: "str | os.PathLike[str]", tokens: TokenTable, prefix: str | None
) -> tuple[str, ...]:
    """Write vocab.json and merges.txt, with `prefix` and a hyphen before their names, and return their paths."""
    folder = Path(save_directory)
    if not folder.is_dir():
        raise NotADirectoryError(f"save_directory is {folder}, which is no folder")
    contents = _vocabulary_files(_vocabulary(tokens), tokens.vocabulary.merges())
    paths = {folder / (f"{prefix}-{name}" if prefix else name): content for name, content in contents.items()}
    for path, content in paths.items():
        with atomic_write(path) as file:
            file.write(content.encode())
    return tuple(map(str, paths))


def _vocabulary_files(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> dict[str, str]:
    return {
        "vocab.json": _json(vocabulary, indent=None),
        "merges.txt": "".join(["#version: 0.2\n", *(f"{left} {right}\n" for left, right in merges)]),
    }


def _config(tokens: TokenTable, roles: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "added_tokens_decoder": {str(id): token.to_json() for id, token in _added(tokens).items()},
        # What is not set is written as null: left out, it would come back as the default.
        **dict.fromkeys(("unk_token", "pad_token")),
        **roles,
        **settings,
        "do_lower_case": True,
        "errors": "replace",
        "tokenizer_class": "CLIPTokenizer",
    }
    if tokens.profile.name != "transformers":
        config[PROFILE_KEY] = tokens.profile.name
    return config


def _added(tokens: TokenTable) -> dict[int, AddedToken]:
    if tokens.profile.specials_are_added:
        return tokens.added.by_id
    return {
        tokens.start_id: AddedToken("<|startoftext|>", special=True),
        tokens.end_id: AddedToken("<|endoftext|>", special=True),
    }


def _roles(tokens: TokenTable, specials: SpecialTokens) -> dict[str, Any]:
    roles: dict[str, Any] = {role: token.content for role, token in specials.roles.items()}
    if not tokens.profile.specials_are_added:
        roles.update(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")
    if specials.extra:
        roles["additional_special_tokens"] = [token.content for token in specials.extra]
    return roles


def _vocabulary(tokens: TokenTable) -> dict[str, int]:
    """The vocabulary with the names of start and end that transformers knows."""
    profile, vocabulary = tokens.profile, tokens.vocabulary.vocabulary()
    if profile.specials_are_added:
        return vocabulary
    names = {profile.start: "<|startoftext|>", profile.end: "<|endoftext|>"}
    return {names.get(token, token): id for token, id in vocabulary.items()}


def _whole(
    tokens: TokenTable, roles: dict[str, Any], vocabulary: dict[str, int], merges: list[tuple[str, str]]
) -> dict[str, Any]:
    """tokenizer.json: the same for the tokenizers library, and for transformers' fast tokenizers."""
    space = {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
    split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Removed", "invert": True}
    letters = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, **token.to_json()} for id, token in _added(tokens).items()],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, space, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, letters]},
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [roles["eos_token"], tokens.end_id],
            "cls": [roles["bos_token"], tokens.start_id],
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
