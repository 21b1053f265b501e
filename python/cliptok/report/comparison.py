"""Two surveys on one HTML page, side by side: of two sets of files, or of two tokenizers on the same texts."""

from html import escape

import numpy as np

from cliptok.report import page as parts
from cliptok.report.differences import Differences
from cliptok.report.histogram import NARROW, bars, draw
from cliptok.report.markup import section, shown, table
from cliptok.report.numbers import number, percent
from cliptok.report.page import ROW_LENGTHS
from cliptok.report.survey import Survey


def comparison_page(
    pair: tuple[Survey, Survey], names: tuple[str, str], title: str, differences: Differences | None
) -> str:
    """The page. `differences` are those of two tokenizers on the same texts, None for different texts."""
    labels = shown(names[0], 120), shown(names[1], 120)
    if not all(survey.texts for survey in pair):
        empty = labels[[survey.texts == 0 for survey in pair].index(True)]
        return parts.document(title, [f'<p class="lead">There is no text in {empty}.</p>', parts.footer(*pair)])
    body = [_lead(pair, labels), _numbers(pair, labels), _lengths(pair, labels)]
    if differences is not None:
        body.append(parts.differences(differences, (escape(names[0]), escape(names[1])), pair[0].texts))
    for make in (parts.by_file, parts.truncations, parts.words):
        sides = [make(survey) for survey in pair]
        if any(sides):
            body.append(_beside(sides, labels))
    return parts.document(title, [*body, parts.footer(*pair)])


def _lead(pair: tuple[Survey, Survey], labels: tuple[str, str]) -> str:
    shares = [percent(survey.truncated, survey.texts) for survey in pair]
    return (
        f'<p class="lead">{labels[0]} beside {labels[1]}: {shares[0]} of {number(pair[0].texts, "text")} do not fit'
        f" {pair[0].max_length} tokens, and {shares[1]} of {number(pair[1].texts, 'text')} do not fit"
        f" {pair[1].max_length}.</p>"
    )


def _numbers(pair: tuple[Survey, Survey], labels: tuple[str, str]) -> str:
    found = [{label: value for label, value, _ in parts.measures(survey)} for survey in pair]
    rows = [(label, *(values.get(label, "0") for values in found)) for label in {**found[0], **found[1]}]
    return section("The numbers", table(("Of all texts", *labels), rows, right={1, 2}))


def _lengths(pair: tuple[Survey, Survey], labels: tuple[str, str]) -> str:
    """Both histograms with the same bars, and how many texts fit into rows."""
    together = sum((survey.histogram / survey.texts for survey in pair), np.zeros(1))
    longest = max(survey.max_length for survey in pair)
    drawn = []
    for survey, label in zip(pair, labels, strict=True):
        own = bars(survey.histogram, survey.max_length, like=(together, longest))
        drawn.append(f"<figure><figcaption>{label}</figcaption>{draw(own, survey.max_length, NARROW)}</figure>")
    rows = []
    for length in sorted({*ROW_LENGTHS, *(survey.max_length for survey in pair)}):
        fit = [survey.within(length) for survey in pair]
        shares = [percent(count, survey.texts) for count, survey in zip(fit, pair, strict=True)]
        rows.append((f"{length} tokens", f"{fit[0]:,}", shares[0], f"{fit[1]:,}", shares[1]))
    heads = ("Texts that fit in", labels[0], "", labels[1], "")
    return section(
        "How long the texts are",
        f'<div class="sides drawn">{"".join(drawn)}</div>',
        table(heads, rows, right={1, 2, 3, 4}),
    )


def _beside(sides: list[str], labels: tuple[str, str]) -> str:
    named = (f'<div><p class="faint small">{label}</p>{side}</div>' for side, label in zip(sides, labels, strict=True))
    return f'<div class="sides">{"".join(named)}</div>'
