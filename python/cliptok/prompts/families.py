"""The models that prompts condition: which encoders they have, and what each one's states and pooled output are for."""

from __future__ import annotations

from typing import NamedTuple


class Family(NamedTuple):
    """A family of models. `roles` are its CLIP encoders: "l" (ViT-L/14), "h" (ViT-H/14), "g" (bigG/14)."""

    name: str
    roles: tuple[str, ...]
    pooled: bool
    """Pooled outputs take part in the conditioning."""
    width: int | None = None
    """The states are filled with zeros to this width."""


FAMILIES = {
    family.name: family
    for family in (
        Family("sd1", ("l",), False),
        Family("sd2", ("h",), False),
        Family("sdxl", ("l", "g"), True),
        Family("sdxl-refiner", ("g",), True),
        Family("sd3", ("l", "g"), True, 4096),
        Family("flux", ("l",), True),
    )
}
"""The model families by name."""

PRESETS = {"l": "sdxl", "g": "sdxl-2", "h": "sd2"}
"""The tokenizer that diffusers' pipelines have for each encoder, as a preset of `cliptok.Tokenizer`."""


def family_named(name: str) -> Family:
    """The family of this name, or a ValueError that lists the names."""
    if name not in FAMILIES:
        raise ValueError(f"family is {name!r}; choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]
