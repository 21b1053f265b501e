"""Hostile prompts: time proportional to length, no recursion, limits that are arguments, errors that point."""

import contextlib
import time

import pytest

from cliptok._common.collector import collector_paused
from cliptok.prompts import Planner, PromptError
from cliptok.prompts.grammars import swarmui
from cliptok.prompts.grammars.schedule import Steps, schedule
from cliptok.prompts.limits import Limits

SIZE = 100_000
HOSTILE = {
    "open": "(" * SIZE,
    "open square": "[" * SIZE,
    "close": ")" * SIZE,
    "pairs": "()" * (SIZE // 2),
    "nested": "(" * (SIZE // 2) + "a" + ")" * (SIZE // 2),
    "nested words": "(a " * (SIZE // 6) + ")" * (SIZE // 6),
    "half closed": "(" * (SIZE // 2) + "a" + ")" * (SIZE // 4),
    "weights": "(a:1.1)" * (SIZE // 7),
    "nested weights": "(a" * (SIZE // 8) + ":1.0)" * (SIZE // 8),
    "colons": ":" * SIZE,
    "colon numbers": ":1.5" * (SIZE // 4),
    "spaces": ": " + " " * SIZE + ")",
    "AND": "AND " * (SIZE // 4),
    "BREAK": "BREAK " * (SIZE // 6),
    "breaks of spaces": ("BREAK" + " " * 1000) * (SIZE // 1005),
    "schedules": "[a:b:0.5]" * (SIZE // 9),
    "nested schedules": "[" * (SIZE // 8) + "a" + ":b:3]" * (SIZE // 8),
    "alternations": "[a|b]" * (SIZE // 5),
    "networks": "<lora:" * (SIZE // 6),
    "comments": "#\n" * (SIZE // 2),
    "quotes": '"' * SIZE,
    "escaped quotes": '"' + '\\"' * (SIZE // 2) + "=",
    "backslashes": "\\" * SIZE + "(",
    "pluses": "a+" * (SIZE // 2),
    "swaps": "a.swap(" * (SIZE // 7) + ")" * 10,
    "attends": "(a).attend(" * (SIZE // 11),
    "blends": '("a",' * (SIZE // 5),
    "quoted brackets": '"(a" ' * (SIZE // 5),
}
ROOM = {"max_chunks": None, "max_depth": None}


# One dialect for each grammar.
@pytest.mark.parametrize("dialect", ["a1111", "comfyui", "compel", "lpw", "sd_embed", "sdnext", "swarmui"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_parsing_takes_time_proportional_to_length(dialect, kind):
    planner = Planner(dialect, **ROOM)
    settings = {"prompt_editing": False} if "prompt_editing" in planner.dialect.settings else {}
    if planner.dialect.grammar in ("a1111", "lpw", "sd_embed", "sdnext"):
        # Every piece's weight is a product of its own, to the last bit: the limit on depth bounds that work.
        planner = Planner(dialect, max_chunks=None)
    text = HOSTILE[kind]

    def seconds(part):
        start = time.process_time()
        with contextlib.suppress(PromptError):
            planner.parse(part, **settings)
        return time.process_time() - start

    took = []
    with collector_paused():  # it would look through what all other tests have left, as often as a tree has nodes
        for _ in range(3):  # on a busy machine CPU time is not always the same
            took.append((seconds(text[: SIZE // 4]), seconds(text)))
            if took[-1][1] < max(6 * took[-1][0], 0.2):
                return
    pytest.fail(f"a quarter and the whole took {took}")


def test_nesting_is_limited_by_default_and_the_error_points():
    for dialect in ("a1111", "forge", "lpw", "sd_embed", "sdnext", "comfyui", "compel", "swarmui"):
        with pytest.raises(
            PromptError, match=f"{dialect}: prompt 0, column 1001: more than 1000 brackets are open"
        ) as e:
            Planner(dialect).plan("(" * SIZE)
        assert (e.value.dialect, e.value.row, e.value.line, e.value.column) == (dialect, 0, 1, 1001)


@pytest.mark.parametrize(
    "kind", ["schedules", "nested schedules", "alternations", "open square", "colons", "backslashes"]
)
@pytest.mark.parametrize("dialect", ["a1111", "sdnext", "swarmui"])
def test_schedules_take_time_proportional_to_length(dialect, kind):
    text = HOSTILE[kind] + "[a:b:3]" * (SIZE // 50)

    def seconds(part):
        start = time.process_time()
        with contextlib.suppress(PromptError):
            if dialect == "swarmui":
                swarmui.schedule(part, 5, Limits(None, None))
            else:
                schedule(part, Steps(5), Limits(None, None))
        return time.process_time() - start

    took = []
    with collector_paused():
        for _ in range(3):
            took.append((seconds(text[: len(text) // 4]), seconds(text)))
            if took[-1][1] < max(6 * took[-1][0], 0.3):
                return
    pytest.fail(f"a quarter and the whole took {took}")


def test_chunks_are_limited():
    with pytest.raises(PromptError, match="takes 267 chunks of 77 ids, more than 64; shorten it, or raise max_chunks"):
        Planner("a1111").plan("cat " * 20_000)
    assert len(Planner("a1111", max_chunks=None).plan("cat " * 20_000).chunks[0][0].ids) == 267


@pytest.mark.parametrize(
    ("dialect", "text", "message"),
    [
        ("a1111", "a (cat:1.2.3) dog", r"a1111: prompt 1, column 7: '1.2.3' is no number"),
        ("forge", "(a:..)", r"'\.\.' is no number"),
        ("comfyui", "(a:nan) b", "the weight nan is not finite"),
        ("comfyui", "(a:inf) b", "the weight inf is not finite"),
        ("a1111", "(" * 950 + "a", "the weight 2.1.*e[+]39 is not finite in float32"),
        ("compel", "()", "there is nothing to encode"),
        ("compel", '("a", "b").blend(1)', "2 prompts but 1 weights"),
        ("compel", '("a", "b").blend(1, -1)', "sum to 0"),
        ("compel", '("a", "b").blend(1, 1) c', "cannot read text after .blend"),
        ("compel", '("a", "b.swap(c)").blend()', "swap.. cannot be inside"),
        ("a1111", "a cat AND a dog", "AND makes 2 prompts.*use schedule"),
        ("a1111", "a [cat:dog:0.5]", "changes from step to step here.*use schedule"),
    ],
)
def test_errors_name_dialect_row_and_place(dialect, text, message):
    with pytest.raises(PromptError, match=message) as found:
        Planner(dialect).plan(["a cat", text])
    assert found.value.row == 1 and found.value.dialect == dialect
    plan = Planner(dialect, on_error="literal").plan(["a cat", text])
    assert plan.pieces[1] == [(text, 1.0)]
    assert [warning.kind for warning in plan.warnings if warning.row == 1] == ["literal"]


def test_exclamation_marks_that_lpw_xl_crashes_on():
    with pytest.raises(PromptError, match="the encoders need different chunks"):
        Planner("lpw-xl", "sdxl").plan("a cat!!!")


def test_warnings_have_row_and_column_and_strict_raises_them():
    plan = Planner("a1111").plan(["a cat", "poster,\n4k, 16:9"])
    (warning,) = plan.warnings
    assert warning[:4] == (1, 2, 7, "weight") and "weight 9" in warning.message
    assert plan.pieces[1] == [("poster,\n4k, 16", 1.0)]
    with pytest.raises(PromptError, match="prompt 1, line 2, column 7"):
        Planner("a1111", strict=True).plan(["a cat", "poster,\n4k, 16:9"])


def test_settings_and_names_are_checked():
    with pytest.raises(TypeError, match="the dialect 'comfyui' has no setting 'comma_backtrack'"):
        Planner("comfyui").plan("a", comma_backtrack=3)
    with pytest.raises(ValueError, match="dialect is 'a1112'; choose one of"):
        Planner("a1112")
    with pytest.raises(ValueError, match="quirks has 'none'"):
        Planner("a1111", quirks="none")
    with pytest.raises(ValueError, match="negative has 2 prompts for 3"):
        Planner().plan(["a", "b", "c"], negative=["x", "y"])
    with pytest.raises(ValueError, match="prompts is empty"):
        Planner().plan([])
    with pytest.raises(ValueError, match="emphasis is 'loud'"):
        Planner().plan("a", emphasis="loud")
