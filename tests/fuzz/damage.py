"""Damages: bytes changed, taken out, doubled or cut, numbers of headers replaced, and values of JSON by others."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 7, 1.5, -0.0, 1e300, 2**31, 2**63, 2**64, 10**30, -(10**30)),
    *("", "x", "\0", "\ud800", "../x", "a" * 300, "٣", [], [[]], [None], [1, 2], ["a"], {}, {"a": 1}, {"a": None}),
]
_NUMBERS = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, 1 << 60, (1 << 63) - 1, (1 << 64) - 1)


def damaged(content: bytes, pick: Random) -> bytes:
    """A file with one to three damages."""
    for _ in range(pick.choice((1, 1, 1, 2, 3))):
        structured = _json(content, pick) if pick.random() < 0.6 else None
        content = _bytes(content, pick) if structured is None else structured
    return content


def _bytes(content: bytes, pick: Random) -> bytes:
    at, other = sorted(pick.randrange(len(content) + 1) for _ in range(2))
    near = min(other, at + 40)
    number = struct.pack(pick.choice("<>") + "Q", pick.choice(_NUMBERS))[: pick.choice((1, 2, 4, 8))]
    ways = (
        lambda: content[:at] + bytes([pick.randrange(256)]) + content[at + 1 :],
        lambda: content[:at] + number + content[at + len(number) :],
        lambda: content[:at] + pick.randbytes(pick.randrange(1, 9)) + content[at:],
        lambda: content[:at] + content[near:],
        lambda: content[:near] + content[at:],
        lambda: content[:at],
        lambda: content[:at] + bytes(near - at) + content[near:],
        lambda: content[at:],
    )
    return pick.choice(ways)()


def _json(content: bytes, pick: Random) -> bytes | None:
    """The content with a value of its JSON replaced, removed or doubled; None where it is none, nor safetensors."""
    length = int.from_bytes(content[:8], "little")
    is_header = 1 < length <= len(content) - 8 and content[8:9] == b"{"
    try:
        value = json.loads(content[8 : 8 + length] if is_header else content)
    except (ValueError, RecursionError):
        return None
    places = list(_places(value))
    if not places:
        return json.dumps(pick.choice(VALUES)).encode()
    parent, key = pick.choice(places)
    way = pick.random()
    if way < 0.1:
        del parent[key]
    elif way < 0.2 and isinstance(parent, dict):
        parent[str(pick.choice(VALUES))] = parent.pop(key)
    else:
        parent[key] = pick.choice(VALUES) if way < 0.9 else pick.choice(places)[0]
    try:
        changed = json.dumps(value).encode()
    except (ValueError, RecursionError):  # It holds itself now.
        return None
    return struct.pack("<Q", len(changed)) + changed + content[8 + length :] if is_header else changed


def _places(value: Any, most: int = 3000) -> list[tuple[Any, Any]]:
    """Containers and keys of all values inside: fewer of large containers, or a vocabulary would hide the rest."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting and len(found) < most:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else list(range(len(one))) if isinstance(one, list) else []
        found += [(one, key) for key in keys[:40]]
        waiting += [one[key] for key in keys[:40]]
    return found
