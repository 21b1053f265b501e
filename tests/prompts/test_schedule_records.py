"""Schedules and ANDs as the web UI has recorded them."""

import json

from cliptok.prompts.grammars.compose import split_and
from cliptok.prompts.grammars.schedule import Steps, schedule
from cliptok.prompts.limits import Limits
from support.prompt_records import FOLDER, prompts

STEPS = {
    "steps10": Steps(10),
    "steps10-old": Steps(10, old=True),
    "steps20": Steps(20),
    "steps10-hires10": Steps(10, 10, True),
    "steps20-hires8": Steps(8, 20, True),
}


def recorded():
    prompts()  # skips, or fails in CI, where there are none
    return json.loads((FOLDER / "a1111-text.json").read_text())


def test_schedules():
    for text, passes in recorded()["schedules"].items():
        for name, expected in passes.items():
            assert [list(entry) for entry in schedule(text, STEPS[name], Limits())] == expected, (text, name)


def test_and():
    for text, expected in recorded()["and"].items():
        assert [[part.text, part.weight] for part in split_and(text)] == expected, text
