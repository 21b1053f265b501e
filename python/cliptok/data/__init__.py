"""Training data: `Collator` makes batches in the workers of a DataLoader, `ConditioningDataset` reads conditioning.

Needs the extra `torch`.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cliptok._common.extras import need

if find_spec("torch") is None:
    need("cliptok.data", "torch")

from cliptok.data.collator import Collator as Collator

if TYPE_CHECKING:
    from cliptok.data.conditioning import ConditioningDataset as ConditioningDataset

__all__ = ["Collator", "ConditioningDataset"]


def __getattr__(name: str) -> Any:
    if name != "ConditioningDataset":
        raise AttributeError(f"module 'cliptok.data' has no attribute {name!r}")
    # It is a torch Dataset: a worker that unpickles a collator has no need of it.
    from cliptok.data.conditioning import ConditioningDataset

    return ConditioningDataset
