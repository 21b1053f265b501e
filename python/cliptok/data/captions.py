"""The captions of samples: checked, and picked by chance."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def captions_of(value: Any, row: int, field: str) -> Sequence[str]:
    """The captions of one sample, one or more. Errors name the row, and the field as `field` spells it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)):
        hint = ""
        if isinstance(value, bytes):
            hint = "; decode it first"
        elif isinstance(value, Mapping):
            hint = "; name its field with `text`"
        raise TypeError(f"samples[{row}]{field} is {named(value)}; expected str or a list of str{hint}")
    if not value:
        raise ValueError(f"samples[{row}]{field} is empty; expected one caption or more")
    for at, caption in enumerate(value):
        if not isinstance(caption, str):
            raise TypeError(f"samples[{row}]{field}[{at}] is {named(caption)}; expected str")
    return value


def picked(captions: list[Sequence[str]], count: int | None, field: str) -> list[str]:
    """One caption of each sample, or `count` different ones, sample after sample."""
    import torch

    wanted = count or 1
    for row, several in enumerate(captions):
        if len(several) < wanted:
            raise ValueError(f"samples[{row}]{field} has {len(several)} captions; expected {wanted} or more")
    # torch's own chance is what a DataLoader seeds for its workers.
    chances = torch.rand(len(captions), wanted, dtype=torch.float64, device="cpu").tolist()
    found = []
    for several, draws in zip(captions, chances, strict=True):
        left = list(several)
        found += [left.pop(int(draw * len(left))) for draw in draws]
    return found


def in_order(captions: list[Sequence[str]], ragged: str, field: str) -> tuple[list[str], "npt.NDArray[np.bool_]"]:
    """All captions, sample after sample, each with as many as the one with most, and which of them are captions.

    Raises ValueError where samples have different numbers of captions and `ragged` is "error".
    """
    import numpy as np

    most = max(map(len, captions))
    for row, several in enumerate(captions):
        if ragged == "error" and len(several) != len(captions[0]):
            raise ValueError(
                f"samples[{row}]{field} has {len(several)} captions, and samples[0] {len(captions[0])}; expected as"
                " many, or ragged='pad'"
            )
    texts = [text for several in captions for text in (*several, *[""] * (most - len(several)))]
    counts = np.array([len(several) for several in captions])
    return texts, (np.arange(most) < counts[:, None]).reshape(-1)


def named(value: object) -> str:
    """What a value is, for an error."""
    return "None" if value is None else f"of type {type(value).__name__}"
