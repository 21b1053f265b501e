"""Training data: `Collator` makes batches in the workers of a DataLoader, `ConditioningDataset` reads conditioning.

Needs the extra `torch`.
"""

from importlib.util import find_spec

from cliptok._common.extras import need

if find_spec("torch") is None:
    need("cliptok.data", "torch")

from cliptok.data.collator import Collator as Collator
from cliptok.data.conditioning import ConditioningDataset as ConditioningDataset

__all__ = ["Collator", "ConditioningDataset"]
