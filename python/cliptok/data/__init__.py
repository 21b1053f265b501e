"""Training data: `Collator` makes batches in the workers of a torch DataLoader."""

from cliptok.data.collator import Collator as Collator

__all__ = ["Collator"]
