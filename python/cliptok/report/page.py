"""A survey as one HTML page that needs nothing else: no script, no network."""

from collections.abc import Iterable
from importlib.resources import files

from cliptok._engine import __version__
from cliptok.report.differences import LONGEST, Differences
from cliptok.report.histogram import NARROW, WIDE, bars, draw
from cliptok.report.markup import bar, block, plain, section, shown, table, tokens
from cliptok.report.numbers import number, percent
from cliptok.report.survey import LONGEST_BIN, Survey
from cliptok.report.words import LEAST_TOKENS, MOST_TOKENS

_WORDS, _DIFFERENCES, _FILES = 20, 12, 100
ROW_LENGTHS = (16, 32, 64, 77, 128, 248)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(survey: Survey, name: str) -> str:
    """The page about the texts of the file called `name`."""
    if not survey.texts:
        return document(name, ['<p class="lead">There is no text in this file.</p>', footer(survey)])
    sections = [lead(survey), tiles(survey), lengths(survey), by_file(survey), truncations(survey), words(survey)]
    return document(name, [*sections, profiles(survey), footer(survey)])


def document(name: str, body: Iterable[str]) -> str:
    """A whole page; all but the name is HTML."""
    css = (files("cliptok.report") / "page.css").read_text(encoding="utf-8")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{plain(name)}: cliptok report</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>",
            f"<h1>{shown(name)}</h1>",
            *filter(None, body),
            "</main>\n</body>\n</html>\n",
        ]
    )


def lead(survey: Survey) -> str:
    """A sentence."""
    does = "does" if survey.truncated == 1 else "do"
    fit = f"{survey.truncated:,} of them {does} not fit" if survey.truncated else "All of them fit"
    return (
        f'<p class="lead">{number(survey.texts, "text")} for CLIP. {fit} the {survey.max_length} tokens of a row,'
        " start and end included.</p>"
    )


def tiles(survey: Survey) -> str:
    """The numbers of a survey, large."""
    cells = "".join(
        f'<div class="{kind}"><dt>{label}</dt><dd>{value}</dd></div>' for label, value, kind in measures(survey)
    )
    return f'<dl class="tiles">{cells}</dl>'


def measures(survey: Survey) -> list[tuple[str, str, str]]:
    """(what it is, its value, a class for page.css) of each number."""

    def up_to(value: int) -> str:
        return f"{value:,}" if value < LONGEST_BIN else f"over {LONGEST_BIN:,}"

    if not survey.texts:
        return [("texts", "0", "")]
    found = [
        ("texts", f"{survey.texts:,}", ""),
        ("tokens", f"{survey.tokens:,}", ""),
        ("mean length", f"{survey.tokens / survey.texts:.1f}", ""),
        ("median", up_to(survey.quantile(0.5)), ""),
        ("99% have up to", up_to(survey.quantile(0.99)), ""),
        ("longest", f"{survey.longest:,}", ""),
        ("texts truncated", percent(survey.truncated, survey.texts), "truncated" if survey.truncated else ""),
        ("tokens lost", percent(survey.lost, survey.tokens), "truncated" if survey.lost else ""),
    ]
    found += [("empty texts", f"{survey.empty:,}", "")] if survey.empty else []
    found += [("nulls, left out", f"{survey.nulls:,}", "")] if survey.nulls else []
    found += [("not UTF-8", f"{survey.undecodable:,}", "")] if survey.undecodable else []
    return found


def lengths(survey: Survey) -> str:
    """The histogram, and how many texts fit into rows."""
    rows = []
    for length in sorted({*ROW_LENGTHS, survey.max_length}):
        fit = survey.within(length)
        kind = "kept" if length == survey.max_length else "other"
        rows.append((f"{length} tokens", bar(fit / survey.texts, kind), f"{fit:,}", percent(fit, survey.texts)))
    found = bars(survey.histogram, survey.max_length)
    return section(
        "How long the texts are",
        f"<figure>{''.join(draw(found, survey.max_length, width) for width in (WIDE, NARROW))}</figure>",
        table(("In a row of", "", "Texts that fit", "Share"), rows, right={2, 3}),
    )


def by_file(survey: Survey) -> str:
    """A row for each file, where there are several: those of which most is truncated."""
    if len(survey.files) < 2:
        return ""
    most = sorted(survey.files.items(), key=lambda file: (-file[1].truncated / file[1].texts, file[0]))
    rows = [
        (
            shown(name, 120),
            f"{counts.texts:,}",
            f"{counts.tokens / counts.texts:.1f}",
            f"{counts.longest:,}",
            f"{counts.truncated:,}",
            percent(counts.truncated, counts.texts),
        )
        for name, counts in most[:_FILES]
    ]
    note = f"{number(len(most), 'file')} with texts, those first of which most is truncated."
    if len(most) > _FILES:
        note = f"{_FILES} of {note}"
    heads = ("File", "Texts", "Mean length", "Longest", "Truncated", "Share")
    return section("File by file", f"<p>{note}</p>", table(heads, rows, right={1, 2, 3, 4, 5}))


def truncations(survey: Survey) -> str:
    """Examples of what does not fit."""
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


def words(survey: Survey) -> str:
    """The most frequent words of many tokens."""
    title = "Words that split into many tokens"
    frequent = survey.words.most_frequent(_WORDS)
    if not frequent:
        return section(title, f"<p>None has {LEAST_TOKENS} tokens or more.</p>")
    rows = []
    for word in frequent:
        text = shown(survey.tok.decode(word.ids).strip(), 80)
        rows.append(
            (
                text,
                tokens(survey.tok, word.ids),
                f"{len(word.ids)}",
                bar(word.times / frequent[0].times),
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


def profiles(survey: Survey) -> str:
    """Where the profiles `transformers` and `open_clip` differ."""
    return differences(survey.differences, ("transformers", "open_clip"), survey.texts)


def differences(found: Differences, names: tuple[str, str], texts: int) -> str:
    """Where two tokenizers differ. The names are HTML."""
    title = f"Where <code>{names[0]}</code> and <code>{names[1]}</code> differ"
    if not found.texts:
        return section(title, "<p>Nowhere: every text has the same ids in both.</p>")
    looked_at, most = found.most_frequent(_DIFFERENCES)
    rows = [
        (
            tokens(found.pair[0], one.first),
            tokens(found.pair[1], one.second),
            percent(one.texts, looked_at),
            block(plain(one.example, 160)),
        )
        for one in most
    ]
    those = "them" if looked_at == found.texts else f"{looked_at:,} of them, picked by chance"
    where = f"the first {LONGEST} characters of {those}"
    return section(
        title,
        f"<p>{number(found.texts, 'text')}, {percent(found.texts, texts)} of all, with other tokens in one than in the"
        f" other. A model knows the ids that it was trained on. What differs most often in {where}:</p>",
        table((*names, "Share", "For example"), rows, right={2}),
    )


def whose(survey: Survey) -> str:
    """The tokenizer of a survey, as HTML."""
    name = survey.tok.name_or_path
    return f"the profile <code>{survey.tok.profile}</code>" + (f", {shown(name)}" if name else "")


def footer(*surveys: Survey) -> str:
    """Whose tokens were counted, and what is of all texts and what of a sample."""
    return (
        f"<footer>Tokens of {' and of '.join(dict.fromkeys(map(whose, surveys)))}. All numbers are of all texts, but"
        " for what is said to be picked by chance; the same files give the same picks. Where several tokens make up a"
        f" character, their number stands beside it. Made by cliptok {__version__}.</footer>"
    )
