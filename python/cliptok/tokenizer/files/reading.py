"""Reading a tokenizer's folder: which files there are and what they say, special tokens and all."""

import os
from pathlib import Path
from typing import Any

from cliptok._common.hub import hub_model
from cliptok._common.json_files import Trouble, read_json, some, wanted
from cliptok._common.warning import warn_caller
from cliptok.tokenizer.calls.options import check_path, side
from cliptok.tokenizer.files.vocabulary import Found, read_vocabulary
from cliptok.tokenizer.profiles import NO_LIMIT, Profile, profile_named
from cliptok.tokenizer.settings import Settings, default_roles, vocabulary_engine
from cliptok.tokenizer.tokens.added_tokens import AddedToken, added_token_from_json, as_added_token
from cliptok.tokenizer.tokens.special_tokens import NAMES

FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_OVERRIDES = (
    *NAMES,
    *("additional_special_tokens", "clean_up_tokenization_spaces", "extra_special_tokens"),
    *("model_max_length", "padding_side", "truncation_side"),
)
PROFILE_KEY = "cliptok_profile"


def locate(
    name_or_path: "str | os.PathLike[str]",
    subfolder: str,
    revision: str | None,
    cache_dir: "str | os.PathLike[str] | None",
    local_files_only: bool,
    force_download: bool,
    token: str | bool | None,
) -> Path:
    """The folder with the files: a local one, or that of a hub model after huggingface_hub has fetched them."""
    path = Path(check_path("name_or_path", name_or_path, "a tokenizer's folder or a hub name"))
    if path.is_dir():
        folder = path / subfolder
        if not folder.is_dir():
            raise FileNotFoundError(f"{path} has no folder {subfolder!r}; check subfolder")
        return folder
    model = hub_model(
        name_or_path,
        "a tokenizer's folder or a hub name",
        revision=revision,
        cache_dir=None if cache_dir is None else os.fspath(cache_dir),
        local_files_only=local_files_only,
        force_download=force_download,
        token=token,
    )
    return model.folder(FILES, subfolder)


def read_settings(folder: Path, profile_name: str | None, overrides: dict[str, Any], name: str) -> Settings:
    """What the folder's files and `overrides` say.

    Raises ValueError that names the file and the trouble, TypeError for an unknown override.
    """
    check_overrides(overrides)
    config_path = folder / "tokenizer_config.json"
    config = read_json(config_path, dict) if config_path.is_file() else {}
    if not profile_name:
        with Trouble(config_path):
            _refuse_foreign(config.get("tokenizer_class"))
    noted = config.pop(PROFILE_KEY, None) or "transformers"
    if profile_name:
        profile = profile_named(profile_name)
    else:
        with Trouble(config_path):
            profile = profile_named(noted)
    found = read_vocabulary(folder, profile)
    vocabulary, padding, truncation = found.vocabulary, found.padding, found.truncation
    config.update(overrides)
    roles, extra, added = _read_tokens(folder, config_path, config, found.added, profile, overrides)
    _refuse_cut_merges(found, {token.content for token in (*roles.values(), *extra, *added.values())})
    if not profile.specials_are_added:  # The reference has specials of its own, and no others.
        roles = {**default_roles(profile), **{k: v for k, v in roles.items() if k == "pad_token" and k in overrides}}
        extra, added = [], {}
    with Trouble(found.path):
        tokens, merges, _ = vocabulary or (None, None, None)
        unknown = roles["unk_token"].content if "unk_token" in roles else None
        if tokens is not None and merges is not None:
            vocabulary = (tokens, merges, unknown if unknown in tokens else None)
        engine = vocabulary_engine(profile, vocabulary)
    with Trouble(config_path):
        length = config.get("model_max_length", config.get("max_len"))
        length = NO_LIMIT if length is None else wanted(length, (int, float), "model_max_length")
        if length < 1 or length != int(length):
            raise ValueError(f"model_max_length is {length}; expected a whole number from 1 on")
        return Settings(
            profile,
            roles,
            extra,
            added,
            vocabulary,
            int(length),
            side("padding_side", config.get("padding_side", padding)),
            side("truncation_side", config.get("truncation_side", truncation)),
            wanted(config.get("clean_up_tokenization_spaces"), (bool, type(None)), "clean_up_tokenization_spaces")
            or False,
            name,
            engine,
        )


def _refuse_cut_merges(found: Found, special: set[str]) -> None:
    """ValueError for tokens that no merge makes, since texts that have them would get other ids."""
    missing = [token for token in found.unmade if token not in special]
    if missing:
        raise ValueError(
            f"{found.merges_path} is not whole: merges are missing for {len(missing):,} of the tokens in "
            f"{found.path.name}, {some(map(repr, missing), 3)}; take both files from where they were published"
        )


def _refuse_foreign(kind: Any) -> None:
    """ValueError for a class of transformers that splits or cleans otherwise, whatever its vocabulary looks like."""
    if (
        wanted(kind, (str, type(None)), "tokenizer_class")
        and "CLIP" not in kind
        and kind not in ("PreTrainedTokenizerFast", "TokenizersBackend")
    ):
        raise ValueError(f"tokenizer_class is {kind!r}, which is not CLIP's; give profile= where CLIP's is meant")


