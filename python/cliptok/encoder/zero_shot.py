"""The classifier matrix of zero-shot classification, as open_clip's `build_zero_shot_classifier` makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptok.encoder.encode import WINDOW, encode

if TYPE_CHECKING:
    from cliptok.encoder.model import TextModel

Template = str | Callable[[str], str]


def zero_shot(
    encoder: TextModel,
    class_names: Sequence[str],
    templates: Sequence[Template],
    tokenizer: Any = None,
    **kwargs: Any,
) -> Tensor:
    """The (classes, d) matrix W of unit rows, in the encoder's dtype: `image_embeds @ W.T` are the class scores.

    A template is a format string with `{}` for the class name, or a function of it. Per class: every template's
    embedding at unit length, their mean, at unit length again. (open_clip returns the transpose.) Further arguments go
    to `encode`. Raises ValueError for no classes, no templates, or a format string without `{}`.
    """
    if isinstance(class_names, str) or not len(class_names):
        raise ValueError("class_names must be a sequence of at least one name")
    if isinstance(templates, str) or not len(templates):
        raise ValueError("templates must be a sequence of at least one template")
    for row, template in enumerate(templates):
        if isinstance(template, str) and template.format("x") == template.format("y"):
            raise ValueError(f"templates[{row}] has no place for the class name: {template!r}; write {{}} there")
    if "normalize" in kwargs:
        raise TypeError("zero_shot always normalizes; leave normalize out")

    def prompts() -> Iterator[str]:
        for name in class_names:
            for template in templates:
                yield template.format(name) if isinstance(template, str) else template(name)

    # Whole classes per window, so that each window reduces to its classes and memory stays bounded.
    classes = max(kwargs.pop("window", WINDOW) // len(templates), 1)
    rows = []
    for block in encode(encoder, prompts(), tokenizer, normalize=True, window=classes * len(templates), **kwargs):
        mean = block.unflatten(0, (-1, len(templates))).float().mean(dim=1)
        rows.append(F.normalize(mean, dim=-1).to(encoder.dtype))
    return torch.cat(rows)
