"""Hub names whose tokenizer is the bundled one, for where the hub's files cannot be had."""

import functools
import logging

_CLIP = {"": "sd1"}
_SD1, _SD2 = {"tokenizer": "sd1"}, {"tokenizer": "sd2"}
_SDXL, _SD3 = {"tokenizer": "sdxl", "tokenizer_2": "sdxl-2"}, {"tokenizer": "sd3", "tokenizer_2": "sd3-2"}

_PRESETS: dict[str, dict[str, str]] = {
    **{f"openai/clip-vit-{size}": _CLIP for size in ("base-patch16", "base-patch32")},
    **{f"openai/clip-vit-{size}": _CLIP for size in ("large-patch14", "large-patch14-336")},
    **{f"CompVis/stable-diffusion-v1-{number}": _SD1 for number in (1, 2, 3, 4)},
    "runwayml/stable-diffusion-v1-5": _SD1,
    "stable-diffusion-v1-5/stable-diffusion-v1-5": _SD1,
    **{f"stabilityai/stable-diffusion-2{kind}": _SD2 for kind in ("", "-base", "-1", "-1-base")},
    **{f"stabilityai/{name}": _SDXL for name in ("stable-diffusion-xl-base-1.0", "sdxl-turbo")},
    "stabilityai/stable-diffusion-xl-refiner-1.0": {"tokenizer_2": "sdxl-2"},
    "stabilityai/stable-diffusion-3-medium-diffusers": _SD3,
    **{f"stabilityai/stable-diffusion-3.5-{size}": _SD3 for size in ("medium", "large", "large-turbo")},
    **{f"black-forest-labs/FLUX.1-{kind}": {"tokenizer": "flux"} for kind in ("dev", "schnell")},
}
"""For each model the preset of each of its subfolders with a CLIP tokenizer."""


def known_preset(name: str, subfolder: str) -> str | None:
    """The preset that a published model's tokenizer is, None for a name that is not known."""
    return _PRESETS.get(name, {}).get(subfolder.strip("/"))


@functools.cache
def say_once(name: str, reason: str) -> None:
    """Log that the bundled vocabulary stands for a model's files, and why."""
    logging.getLogger("cliptok").warning(
        "%s: its tokenizer is the one that cliptok brings along, since %s", name, reason
    )
