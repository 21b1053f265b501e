"""ImageNet's class names and prompt templates, as OpenAI chose them for CLIP's zero-shot classification.

From the notebook `Prompt_Engineering_for_ImageNet.ipynb` of https://github.com/openai/CLIP, in the version that
open_clip keeps in `zero_shot_metadata.py`. Both are under the MIT license; the package has it as `LICENSE-CLIP`.

>>> from cliptok.data.imagenet import CLASS_NAMES, TEMPLATES
>>> weights = encoder.zero_shot(CLASS_NAMES, TEMPLATES)  # doctest: +SKIP
"""

from importlib.resources import files


def _lines(name: str) -> tuple[str, ...]:
    return tuple((files("cliptok.data") / name).read_text(encoding="utf-8").splitlines())


CLASS_NAMES = _lines("imagenet_classes.txt")
"""The 1,000 classes of ILSVRC-2012 in the order of their ids."""
TEMPLATES = _lines("imagenet_templates.txt")
"""The 80 templates, with `{}` in the place of the class name."""
SIMPLE_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""The seven templates that do nearly as well, as the notebook found."""
