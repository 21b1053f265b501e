"""The dialects by name. `docs/prompts/` has a page for each."""

from __future__ import annotations

from cliptok.prompts.dialects import a1111, comfyui, compel, pipelines
from cliptok.prompts.dialects.dialect import Dialect

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect for module in (pipelines, a1111, comfyui, compel) for dialect in module.DIALECTS
}
"""The dialects by name."""


def dialect_named(name: str | Dialect) -> Dialect:
    """The dialect of this name, or a ValueError that lists the names."""
    if isinstance(name, Dialect):
        return name
    if name not in DIALECTS:
        raise ValueError(f"dialect is {name!r}; choose one of {', '.join(DIALECTS)}")
    return DIALECTS[name]


__all__ = ["DIALECTS", "Dialect", "dialect_named"]
