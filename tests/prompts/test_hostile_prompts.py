"""Hostile prompts: time proportional to length, no recursion, limits that are arguments, errors that point."""

import contextlib
import time

import pytest

from cliptok._common.collector import collector_paused
from cliptok.prompts import Planner, PromptError
from cliptok.prompts.errors import place, places
from cliptok.prompts.grammars import swarmui
from cliptok.prompts.grammars.schedule import Steps, schedule
from cliptok.prompts.limits import Limits
from cliptok.prompts.schedules import make_schedule

SIZE = 100_000
HOSTILE = {  # for a size: the beginning of a text that closes its brackets would be another kind, one that does not
    "open": lambda size: "(" * size,
    "open square": lambda size: "[" * size,
    "close": lambda size: ")" * size,
    "pairs": lambda size: "()" * (size // 2),
    "nested": lambda size: "(" * (size // 2) + "a" + ")" * (size // 2),
    "nested words": lambda size: "(a " * (size // 6) + ")" * (size // 6),
    "half closed": lambda size: "(" * (size // 2) + "a" + ")" * (size // 4),
    "weights": lambda size: "(a:1.1)" * (size // 7),
    "nested weights": lambda size: "(a" * (size // 8) + ":1.0)" * (size // 8),
    "colons": lambda size: ":" * size,
    "colon numbers": lambda size: ":1.5" * (size // 4),
    "spaces": lambda size: ": " + " " * size + ")",
    "AND": lambda size: "AND " * (size // 4),
    "BREAK": lambda size: "BREAK " * (size // 6),
    "breaks of spaces": lambda size: ("BREAK" + " " * 1000) * (size // 1005),
    "schedules": lambda size: "[a:b:0.5]" * (size // 9),
    "nested schedules": lambda size: "[" * (size // 8) + "a" + ":b:3]" * (size // 8),
    "alternations": lambda size: "[a|b]" * (size // 5),
    "networks": lambda size: "<lora:" * (size // 6),
    "comments": lambda size: "#\n" * (size // 2),
    "quotes": lambda size: '"' * size,
    "escaped quotes": lambda size: '"' + '\\"' * (size // 2) + "=",
    "backslashes": lambda size: "\\" * size + "(",
    "pluses": lambda size: "a+" * (size // 2),
    "swaps": lambda size: "a.swap(" * (size // 7) + ")" * 10,
    "attends": lambda size: "(a).attend(" * (size // 11),
    "blends": lambda size: '("a",' * (size // 5),
    "quoted brackets": lambda size: '"(a" ' * (size // 5),
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
    quarter, whole = (HOSTILE[kind](size) for size in (SIZE // 4, SIZE))

    def seconds(text):
        start = time.process_time()
        with contextlib.suppress(PromptError):
            planner.parse(text, **settings)
        return time.process_time() - start

    took = []
    with collector_paused():  # it would look through what all other tests have left, as often as a tree has nodes
        for _ in range(3):  # on a busy machine CPU time is not always the same
            took.append((seconds(quarter), seconds(whole)))
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
    quarter, whole = (HOSTILE[kind](size) + "[a:b:3]" * (size // 50) for size in (SIZE // 4, SIZE))

    def seconds(text):
        start = time.process_time()
        with contextlib.suppress(PromptError):
            if dialect == "swarmui":
                swarmui.schedule(text, 5, Limits(None, None))
            else:
                schedule(text, Steps(5), Limits(None, None))
        return time.process_time() - start

    took = []
    with collector_paused():
        for _ in range(3):
            took.append((seconds(quarter), seconds(whole)))
            if took[-1][1] < max(6 * took[-1][0], 0.3):
                return
    pytest.fail(f"a quarter and the whole took {took}")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1.5e308", "1" * 400])
@pytest.mark.parametrize("old", [False, True])
def test_a_step_that_is_not_finite(number, old):
    """The web UI stops there too, with OverflowError."""
    text = f"a [b:[c:d:{number}]:3]"
    if number == "1.5e308" and old:
        assert schedule(text, Steps(20, old=old), Limits()) == schedule("a [b:[c:d:30]:3]", Steps(20), Limits())
        return
    with pytest.raises(PromptError, match=f"the step {number[:20]} is not finite") as found:
        schedule(text, Steps(20, old=old), Limits())
    assert found.value.start == 5


def test_a_weight_of_a_part_that_is_not_finite():
    with pytest.raises(PromptError, match="a1111: column 6: the weight inf is not finite"):
        make_schedule(Planner("a1111"), None, f"a AND b :{'1' * 400}", 5)


@pytest.mark.parametrize("steps", [0, -1, 1001, 1 << 63, None, 1.5, "5", True])
def test_counts_of_steps(steps):
    with pytest.raises((TypeError, ValueError), match=r"^steps "):
        make_schedule(Planner("a1111"), None, "[a|b]", steps)


@pytest.mark.parametrize("character", ["\n", "\t", "\0", "\x1b", "\u2028", "\u202e", "\ud800"])
def test_errors_are_one_line_that_can_be_printed(character):
    with pytest.raises(PromptError, match="changes from step to step") as found:
        Planner("a1111").plan(f"a{character}[b:c{character}:5]".replace("\n:5", "\t:5"))
    assert str(found.value).isprintable()


def test_many_places_of_a_long_text():
    """The lines of warnings were counted from the beginning of the text for each one."""
    text = "a:1.5)\n" * 500_000
    started = time.process_time()
    found = list(places(text, range(1, len(text), 100)))
    assert time.process_time() - started < 2 and found[-1] == place(text, len(text) - 99)
    plan = Planner("lpw", max_chunks=None).plan(text[:7000])
    assert [warning[1:3] for warning in plan.warnings[:1000]] == [(row + 1, 2) for row in range(1000)]
    assert str(Planner("a1111").parse("(a)\nb (c)")).splitlines()[-1] == "    2:4  1.1 'c'"


@pytest.mark.parametrize("text", ["", "\n", "ab", "a\nb\n\nc", "\n\n"])
def test_places(text):
    for start in range(len(text) + 1):
        before = text[:start]
        assert place(text, start) == (before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1)
    assert list(places(text, range(len(text) + 1))) == [place(text, start) for start in range(len(text) + 1)]


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
