"""The four profiles and the presets, as data. A profile names a reference whose every detail is kept."""

from typing import Final, NamedTuple


class Profile(NamedTuple):
    """What a profile fixes beyond the engine's own rules."""

    name: str
    start: str
    end: str
    pad: str
    specials_are_added: bool
    """Start and end are added tokens, as in transformers. Otherwise the engine itself finds them in the text."""
    refuses_long: bool
    """`encode_batch` raises for a text over `max_length` unless told to truncate."""
    strips_decoded: bool


def bundled_ids(profile: Profile) -> dict[str, int]:
    """Ids of the bundled vocabulary that every tokenizer asks for: known here, they need no table of all names."""
    return {profile.start: 49406, profile.end: 49407, "!": 0}


_TRANSFORMERS_SPECIALS = ("<|startoftext|>", "<|endoftext|>", "<|endoftext|>")

PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile("transformers", *_TRANSFORMERS_SPECIALS, True, False, True),
        Profile("transformers-slow", *_TRANSFORMERS_SPECIALS, True, False, True),
        # Both pad with id 0, which happens to be the token `!`.
        Profile("open_clip", "<start_of_text>", "<end_of_text>", "!", False, False, False),
        Profile("openai", "<|startoftext|>", "<|endoftext|>", "!", False, True, False),
    )
}

PRESETS: Final[dict[str, dict[str, str]]] = {
    "sd1": {},
    "sd2": {"pad_token": "!"},
    "sdxl": {},
    "sdxl-2": {"pad_token": "!"},
    "sd3": {},
    "sd3-2": {"pad_token": "!"},
    "flux": {},
}
"""Constructor arguments of the families' CLIP tokenizers. `sdxl` is SDXL's first, `sdxl-2` its second, as for `sd3`."""

DEFAULT_LENGTH: Final = 77
"""The positions of CLIP's text towers."""
NO_LIMIT: Final = int(1e30)
"""`model_max_length` of a tokenizer whose files give none, as in transformers."""


def is_unlimited(length: float) -> bool:
    """Whether a `model_max_length` stands for none, by transformers' rule."""
    return length > NO_LIMIT // 10**10


def profile_named(name: str) -> Profile:
    """The profile of this name, or a ValueError that lists the names."""
    try:
        return PROFILES[name]
    except (KeyError, TypeError):
        raise ValueError(f"profile is {name!r}; choose one of {', '.join(PROFILES)}") from None


def preset_named(name: str) -> dict[str, str]:
    """Constructor arguments of the preset, or a ValueError that lists the names."""
    try:
        return PRESETS[name]
    except (KeyError, TypeError):
        raise ValueError(f"preset is {name!r}; choose one of {', '.join(PRESETS)}") from None
