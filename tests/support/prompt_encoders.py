"""The records' encoders, rebuilt from integers, and conditioners on them."""

from functools import cache
from typing import Any

import numpy as np
import torch

from cliptok import TextEncoder
from cliptok.prompts import Conditioner
from cliptok.prompts.families import FAMILIES
from support.prompt_records import CASES, PARTS, embeddings, own_tokenizers, recipe

TOLERANCE = 2e-5
"""Of the largest value."""


@cache
def encoder(model: str, layers: int | None = None) -> TextEncoder:
    weights = {name: torch.from_numpy(value) for name, value in recipe().state_dict(model, layers=layers).items()}
    config = recipe().CONFIGS[model]
    return TextEncoder.from_pretrained(weights, heads=config["heads"], activation=config["act"])


def conditioner(name: str, **options: Any) -> Conditioner:
    """For one record file."""
    case = CASES[name]
    roles, own = FAMILIES[case.family].roles, own_tokenizers(case)
    dialect, parts = PARTS.get(case.dialect, (case.dialect, {}))
    made = Conditioner(
        [encoder(role) for role in roles],
        [own[role] for role in roles],
        family=case.family,
        dialect=dialect,
        sd2_full_depth=True,
        **parts,
        **options,
    )
    for word, count in embeddings(name).items():
        made.add_embedding(word, {role: torch.from_numpy(recipe().embedding(word, count, role)) for role in roles})
    return made


def compare(ours: torch.Tensor | None, recorded: np.ndarray | None, where: str, signature: bool = True) -> int:
    """Assert that a tensor of one prompt is what was recorded; 1 if there was something to compare."""
    if recorded is None:
        return 0
    assert ours is not None, where
    values = ours.numpy()
    if signature:
        values = recipe().signature(values)
    assert values.shape == recorded.shape, where
    difference = np.abs(values - recorded).max() / np.abs(recorded).max()
    assert difference < TOLERANCE, f"{where}: {difference}"
    return 1
