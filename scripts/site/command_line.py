"""The command line's pages, from its parser."""

from __future__ import annotations

import argparse


def pages(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Markdown by name: the command itself as `index`, and one page for each of its commands."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    helps = {choice.dest: choice.help or "" for choice in commands._choices_actions}
    lines = [f"# `{parser.prog}`\n", f"{parser.description}\n", "| | |\n| --- | --- |"]
    lines += [f"| [`{parser.prog} {name}`]({name}.md) | {helps[name]} |" for name in commands.choices]
    lines += ["", _examples(parser)]
    lines.append("`cliptok COMMAND --help` prints what these pages say. `python -m cliptok` is the same command.")
    lines.append("The exit status is 0, 2 for bad input and wrong arguments, and 130 when it is interrupted.")
    return {"index": "\n".join(lines) + "\n"} | {name: _page(command) for name, command in commands.choices.items()}


def _page(parser: argparse.ArgumentParser) -> str:
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    parts = [f"# `{parser.prog}`", parser.description, f"```sh\n{usage}\n```", _options(parser), _examples(parser)]
    return "\n\n".join(map(str, parts))


def _options(parser: argparse.ArgumentParser) -> str:
    rows = []
    for action in parser._actions:
        if action.help is argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        if not action.help:
            raise SystemExit(f"{parser.prog}: {action.dest} has no help")
        value = "" if action.nargs == 0 else parser._get_formatter()._format_args(action, _metavar(action))
        names = " or ".join(f"`{name}`" for name in action.option_strings)
        left = f"{names} `{value}`" if names and value else names or f"`{value}`"
        right = parser._get_formatter()._expand_help(action)
        rows.append(f"| {_cell(left)} | {_cell(right)} |")
    return "| option | |\n| --- | --- |\n" + "\n".join(rows) + "\n"


def _metavar(action: argparse.Action) -> str:
    if action.choices is not None and action.metavar is None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


def _examples(parser: argparse.ArgumentParser) -> str:
    lines = (parser.epilog or "").splitlines()[1:]
    return "## Examples\n\n```sh\n" + "\n".join(line.strip() for line in lines) + "\n```\n" if lines else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
