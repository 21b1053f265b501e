"""The reference: what the package makes public, each name with a page, each member with a docstring.

Read by griffe from the sources, without importing them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import griffe

# Where people import from. What these list in `__all__` is public; nothing else is.
MODULES = ("cliptok", "cliptok.encoder", "cliptok.prompts", "cliptok.batch", "cliptok.data")


class Doctests(griffe.Extension):
    """Examples in docstrings become code: Markdown would take `>>>` for quotations."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        if obj.docstring and ">>> " in obj.docstring.value:
            fenced = re.sub(r"(?m)^(>>> .+(?:\n.+)*)", r"```pycon\n\1\n```", obj.docstring.value)
            obj.docstring.value = fenced


def public(package: griffe.Module) -> dict[str, list[str]]:
    """Public names by the module that they are imported from. One of several homes counts: the first."""
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for name in MODULES:
        module = package if name == package.path else package[name.removeprefix(f"{package.path}.")]
        for exported in map(str, module.exports or ()):
            home = module[exported].canonical_path if exported in module.members else f"{name}.{exported}"
            if exported.startswith("_") or home in seen:
                continue
            seen.add(home)
            found.setdefault(name, []).append(f"{name}.{exported}")
    return found


def members(value: griffe.Object | griffe.Alias) -> Iterator[griffe.Object | griffe.Alias]:
    """What users call and read of a public object: itself, and a class's methods and attributes, inherited ones too."""
    yield value
    if value.is_class:
        for name, member in sorted(value.all_members.items()):
            if name == "__call__" or not name.startswith("_"):
                yield member


def without_docstring(value: griffe.Object | griffe.Alias) -> list[str]:
    """The paths of what lacks one. An argument of the constructor that is kept is documented as that argument."""
    init = value.all_members.get("__init__") if value.is_class else None
    arguments = {parameter.name for parameter in init.parameters} if init and "dataclass" not in value.labels else ()
    return [
        f"{member.path}, {member.filepath}:{member.lineno}"
        for member in members(value)
        if not member.has_docstring and not (member.is_attribute and member.name in arguments)
    ]


def page(path: str) -> str:
    """A page's Markdown, for mkdocstrings to fill in."""
    return f"::: {path}\n"


def plain(path: str, value: griffe.Object | griffe.Alias) -> str:
    """The same for those who read Markdown: signatures and docstrings."""
    parts = [f"# {path}\n"]
    for member in (member for member in members(value) if member.docstring):
        if member is not value:
            parts.append(f"## {member.name}\n")
        if member.is_function:
            parts.append(f"```python\n{member.signature()}\n```\n")
        elif member.is_class:
            init = member.all_members.get("__init__")
            parts += [f"```python\n{init.signature().replace('__init__', member.name, 1)}\n```\n"] if init else []
        parts.append(f"{member.docstring.value}\n")
    return "\n".join(parts)


def load() -> griffe.Module:
    """The package with all aliases resolved."""
    extensions = griffe.Extensions(Doctests())
    found = griffe.load("cliptok", search_paths=["python"], extensions=extensions, resolve_aliases=True)
    assert isinstance(found, griffe.Module)
    return found
