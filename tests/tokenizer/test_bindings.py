"""Every binding of the engine, with what it cannot take: an ordinary exception or a result, and a usable engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cliptok import _engine
from cliptok._engine import Engine, Window


class Text(str):
    pass


class Number(int):
    pass


class Liar:
    """Says it is a column, an array, a number and a sequence, and is none."""

    def __len__(self) -> int:
        return 1 << 62

    def __getitem__(self, at: Any) -> Any:
        raise RuntimeError("nothing here")

    def __index__(self) -> int:
        raise RuntimeError("no number")

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return object(), 5

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        raise RuntimeError("no stream")


class Negative:
    def __len__(self) -> int:
        return -1

    def __iter__(self) -> Any:
        raise StopIteration


class Grows(list):  # type: ignore[type-arg]
    """A list that changes while it is read."""

    def __getitem__(self, at: Any) -> Any:
        self.append("b")
        return super().__getitem__(at)


def read_only() -> Any:
    array = np.zeros((2, 4), np.int64)
    array.flags.writeable = False
    return array


HOSTILE: list[Any] = [
    None, True, 0, -1, 1.5, float("nan"), 1 << 31, 1 << 63, 1 << 64, 10**30, -(10**30),
    "", "x", "\ud800", Text("a \udfff"), "a" * 70_000, b"\xff", bytearray(3), Number(5), 1j,
    [], [None], ["\ud800"], ["a", None], [1, 2], [-1], [1 << 64], [[]], [["a"]], ["a", b"b"], [Text("a")], ("a", 1),
    (), ("a",), {}, {"a": 1}, {"a": "b"}, {"a": -1}, {"a": 1 << 70}, {1: 2}, {"\ud800": 1}, set(), range(3), iter("ab"),
    object(), Ellipsis, NotImplemented, int, len, Liar(), Negative(), Grows(["a"]), memoryview(b"abc"),
    np.int64(-1), np.float32(1), np.bool_(True), np.array(5), np.array([]), np.array(["a"], object), np.array(["a"]),
    np.zeros((2, 4), np.int64), np.zeros((2, 4), np.int64).T, np.zeros((4, 8), np.int64)[::2, ::2],
    np.zeros((2, 4), ">i8"), np.ma.masked_all(3, np.int64),
    np.zeros((2, 4), np.float64), np.zeros((2, 4), complex), np.zeros((0, 4), np.int64), np.zeros((1, 2, 3), np.int64),
    np.zeros(17, np.uint8)[1:].view(np.int64), read_only(), np.broadcast_to(np.int64(1), (2, 4)),
    np.array([0, 1 << 40]), np.array([3, 1, 2]), np.array([-5, 5], np.int32), np.array([0, 2], np.int64),
    np.datetime64("2020-01-01"), np.array([(1, 2)], "i4,i8"),
]  # fmt: skip

TEXTS = ["a cat", "a dog"]
IDS, OFFSETS = np.array([1, 5, 9, 1, 9], np.int32), np.array([0, 3, 5])


def engine() -> Engine:
    return Engine("transformers", [(49407, "<|endoftext|>", True, False, False, False, False)], 49406, 49407)


def window() -> Window:
    return Window(IDS, OFFSETS, 9, 8, 16, 0)


def every_binding() -> dict[str, tuple[Callable[..., Any], list[Any], dict[str, Any]]]:
    """Each function and method of the module by its name, and arguments that it takes."""
    e, w = engine(), window()
    rows = {
        "dtype": "int64", "out": None, "mask": True, "lengths": True, "add_special_tokens": True, "pad_left": False,
        "refuse_long": False, "null_as_empty": False, "threads": 2,
    }  # fmt: skip
    token = (50_000, "<x>", False, False, False, False, False)
    return {
        "available_instructions": (_engine.available_instructions, [], {}),
        "fix_text": (_engine.fix_text, ["a"], {}),
        "clean": (_engine.clean, ["a", "open_clip"], {}),
        "compact_rows": (_engine.compact_rows, [np.zeros((2, 4), np.int64)], {}),
        "spread_rows": (_engine.spread_rows, [bytes(8), 2, True, 7, (2, 4), "int64"], {}),
        "Engine": (Engine, ["transformers", [token], 49406, 49407, None], {}),
        "Engine.with_added_tokens": (e.with_added_tokens, [[token], 49406, 49407], {}),
        "Engine.encode": (e.encode, ["a cat", True], {}),
        "Engine.offsets": (e.offsets, [TEXTS], {"add_special_tokens": True, "null_as_empty": False}),
        "Engine.rows": (e.rows, [TEXTS, 4, 0], rows),
        "Engine.row": (e.row, ["a cat", 4, 4, 0, True, False], {}),
        "Engine.pack": (
            e.pack,
            [TEXTS, "int32", 7],
            {"add_special_tokens": True, "null_as_empty": False, "threads": 2},
        ),
        "Engine.count": (e.count, [TEXTS], {"null_as_empty": False, "threads": 2}),
        "Engine.decode": (e.decode, [[320, 2368], True], {}),
        "Engine.needs_cleaning": (e.needs_cleaning, ["a"], {}),
        "Engine.id_to_token": (e.id_to_token, [320], {}),
        "Engine.token_to_id": (e.token_to_id, ["cat</w>"], {}),
        "Engine.vocabulary": (e.vocabulary, [], {}),
        "Engine.merges": (e.merges, [], {}),
        "Window": (Window, [IDS, OFFSETS, 9, 8, 16, 0], {}),
        "Window.inverse": (w.inverse, [], {}),
        "Window.lengths": (w.lengths, [], {}),
        "Window.paths": (w.paths, [0, 2], {}),
        "Window.split": (w.split, [4], {}),
        "Window.split_canonical": (w.split_canonical, [[(8, 4), (16, 8)]], {}),
        "Window.build": (w.build, [0, 2, 4], {}),
        "Window.build_canonical": (w.build_canonical, [0, 2, (64, 8), 4, 16, np.zeros(520, np.int32)], {}),
    }


def test_every_binding_is_called_here() -> None:
    found = {name for name in dir(_engine) if not name.startswith("_")}
    for kind in (Engine, Window):
        found |= {f"{kind.__name__}.{name}" for name in dir(kind) if not name.startswith("_")}
    properties = {f"Engine.{name}" for name in ("instructions", "vocabulary_size")}
    assert found - properties == set(every_binding())


@pytest.mark.parametrize("name", sorted(every_binding()))
def test_a_binding_with_what_it_cannot_take(name: str) -> None:
    call, arguments, options = every_binding()[name]
    call(*arguments, **options)
    for at in range(len(arguments)):
        for value in HOSTILE:
            attempt(call, [*arguments[:at], value, *arguments[at + 1 :]], options)
    for key in options:
        for value in HOSTILE:
            attempt(call, arguments, {**options, key: value})
    attempt(call, arguments[:-1], options)
    attempt(call, [*arguments, *HOSTILE[:5]], options)
    attempt(call, arguments, {**options, "nothing": 1})
    assert engine().encode("a cat") == [320, 2368]


def attempt(call: Callable[..., Any], arguments: list[Any], options: dict[str, Any]) -> None:
    try:
        call(*arguments, **options)
    except SystemError:
        raise
    except Exception as error:
        if "internal error" in str(error):  # a panic that was caught at the boundary
            raise
    # Anything else, such as PanicException, which is no Exception, fails the test.


def test_the_bindings_take_no_subclass() -> None:
    for kind in (Engine, Window):
        with pytest.raises(TypeError):
            type("Other", (kind,), {})
