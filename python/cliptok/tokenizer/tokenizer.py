"""`Tokenizer`: CLIP's tokenizer, exact for its profile and fast for one text or millions."""

import os
from typing import Any

import cliptok.tokenizer.settings as making
from cliptok.tokenizer.bulk import Bulk
from cliptok.tokenizer.bulk import PackedTokens as PackedTokens
from cliptok.tokenizer.calls.options import side
from cliptok.tokenizer.profiles import bundled_ids, preset_named, profile_named
from cliptok.tokenizer.tokens.added_tokens import AddedToken, AddedTokens, as_added_token
from cliptok.tokenizer.transformers_api import TransformersApi


class Tokenizer(Bulk, TransformersApi):
    """CLIP's byte-pair tokenizer.

    `profile` names the reference whose ids it gives: `transformers`, `transformers-slow`, `open_clip` or `openai`.
    Without further arguments it has the CLIP vocabulary, which is part of the package. The special tokens default to
    the profile's own; `pad_token="!"` is what Stable Diffusion 2 and SDXL's second tokenizer have.

    Safe to share between threads, to fork, to pickle and to copy. Adding tokens changes the tokenizer; do that before
    sharing it.

    >>> tok = Tokenizer()
    >>> tok("a photo of a cat")["input_ids"]
    [49406, 320, 1125, 539, 320, 2368, 49407]
    """

    def __init__(
        self,
        profile: str = "transformers",
        *,
        bos_token: str | AddedToken | None = None,
        eos_token: str | AddedToken | None = None,
        unk_token: str | AddedToken | None = None,
        pad_token: str | AddedToken | None = None,
        extra_special_tokens: "list[str | AddedToken] | tuple[str | AddedToken, ...]" = (),
        model_max_length: int = 77,
        padding_side: str = "right",
        truncation_side: str = "right",
    ) -> None:
        found = profile_named(profile)
        roles = making.default_roles(found)
        given = {"bos_token": bos_token, "eos_token": eos_token, "unk_token": unk_token, "pad_token": pad_token}
        for name, token in given.items():
            if token is not None:
                roles[name] = as_added_token(token, name, special=True)
        extra = [as_added_token(token, "extra_special_tokens", special=True) for token in extra_special_tokens]
        self._build(
            making.Settings(
                found,
                roles,
                extra,
                model_max_length=model_max_length,
                padding_side=padding_side,
                truncation_side=truncation_side,
            )
        )

    @classmethod
    def from_preset(cls, preset: str, profile: str = "transformers") -> "Tokenizer":
        """The tokenizer of a Stable Diffusion family: `sd1`, `sd2`, `sdxl` (its first) or `sdxl-2` (its second)."""
        return cls(profile, pad_token=preset_named(preset).get("pad_token"))

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: "str | os.PathLike[str]",
        *,
        profile: str | None = None,
        subfolder: str = "",
        revision: str | None = None,
        cache_dir: "str | os.PathLike[str] | None" = None,
        local_files_only: bool = False,
        force_download: bool = False,
        token: str | bool | None = None,
        **overrides: Any,
    ) -> "Tokenizer":
        """Load a tokenizer's folder, or a hub model's through huggingface_hub.

        The folder has `tokenizer.json`, or `vocab.json` and `merges.txt`, and may have `tokenizer_config.json`,
        `special_tokens_map.json` and `added_tokens.json`. Special tokens, lengths and added tokens come from them as
        in the profile's reference. `overrides` are arguments of the constructor that win over the files. Without
        `profile` the one that `save_pretrained` noted is taken, else `transformers`.

        Raises ValueError that names the file for anything wrong inside one, FileNotFoundError when there are none,
        ImportError when a hub name needs huggingface_hub and it is not installed.
        """
        from cliptok.tokenizer.files.json_files import Trouble
        from cliptok.tokenizer.files.reading import locate, read_settings

        folder = locate(name_or_path, subfolder, revision, cache_dir, local_files_only, force_download, token)
        settings = read_settings(folder, profile, overrides, str(name_or_path))
        tok = cls.__new__(cls)
        config = folder / "tokenizer_config.json"
        with Trouble(config if config.is_file() else folder):
            tok._build(settings)
        return tok

    def save_pretrained(self, save_directory: "str | os.PathLike[str]") -> tuple[str, ...]:
        """Write files that transformers and `from_pretrained` load with equal ids, and return their paths.

        The folder is made if need be. Each file is written whole or not at all.
        """
        from cliptok.tokenizer.files.saving import save

        return save(self, save_directory)

    def _build(self, settings: making.Settings) -> None:
        profile = settings.profile
        self._profile = profile
        self._base = settings.base or making.base_engine(profile, settings.vocabulary)
        self._known = {} if settings.vocabulary else bundled_ids(profile)
        self._custom = settings.vocabulary is not None
        self._unknown = settings.vocabulary[2] if settings.vocabulary else None
        self._named = {}
        for name, token in settings.roles.items():
            self._set_named(name, token)
        self._extra = list(settings.extra)
        added = making.initial_tokens(settings, self._base_id, self.vocab_size)
        self._added_ids = added.ids()
        self.model_max_length = settings.model_max_length
        self.padding_side = side("padding_side", settings.padding_side)
        self.truncation_side = side("truncation_side", settings.truncation_side)
        self.clean_up_tokenization_spaces = settings.clean_up_tokenization_spaces
        self.name_or_path = settings.name_or_path
        if not profile.specials_are_added and (settings.added or self._extra):
            raise ValueError(f"the profile {profile.name!r} has no added tokens; use profile='transformers'")
        start, end = self.bos_token_id, self.eos_token_id
        for role, id in (("bos_token", start), ("eos_token", end)):
            if id is None:
                raise ValueError(f"{role} is {self._named.get(role)}, which has no id; a CLIP tokenizer needs one")
        if self.pad_token is not None and self._token_id(self.pad_token) is None:
            raise ValueError(f"pad_token is {self.pad_token!r}, which is no token")
        self._ends = (int(start or 0), int(end or 0))
        self._set_added(added)

    def _roles_changed(self) -> None:
        # transformers 5 fixes start and end when it is made; transformers 4's slow tokenizer looks them up anew.
        if self._profile.name == "transformers-slow":
            ends = (self.bos_token_id, self.eos_token_id)
            if ends != self._ends and ends[0] is not None and ends[1] is not None:
                self._ends = (ends[0], ends[1])
                self._set_added(self._added)

    # -- copies

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_profile": self._profile.name, "_decoder": None}
        for name in ("_base", "_engine", "_added_ids", "_spellings"):
            del state[name]
        state["_vocabulary"] = (self._base.vocabulary(), self._base.merges(), self._unknown) if self._custom else None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vocabulary = state.pop("_vocabulary")
        self.__dict__.update(state)
        self._profile = profile_named(state["_profile"])
        self._base = making.base_engine(self._profile, vocabulary)
        self._set_added(AddedTokens(*self._added))

    def __copy__(self) -> "Tokenizer":
        """A tokenizer of its own on the same vocabulary: what is added to one is not added to the other."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._named, twin._extra = dict(self._named), list(self._extra)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tokenizer":
        return self.__copy__()

    def __repr__(self) -> str:
        return (
            f"Tokenizer(profile={self._profile.name!r}, vocab_size={self.vocab_size}, tokens={len(self)},"
            f" model_max_length={self.model_max_length}, padding_side={self.padding_side!r},"
            f" special_tokens={self.special_tokens_map})"
        )

    @property
    def profile(self) -> str:
        """The name of the profile."""
        return self._profile.name