def check_overrides(overrides: dict[str, Any]) -> None:
    """Take out what transformers' CLIP tokenizers accept and do not heed. Raises TypeError for what nobody accepts."""
    for name in ("use_fast", "trust_remote_code"):  # There is one class, and no code is ever loaded.
        overrides.pop(name, None)
    if overrides.pop("do_lower_case", True) is False:
        warn_caller("do_lower_case=False has no effect: CLIP's tokenizers lower every text, transformers' as well")
    for key in overrides:
        if key not in _OVERRIDES:
            raise TypeError(f"{key} is no argument of from_pretrained")


def _read_tokens(
    folder: Path,
    config_path: Path,
    config: dict[str, Any],
    listed: dict[int, AddedToken],
    profile: Profile,
    overrides: dict[str, Any],
) -> tuple[dict[str, AddedToken], list[AddedToken], dict[int, AddedToken]]:
    """Roles, special tokens without a role, and added tokens with the ids that the files give them.

    `added_tokens_decoder` of the configuration settles everything when it is there. Otherwise the older files count:
    special_tokens_map.json over the configuration, then added_tokens.json, then tokenizer.json's own list.
    """
    slow = profile.name == "transformers-slow"
    by_content: dict[str, AddedToken] = {}
    added: dict[int, AddedToken] = {}
    with Trouble(config_path):
        if wanted(config.get("split_special_tokens"), (bool, type(None)), "split_special_tokens"):
            raise ValueError("split_special_tokens is not supported; special tokens in a text are always found")
        _rename_extra(config)
        decoder = config.get("added_tokens_decoder")
        if decoder is not None:
            for id, fields in wanted(decoder, dict, "added_tokens_decoder").items():
                token = added_token_from_json(wanted(fields, dict, f"added_tokens_decoder[{id!r}]"))
                added[_as_id(int(id))] = by_content[token.content] = token
    if decoder is None:
        map_path = folder / "special_tokens_map.json"
        if map_path.is_file():
            with Trouble(map_path):
                for role, value in read_json(map_path, dict).items():
                    if not overrides.get(role):
                        config[role] = _as_special(value, role)
            if slow:  # transformers 5 looks at this name only when the tokens of added_tokens.json are settled.
                _rename_extra(config)
        added_path = folder / "added_tokens.json"
        if added_path.is_file():
            with Trouble(added_path):
                special = {str(config[role]) for role in NAMES if config.get(role)}
                extras = config.get("extra_special_tokens") or []
                special.update(map(str, extras.values() if isinstance(extras, dict) else extras))
                for content, id in read_json(added_path, dict).items():
                    is_special = content in special
                    token = AddedToken(content, normalized=not is_special, special=is_special)
                    if _as_id(wanted(id, int, f"the id of {content!r}")) in added:
                        raise ValueError(f"{content!r} and {added[id].content!r} have the same id {id}")
                    added[id] = token
                    if not slow:
                        by_content[content] = token
        added.update(listed)
        by_content.update({token.content: token for token in listed.values()})
    _rename_extra(config)
    with Trouble(config_path):
        roles, extra = _roles(config, by_content, profile)
    return roles, extra, added


def _rename_extra(config: dict[str, Any]) -> None:
    """Give transformers 4's name of the tokens without a role today's name."""
    if "additional_special_tokens" in config:
        older = config.pop("additional_special_tokens")
        config["extra_special_tokens"] = config.get("extra_special_tokens") or older


def _as_id(id: int) -> int:
    if not 0 <= id < 1 << 31:
        raise ValueError(f"the id {id} is out of range")
    return id


def _as_special(value: Any, role: str) -> Any:
    """A value of special_tokens_map.json: a token in full is special whatever it says itself."""
    if isinstance(value, dict) and "content" in value:
        return added_token_from_json(value, special=True)
    if isinstance(value, (list, tuple)):
        return [_as_special(item, role) for item in value]
    return wanted(value, (str, dict, type(None)), role)


def _roles(
    config: dict[str, Any], by_content: dict[str, AddedToken], profile: Profile
) -> tuple[dict[str, AddedToken], list[AddedToken]]:
    roles = default_roles(profile)
    extra = config.get("extra_special_tokens")
    extra = [] if extra is None else wanted(extra, (list, tuple, dict), "extra_special_tokens")
    slow = profile.name == "transformers-slow"
    named = {key: value for key, value in config.items() if key in NAMES or (not slow and _is_role(key, value))}
    if isinstance(extra, dict):
        named, extra = {**named, **extra}, []
    for role in dict.fromkeys((*NAMES, *named)):
        if role not in named:
            continue
        if named[role] is None:
            roles.pop(role, None)
            continue
        value = named[role]
        token = _as_token(value, role)
        if slow and isinstance(value, str) and role in ("bos_token", "eos_token", "unk_token"):
            token = AddedToken(value, normalized=True, special=True)
        roles[role] = by_content.get(token.content, token).as_special()
    for role in ("bos_token", "eos_token"):
        if role not in roles:
            raise ValueError(f"{role} is null; a CLIP tokenizer needs one")
    order = [*NAMES, *(role for role in roles if role not in NAMES)]
    name = "extra_special_tokens"
    listed = [_as_token(token, name) for token in wanted(extra, (list, tuple), name)]
    return {role: roles[role] for role in order if role in roles}, [by_content.get(t.content, t) for t in listed]


def _is_role(key: str, value: Any) -> bool:
    """Whether transformers 5 takes a key of the configuration for the name of a special token."""
    return key.endswith("_token") and isinstance(value, (str, dict, AddedToken))


def _as_token(value: Any, what: str) -> AddedToken:
    if isinstance(value, dict):
        return added_token_from_json(value)
    return as_added_token(value, what, special=isinstance(value, str))
