"""Prompts that change from step to step, and prompts of several parts: what is used when, and how to sample with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cliptok.encoder.config import whole_number
from cliptok.prompts.conditioning import Conditioning
from cliptok.prompts.errors import PromptError
from cliptok.prompts.grammars import swarmui
from cliptok.prompts.grammars.compose import Subprompt, split_and
from cliptok.prompts.grammars.schedule import Steps, schedule
from cliptok.prompts.limits import check_weight
from cliptok.prompts.preparing import cleaned
from cliptok.prompts.settings import settings_for
from cliptok.prompts.tree import Network

if TYPE_CHECKING:
    from cliptok.prompts.plan import Plan
    from cliptok.prompts.planner import Planner


MAX_STEPS = 1000
"""The most steps of a schedule, as many as diffusion models are trained with. An alternation makes a text for each."""


@dataclasses.dataclass
class PartSchedule:
    """One part between ANDs: its weight, its texts, and the conditioning of each step."""

    weight: float
    texts: list[tuple[int, str]]
    """Pairs of a step, counted from 1, and the text up to and with that step."""
    conditionings: list[Conditioning]
    """The distinct ones, each for a single prompt with its negative."""
    which: list[int]
    """For each step, counted from 0, the number of its conditioning."""

    def at(self, step: int) -> Conditioning:
        """What step `step`, counted from 0, uses."""
        return self.conditionings[self.which[step]]


@dataclasses.dataclass
class Schedule:
    """A prompt over the steps of one pass. Unpack `arguments()` into a diffusers pipeline."""

    steps: int
    """Steps of the pass."""
    parts: list[PartSchedule]
    """What is combined, each with its conditionings."""
    networks: list[Network]
    """The extra networks that the prompt asks for."""

    @property
    def weights(self) -> list[float]:
        """Of the parts, as `combine` takes them."""
        return [part.weight for part in self.parts]

    @property
    def texts(self) -> list[tuple[int, str]]:
        """Of the only part; ValueError if there are several."""
        return self._only().texts

    @property
    def changes(self) -> list[int]:
        """The steps, counted from 0, that use another conditioning than the step before, of the only part."""
        which = self._only().which
        return [step for step in range(1, self.steps) if which[step] != which[step - 1]]

    def at(self, step: int) -> Conditioning:
        """What step `step`, counted from 0, uses, of the only part; ValueError if there are several."""
        return self._only().at(step)

    def arguments(self) -> dict[str, Any]:
        """For `pipe(**schedule.arguments())`: the first conditioning, the number of steps and the callback.

        Raises ValueError for several parts: a pipeline predicts the noise of one. Predict each part's and `combine`.
        """
        first = self.at(0)
        names = ["prompt_embeds"] if first.pooled_prompt_embeds is None else ["prompt_embeds", "add_text_embeds"]
        return {
            **first,
            "num_inference_steps": self.steps,
            "callback_on_step_end": self.callback_on_step_end,
            "callback_on_step_end_tensor_inputs": names,
        }

    def callback_on_step_end(self, pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """A diffusers pipeline's callback: when the next step uses another conditioning, it puts it in place."""
        following = step + 1
        if following >= self.steps or following not in self.changes:
            return tensors
        found = self.at(following)
        for name, positive, negative in (
            ("prompt_embeds", found.prompt_embeds, found.negative_prompt_embeds),
            ("add_text_embeds", found.pooled_prompt_embeds, found.negative_pooled_prompt_embeds),
        ):
            old = tensors.get(name)
            if old is not None and positive is not None:
                tensors[name] = _like(old, positive, negative, bool(pipe.do_classifier_free_guidance))
        return tensors

    def _only(self) -> PartSchedule:
        if len(self.parts) > 1:
            raise ValueError(f"the prompt has {len(self.parts)} parts; use parts[i] and combine()")
        return self.parts[0]


