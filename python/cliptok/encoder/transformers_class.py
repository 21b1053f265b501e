"""Encoders that are instances of transformers' class too, since libraries ask for that class.

diffusers saves and type-checks the parts of a pipeline by transformers' `PreTrainedModel`, and its LoRA loader calls
methods that transformers mixes into that. The class made here has our encoder as its first base, so that whatever both
have is ours, and transformers' class as its second.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from torch import nn


def models_are_imported() -> bool:
    """Whether this process has transformers' models, so that something in it may ask for their class."""
    return "transformers.modeling_utils" in sys.modules


@functools.cache
def class_for(ours: type[nn.Module], projected: bool) -> type[nn.Module]:
    """A subclass of `ours` and of `CLIPTextModel` or `CLIPTextModelWithProjection`. Imports transformers.

    It has the latter's name and module: diffusers writes them into a pipeline's `model_index.json`, by which plain
    diffusers then loads what was saved.
    """
    import transformers

    theirs = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel

    def reduce(self: nn.Module, protocol: Any) -> Any:
        return _restore, (ours, projected), self.__dict__  # by its name pickle would find transformers' own

    def name(self: nn.Module) -> str:
        return ours.__name__

    members = {"__module__": theirs.__module__, "__doc__": ours.__doc__, "__reduce_ex__": reduce, "_get_name": name}
    return type(theirs.__name__, (ours, theirs), members)


def _restore(ours: type[nn.Module], projected: bool) -> nn.Module:
    kind = class_for(ours, projected)  # type: ignore[arg-type]
    return kind.__new__(kind)
