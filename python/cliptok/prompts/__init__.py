"""Prompts to conditioning: the syntax that people type, in the exact semantics of the tool that they know.

`Conditioner` takes a batch of prompts to what a diffusers pipeline takes; `Planner` is its half without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cliptok.prompts.dialects import DIALECTS, Dialect, dialect_named
from cliptok.prompts.errors import PromptError, PromptWarning
from cliptok.prompts.families import FAMILIES
from cliptok.prompts.plan import Chunks, Plan
from cliptok.prompts.planner import Planner

if TYPE_CHECKING:
    from cliptok.prompts.conditioner import Conditioner as Conditioner
    from cliptok.prompts.conditioning import Conditioning as Conditioning
    from cliptok.prompts.schedules import Schedule as Schedule

__all__ = [
    "DIALECTS",
    "FAMILIES",
    "Chunks",
    "Conditioner",
    "Conditioning",
    "Dialect",
    "Plan",
    "Planner",
    "PromptError",
    "PromptWarning",
    "Schedule",
    "dialect_named",
]

_HOMES = {"Conditioner": "conditioner", "Conditioning": "conditioning", "Schedule": "schedules"}


def __getattr__(name: str) -> Any:
    # What needs torch is imported when it is asked for.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
