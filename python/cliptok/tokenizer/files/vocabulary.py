"""Reading a vocabulary: tokenizer.json, or vocab.json and merges.txt."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cliptok._common.json_files import Trouble, read_json, read_text, wanted
from cliptok.tokenizer.profiles import Profile, profile_named
from cliptok.tokenizer.settings import Vocabulary, vocabulary_engine
from cliptok.tokenizer.tokens.added_tokens import AddedToken, added_token_from_json

_MOST_MERGES = 49152 - 256 - 2
_HAND_MADE = 4096
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
SPLIT = r"<\|startoftext\|>|<\|endoftext\|>|" + _WORDS
"""transformers 5's pattern; transformers 4 wrote it without the special tokens, which it finds earlier anyway."""

OTHER_KINDS = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "vocab.txt")
"""Files of tokenizers that are not CLIP's."""


class Found(NamedTuple):
    """What a folder's files say."""

    path: Path
    vocabulary: Vocabulary | None
    """None for the bundled one."""
    added: dict[int, AddedToken]
    padding: str
    truncation: str
    merges_path: Path
    unmade: list[str]
    """Tokens that no merge makes, though two others join to them: special ones, or the merges are not whole."""


def read_vocabulary(folder: Path, profile: Profile) -> Found:
    """The folder's vocabulary. tokenizer.json comes first, except where the slow reference would not read it.

    Raises FileNotFoundError without files, ValueError that names the file for anything that is no CLIP vocabulary.
    """
    whole, vocab, merges = folder / "tokenizer.json", folder / "vocab.json", folder / "merges.txt"
    slow = profile.name == "transformers-slow"
    has_parts = vocab.is_file() and merges.is_file()
    if not whole.is_file() and not has_parts:
        other = ", ".join(name for name in OTHER_KINDS if (folder / name).is_file())
        hint = f"; {other} is of another kind of tokenizer" if other else ""
        raise FileNotFoundError(f"{folder} has neither tokenizer.json nor vocab.json with merges.txt{hint}")
    listed: dict[int, AddedToken] = {}
    sides = ("right", "right")
    if whole.is_file():
        with Trouble(whole):
            content = read_json(whole, dict)
            tokens, pairs = _read_model(content)
            listed = _read_added(content)
            if not slow:
                sides = (_side(content, "padding"), _side(content, "truncation"))
            _check_merges(tokens, pairs)
        path, merges_path, lines = whole, whole, [list(pair) for pair in pairs]
    if not whole.is_file() or (slow and has_parts):
        with Trouble(vocab):
            tokens = _checked(read_json(vocab, dict))
        with Trouble(merges):
            text = read_text(merges)
            pairs = _read_merges_slow(text) if slow else _read_merges(text)
            _check_merges(tokens, pairs)
        # Of all lines: the slow reference passes over the first, and over those beyond a number.
        path, merges_path, lines = vocab, merges, [line.split() for line in text.split("\n")]
    with Trouble(path):
        vocabulary = _unless_bundled(tokens, _last_of_each(pairs), profile)
    unmade = [] if vocabulary is None else _unmade(tokens, lines)
    return Found(path, vocabulary, listed, *sides, merges_path, unmade)


def _read_model(content: dict[str, Any]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Tokens and merges of tokenizer.json, after making sure that it is CLIP's kind of tokenizer."""
    model = wanted(content.get("model"), dict, "model")
    kind = model.get("type", "BPE")
    if kind != "BPE":
        raise ValueError(f"model is of type {kind!r}; CLIP's is 'BPE'")
    if model.get("end_of_word_suffix") != "</w>" or model.get("continuing_subword_prefix"):
        raise ValueError("model marks words in another way than CLIP's end_of_word_suffix '</w>'")
    normalizer = _kinds(content, "normalizer", "normalizers")
    splitter = _kinds(content, "pre_tokenizer", "pretokenizers")
    if [part.get("type") for part in normalizer] != ["NFC", "Replace", "Lowercase"]:
        raise ValueError("normalizer is not CLIP's, which is NFC, Replace and Lowercase")
    if [part.get("type") for part in splitter] != ["Split", "ByteLevel"]:
        raise ValueError("pre_tokenizer is not CLIP's, which is Split and ByteLevel")
    pattern = splitter[0].get("pattern")
    if not isinstance(pattern, dict) or pattern.get("Regex") not in (SPLIT, _WORDS):
        raise ValueError("pre_tokenizer splits by another pattern than CLIP's")
    _check_options(model, normalizer[1], *splitter)
    pairs = []
    for rank, merge in enumerate(wanted(model.get("merges"), list, "model.merges")):
        parts = merge.split(" ") if isinstance(merge, str) else merge
        pairs.append(_pair(parts, f"merge {rank}"))
    return _checked(wanted(model.get("vocab"), dict, "model.vocab")), pairs


def _check_options(
    model: dict[str, Any], space: dict[str, Any], split: dict[str, Any], letters: dict[str, Any]
) -> None:
    """ValueError for options with which a tokenizer of these parts gives other ids."""
    off, zero = (None, False), (None, 0, 0.0)
    expected: list[tuple[str, dict[str, Any], str, tuple[Any, ...]]] = [
        ("normalizer", space, "pattern", ({"Regex": r"\s+"},)),
        ("normalizer", space, "content", (" ",)),
        ("pre_tokenizer", split, "behavior", ("Removed",)),
        ("pre_tokenizer", split, "invert", (True,)),
        ("pre_tokenizer", letters, "add_prefix_space", (False,)),
        ("pre_tokenizer", letters, "use_regex", (None, True)),
        ("model", model, "dropout", zero),
        ("model", model, "byte_fallback", off),
        ("model", model, "ignore_merges", off),
    ]
    for part, options, name, allowed in expected:
        value = options.get(name)
        if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed):
            raise ValueError(f"{part} has {name} {value!r}, which is not CLIP's")