def _like(old: Tensor, positive: Tensor, negative: Tensor | None, guided: bool) -> Tensor:
    """As a pipeline lays out what it conditions on: negatives before positives, each as often as there are images."""
    sides = [positive] if not guided or negative is None else [negative, positive]
    images = len(old) // len(sides)
    rows = [side.repeat_interleave(images // len(side), dim=0) for side in sides]
    return torch.cat(rows).to(old.device, old.dtype)


def combine(unconditional: Tensor, parts: Sequence[Tensor], weights: Sequence[float], guidance_scale: float) -> Tensor:
    """The web UI's noise prediction for a prompt with AND: `u + sum(w * g * (c - u))` over parts c of weight w.

    All tensors have one shape. Weights are not normalized, and may be negative. Raises ValueError for other counts.
    """
    if len(parts) != len(weights) or not parts:
        raise ValueError(f"there are {len(parts)} parts and {len(weights)} weights; give one weight for each part")
    result = unconditional.clone()
    for part, weight in zip(parts, weights, strict=True):
        result += (part - unconditional) * (weight * guidance_scale)
    return result


def make_schedule(
    planner: Planner,
    encode: Callable[[Plan], Conditioning],
    prompt: str,
    steps: int,
    hires_steps: int | None = None,
    *,
    negative: str | bool | None = None,
    old: bool | None = None,
    **settings: Any,
) -> Schedule:
    """The schedule of the first pass of `steps`, or with `hires_steps` that of the second pass after it.

    `old` takes the rules before 1.6 (a number below 1 is a fraction); SD.Next and sd_embed have them. All texts go
    through the encoders in one pass, and the texts of a part are one batch, as in the web UI. Raises PromptError as
    `plan`, ValueError for a count of steps below 1 or above MAX_STEPS and for a dialect without schedules.
    """
    for name, count in (("steps", steps), ("hires_steps", hires_steps)):
        if count is not None or name == "steps":
            whole_number(count, name, 1, MAX_STEPS)
    rules = planner.dialect.schedules
    if rules is None:
        raise ValueError(f"the dialect {planner.dialect.name!r} has no schedules; use plan() and encode()")
    known = settings_for(planner.dialect, settings)
    text, networks, _ = cleaned(prompt, known)
    old = rules == "old" if old is None else old
    counted = Steps(steps, old=old) if hires_steps is None else Steps(hires_steps, steps, True, old)
    subprompts = split_and(text, planner.fixed) if rules == "a1111" else [Subprompt(text, 1.0, 0, False)]
    if rules == "swarmui" and (hires_steps is not None or old):
        raise ValueError("SwarmUI's schedules have no second pass and no old rules; leave hires_steps and old out")

    def read_schedule(text: str) -> list[tuple[int, str]]:
        if rules == "swarmui":
            return swarmui.schedule(text, steps, planner.limits)
        return schedule(text, counted, planner.limits)

    try:
        for part in subprompts:
            check_weight(part.weight, text, part.start)
        texts = [read_schedule(part.text) for part in subprompts]
        against = [(counted.steps, "")]
        if isinstance(negative, str):
            against = read_schedule(cleaned(negative, known)[0])
    except PromptError as error:
        raise error.located(planner.dialect.name, None, prompt) from None
    if "prompt_editing" in known:
        # What is planned now has been split and scheduled, and cleaned, already.
        editing = ("prompt_editing", "comments", "extra_networks")
        settings = {**settings, **{name: False for name in editing if name in known}}
    if len(subprompts) > 1 and "fill" not in settings:
        settings["fill"] = "last"  # the web UI stacks parts of unequal length by repeating the last state
    plan = planner.plan(
        [entry for each in texts for _, entry in each],
        negative=[entry for _, entry in against] if isinstance(negative, str) else negative,
        groups=[number for number, each in enumerate(texts) for _ in each],
        paired=False,
        **settings,
    )
    encoded = encode(plan)
    parts, first = [], 0
    for part, each in zip(subprompts, texts, strict=True):
        parts.append(_part(part.weight, each, against, encoded, first, counted.steps))
        first += len(each)
    return Schedule(counted.steps, parts, networks)


def _part(
    weight: float,
    texts: list[tuple[int, str]],
    against: list[tuple[int, str]],
    encoded: Conditioning,
    first: int,
    steps: int,
) -> PartSchedule:
    conditionings: list[Conditioning] = []
    pairs: dict[tuple[str, str], int] = {}
    which: list[int] = []
    for step in range(1, steps + 1):
        at, other = (next(i for i, (end, _) in enumerate(each) if step <= end) for each in (texts, against))
        pair = texts[at][1], against[other][1]
        if pair not in pairs:
            pairs[pair] = len(conditionings)
            conditionings.append(_row(encoded, first + at, other))
        which.append(pairs[pair])
    return PartSchedule(weight, texts, conditionings, which)


def _row(encoded: Conditioning, positive: int, negative: int) -> Conditioning:
    def pick(name: str, tensor: Tensor) -> Tensor:
        at = min(negative, len(tensor) - 1) if name.startswith("negative") else positive
        return tensor[at : at + 1]

    return Conditioning(**{name: pick(name, tensor) for name, tensor in encoded.items()})
