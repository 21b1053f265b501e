"""One prompt from its text to its tree: what comes before the grammar, the grammar, and the warnings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cliptok.prompts.errors import PromptError
from cliptok.prompts.grammars import compose, plain, read, schedule, swarmui
from cliptok.prompts.limits import HALF_LARGEST, LARGEST, Limits, check_weight
from cliptok.prompts.tree import Network, Notice, Parsed, Pieces


def prepared(
    text: str,
    grammar: str,
    settings: Mapping[str, Any],
    limits: Limits,
    fixed: Collection[str],
    negative: bool,
    literal: bool,
) -> Parsed:
    """The tree of a prompt. `literal` takes as plain text what cannot be read.

    Raises PromptError for that otherwise, for weights that are not finite, and for prompts that are more than one
    conditioning: with AND, or with a schedule.
    """
    try:
        return _prepared(text, grammar, settings, limits, fixed, negative)
    except PromptError as error:
        if not literal:
            raise
        parsed = plain(text)
        parsed.notices.append(Notice(error.start or 0, "literal", f"taken as plain text: {error.message}"))
        return parsed


def _prepared(
    text: str, grammar: str, settings: Mapping[str, Any], limits: Limits, fixed: Collection[str], negative: bool
) -> Parsed:
    source, networks, notices = cleaned(text, settings)
    if settings.get("prompt_editing") and grammar == "swarmui":
        _refuse_edit(swarmui.first_edit(source, limits), source)
        source = swarmui.plain(source)
    elif settings.get("prompt_editing"):
        source, more = _single(source, limits, fixed, negative)
        notices += more
    parsed = read(grammar, source, settings, limits, fixed, negative)
    most = HALF_LARGEST if settings.get("half_weights") and not settings.get("two_prompts") else LARGEST
    for part in parsed.parts:
        check_weight(part.weight, source, 0)
        for member in part.members:
            check_weight(member.weight, source, 0)
            for number, weight in enumerate(member.pieces.weights):
                if not -most <= weight <= most:
                    check_weight(weight, source, member.pieces.spans[number][0], most)
    if settings.get("mean_norm"):
        _normalize(parsed)
    parsed.networks = [*networks, *parsed.networks]
    parsed.notices = [*notices, *parsed.notices]
    return parsed


def cleaned(text: str, settings: Mapping[str, Any]) -> tuple[str, list[Network], list[Notice]]:
    """The text without comments and extra networks, where the settings ask for that."""
    notices: list[Notice] = []
    networks: list[Network] = []
    if settings.get("comments") and "#" in text:
        notices.append(Notice(text.index("#"), "comment", "'#' and the rest of its line are a comment"))
        text = compose.without_comments(text)
    if settings.get("extra_networks") and "<" in text:
        text, networks = compose.without_networks(text)
    return text, networks, notices


def _normalize(parsed: Parsed) -> None:
    """Divide the weights by their mean over words, rounded to two decimals. The pieces that are shown stay."""
    every = [piece for part in parsed.parts for member in part.members for piece in member.pieces]
    words = sum(len(piece.text.split()) for piece in every)
    mean = round(sum(piece.weight * len(piece.text.split()) for piece in every) / words, 2) if words else 1.0
    if mean == 0:
        raise PromptError("the weights' mean is 0, and dividing by that gives no numbers", text=parsed.text, start=0)
    parsed.shown = parsed.pieces
    for part in parsed.parts:
        for member in part.members:
            pieces = member.pieces
            member.pieces = Pieces(pieces.texts, [weight / mean for weight in pieces.weights], pieces.spans)


def _single(text: str, limits: Limits, fixed: Collection[str], negative: bool) -> tuple[str, list[Notice]]:
    """The text of the only part, refused if there are several parts or a schedule."""
    notices: list[Notice] = []
    if not negative and ("AND" in text or ":" in text):
        parts = compose.split_and(text, fixed)
        if len(parts) > 1:
            raise PromptError(
                f"AND makes {len(parts)} prompts of this one",
                text=text,
                start=parts[1].start - 3,
                remedy="use schedule(), which gives the parts and weights, or prompt_editing=False for plain text",
            )
        part = parts[0]
        if part.weighted:
            notices.append(
                Notice(
                    len(part.text), "weight", f"the number at the end is read as weight {part.weight:g} of the prompt"
                )
            )
        text = part.text
    _refuse_edit(schedule.first_edit(text, limits), text)
    return text, notices


def _refuse_edit(edit: int | None, text: str) -> None:
    if edit is not None:
        raise PromptError(
            "the prompt changes from step to step here",
            text=text,
            start=edit,
            remedy="use schedule(), or prompt_editing=False for plain text",
        )