def _kinds(content: dict[str, Any], name: str, parts: str) -> list[dict[str, Any]]:
    value = wanted(content.get(name), dict, name)
    if value.get("type") != "Sequence":
        raise ValueError(f"{name} is not CLIP's, which is a Sequence")
    listed = wanted(value.get(parts, []), list, f"{name}.{parts}")
    return [wanted(part, dict, f"a part of {name}") for part in listed]


def _read_added(content: dict[str, Any]) -> dict[int, AddedToken]:
    added = {}
    for fields in wanted(content.get("added_tokens", []), list, "added_tokens"):
        token = added_token_from_json(wanted(fields, dict, "an added token"))
        id = wanted(fields.get("id"), int, f"the id of {token.content!r}")
        if not 0 <= id < 1 << 31:
            raise ValueError(f"the id {id} of {token.content!r} is out of range")
        added[id] = token
    return added


def _side(content: dict[str, Any], name: str) -> str:
    settings = {} if content.get(name) is None else wanted(content[name], dict, name)
    return str(wanted(settings.get("direction", "Right"), str, f"{name}.direction")).lower()


def _checked(tokens: dict[str, Any]) -> dict[str, int]:
    """The vocabulary, if every id is a whole number. The engine checks that ids are in range and used once."""
    for token, id in tokens.items():
        if type(id) is not int or id < 0:
            raise ValueError(f"token {token!r} has id {id!r}; expected a whole number from 0 on")
        if id >= 1 << 31:
            raise ValueError(f"token {token!r} has id {id}, which is out of range")
    return tokens


def _read_merges(text: str) -> list[tuple[str, str]]:
    lines = text.split("\n")
    if lines[-1] == "":
        del lines[-1]
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.startswith("#version"):
            pairs.append(_pair(line.removesuffix("\r").split(" "), f"line {number}"))
    return pairs


def _read_merges_slow(text: str) -> list[tuple[str, str]]:
    """As transformers 4's slow tokenizer: the first line never counts, nor what follows CLIP's number of merges."""
    lines = text.strip().split("\n")[1 : _MOST_MERGES + 1]
    return [_pair(line.split(), f"line {number}") for number, line in enumerate(lines, 2)]


def _pair(parts: Any, what: str) -> tuple[str, str]:
    if not isinstance(parts, (list, tuple)) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{what} is no pair of tokens")
    return parts[0], parts[1]


def _check_merges(tokens: dict[str, int], merges: list[tuple[str, str]]) -> None:
    if not merges and any(len(token.removesuffix("</w>")) > 1 and token.isalpha() for token in tokens):
        raise ValueError("it has no merges, without which most tokens of the vocabulary are never found")
    for left, right in merges:
        for token in (left, right, left + right):
            if token not in tokens:
                raise ValueError(f"the merge of {left!r} and {right!r} needs {token!r}, which the vocabulary lacks")


def _unmade(tokens: dict[str, int], lines: list[list[str]]) -> list[str]:
    """The tokens, by id, whose merge is missing: two others join to them, and none of the lines does.

    In small vocabularies, which tests make by hand, not those that other merges are made of: a file that is cut at its
    end leaves none of them.
    """
    others = {"".join(parts) for parts in lines}
    if len(tokens) < _HAND_MADE:
        others.update(part for parts in lines for part in parts)

    def joins(token: str) -> bool:
        return any(token[:at] in tokens and token[at:] in tokens for at in range(1, len(token)))

    return sorted((token for token in tokens.keys() - others if joins(token)), key=tokens.__getitem__)


def _last_of_each(merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A merge that stands there twice has the later rank, in both references."""
    last = dict.fromkeys(reversed(merges))
    return merges if len(last) == len(merges) else list(last)[::-1]


def _unless_bundled(tokens: dict[str, int], merges: list[tuple[str, str]], profile: Profile) -> "Vocabulary | None":
    """None when it is the bundled vocabulary, which loads at once, shares its cache and takes no memory of its own."""
    bundled_tokens, bundled_merges = _bundled()
    if tokens == bundled_tokens and merges == bundled_merges:
        return None
    if profile.name == "open_clip":  # Files have the names of transformers, open_clip has its own.
        names = {"<|startoftext|>": profile.start, "<|endoftext|>": profile.end}
        tokens = {names.get(token, token): id for token, id in tokens.items()}
    return tokens, merges, None


@cache
def _bundled() -> tuple[dict[str, int], list[tuple[str, str]]]:
    engine = vocabulary_engine(profile_named("transformers"), None)
    return engine.vocabulary(), engine.merges()
