"""Schedules and ANDs as the web UI has recorded them."""

import json

import numpy as np
import pytest

from cliptok.prompts import PromptError
from cliptok.prompts.grammars import swarmui
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


def test_swarmuis_schedules():
    prompts()
    content = json.loads((FOLDER / "swarm-text.json").read_text())
    for text, passes in content["prompts"].items():
        if isinstance(passes, str) or "Error" in str(passes.get("steps10")):
            with pytest.raises(PromptError, match="is no number"):
                swarmui.schedule(text, 10, Limits())
            continue
        for steps in (10, 20):
            entries, encoded = passes[f"steps{steps}"]
            ours = swarmui.schedule(text, steps, Limits())
            starts = [0, *(end for end, _ in ours[:-1])]
            assert [entry[0] for entry in entries] == [found.split("<break>")[0] for _, found in ours], text
            assert [entry[1] for entry in entries] == [len(found.split("<break>")) for _, found in ours], text
            if len(ours) > 1:  # SwarmUI's overlap by a thousandth
                ends = [end for end, _ in ours]
                spans = [[a / steps - 0.001, b / steps + 0.001] for a, b in zip(starts, ends, strict=True)]
                np.testing.assert_allclose([e[2:] for e in entries], [*spans[:-1], [spans[-1][0], 1]], atol=1e-9)
            sections = dict.fromkeys(found for _, found in ours)
            assert [part for found in sections for part in found.split("<break>")] == encoded, text
