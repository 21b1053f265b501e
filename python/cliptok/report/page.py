"""A survey as one HTML page that needs nothing else: no script, no network."""

from importlib.resources import files

from cliptok._engine import __version__
from cliptok.report.differences import LONGEST
from cliptok.report.histogram import NARROW, WIDE, bars, draw
from cliptok.report.markup import bar, block, plain, section, shown, table, tokens
from cliptok.report.numbers import number, percent
from cliptok.report.survey import LONGEST_BIN, Survey
from cliptok.report.words import LEAST_TOKENS, MOST_TOKENS

_WORDS, _DIFFERENCES = 20, 12
_ROW_LENGTHS = (16, 32, 64, 77, 128, 248)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(survey: Survey, name: str) -> str:
    """The page about the texts of the file called `name`."""
    css = (files("cliptok.report") / "page.css").read_text(encoding="utf-8")
    if survey.texts:
        body = [
            _lead(survey),
            _tiles(survey),
            _lengths(survey),
            _truncations(survey),
            _words(survey),
            _differences(survey),
        ]
    else:
        body = ['<p class="lead">There is no text in this file.</p>']
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{plain(name)}: cliptok report</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>",
            f"<h1>{shown(name)}</h1>",
            *body,
            f"{_footer(survey)}\n</main>\n</body>\n</html>\n",
        ]
    )


def _lead(survey: Survey) -> str:
    does = "does" if survey.truncated == 1 else "do"
    fit = f"{survey.truncated:,} of them {does} not fit" if survey.truncated else "All of them fit"
    return (
        f'<p class="lead">{number(survey.texts, "text")} for CLIP. {fit} the {survey.max_length} tokens of a row,'
        " start and end included.</p>"
    )


def _tiles(survey: Survey) -> str:
    def up_to(value: int) -> str:
        return f"{value:,}" if value < LONGEST_BIN else f"over {LONGEST_BIN:,}"

    tiles = [
        ("texts", f"{survey.texts:,}", ""),
        ("tokens", f"{survey.tokens:,}", ""),
        ("mean length", f"{survey.tokens / survey.texts:.1f}", ""),
        ("median", up_to(survey.quantile(0.5)), ""),
        ("99% have up to", up_to(survey.quantile(0.99)), ""),
        ("longest", f"{survey.longest:,}", ""),
        ("texts truncated", percent(survey.truncated, survey.texts), "truncated" if survey.truncated else ""),
        ("tokens lost", percent(survey.lost, survey.tokens), "truncated" if survey.lost else ""),
    ]
    tiles += [("empty texts", f"{survey.empty:,}", "")] if survey.empty else []
    tiles += [("nulls, left out", f"{survey.nulls:,}", "")] if survey.nulls else []
    tiles += [("not UTF-8", f"{survey.undecodable:,}", "")] if survey.undecodable else []
    cells = "".join(f'<div class="{kind}"><dt>{label}</dt><dd>{value}</dd></div>' for label, value, kind in tiles)
    return f'<dl class="tiles">{cells}</dl>'


def _lengths(survey: Survey) -> str:
    rows = []
    for length in sorted({*_ROW_LENGTHS, survey.max_length}):
        fit = survey.within(length)
        kind = "kept" if length == survey.max_length else "other"
        rows.append((f"{length} tokens", bar(fit / survey.texts, kind), f"{fit:,}", percent(fit, survey.texts)))
    found = bars(survey.histogram, survey.max_length)
    return section(
        "How long the texts are",
        f"<figure>{''.join(draw(found, survey.max_length, width) for width in (WIDE, NARROW))}</figure>",
        table(("In a row of", "", "Texts that fit", "Share"), rows, right={2, 3}),
    )


def _truncations(survey: Survey) -> str:
    title = "What truncation loses"
    if not survey.truncated:
        return section(title, f"<p>Nothing: the longest text has {number(survey.longest, 'token')}.</p>")
    lost = f"{number(survey.lost, 'token')} of {number(survey.truncated, 'text')}"
    found = survey.truncated_texts()
    chosen = "Texts picked by chance, and the longest" if survey.truncated > len(found) else "All of them"
    examples = []
    for truncated in found:
        size = f"{number(truncated.tokens, 'token')}, {truncated.tokens - survey.max_length:,} lost"
        text = block(plain(truncated.kept, from_end=True), f"<del>{plain(truncated.lost)}</del>")
        examples.append(f'<div class="example"><p class="faint small">{size}</p>{text}</div>')
    return section(title, f"<p>{lost}. {chosen}, with the lost part marked:</p>", *examples)


def _words(survey: Survey) -> str:
    title = "Words that split into many tokens"
    words = survey.words.most_frequent(_WORDS)
    if not words:
        return section(title, f"<p>None has {LEAST_TOKENS} tokens or more.</p>")
    rows = []
    for word in words:
        text = shown(survey.tok.decode(word.ids).strip(), 80)
        rows.append(
            (
                text,
                tokens(survey.tok, word.ids),
                f"{len(word.ids)}",
                bar(word.times / words[0].times),
                f"{word.times:,}",
            )
        )
    different = number(survey.words.different, "word")
    more = "more than " if survey.words.short_by else ""
    note = f"The most frequent of {more}{different} of {LEAST_TOKENS} to {MOST_TOKENS} tokens, which occur"
    note += f" {number(survey.words.occurrences, 'time')} in all."
    if survey.words.short_by:
        note += f" So many are different that a count may be up to {survey.words.short_by:,} too low."
    return section(title, f"<p>{note}</p>", table(("Word", "Split into", "Tokens", "", "Times"), rows, right={2, 4}))


def _differences(survey: Survey) -> str:
    title = "Where <code>transformers</code> and <code>open_clip</code> differ"
    found = survey.differences
    if not found.texts:
        return section(title, "<p>Nowhere: every text has the same ids in both profiles.</p>")
    looked_at, most = found.most_frequent(_DIFFERENCES)
    rows = [
        (
            tokens(found.pair[0], one.transformers),
            tokens(found.pair[1], one.open_clip),
            percent(one.texts, looked_at),
            block(plain(one.example, 160)),
        )
        for one in most
    ]
    those = "them" if looked_at == found.texts else f"{looked_at:,} of them, picked by chance"
    where = f"the first {LONGEST} characters of {those}"
    return section(
        title,
        f"<p>{number(found.texts, 'text')}, {percent(found.texts, survey.texts)} of all, with other ids in one profile"
        f" than in the other. A model knows the ids that it was trained on. What differs most often in {where}:</p>",
        table(("transformers", "open_clip", "Share", "For example"), rows, right={2}),
    )


def _footer(survey: Survey) -> str:
    name = survey.tok.name_or_path
    whose = f"the profile <code>{survey.tok.profile}</code>" + (f", {shown(name)}" if name else "")
    note = "Where several tokens make up a character, their number stands beside it."
    return f"<footer>Tokens of {whose}. {note} Made by cliptok {__version__}.</footer>"
