"""argparse as people type: a command's own usage in its errors, suggestions, and no abbreviated options."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any


class Parser(argparse.ArgumentParser):
    """A parser of a command, or of all."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(
            *arguments, **{"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False, **options}
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but an option that is unknown is an error of the command that it was given to."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown: {' '.join(unknown)}{_did_you_mean(unknown[0], self._option_string_actions)}")
        return found, unknown

    def _get_values(self, action: argparse.Action, arg_strings: Any) -> Any:
        """As argparse does, which before Python 3.13 makes a list of `--option=--`."""
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:
            value = self._get_value(action, "--")
            self._check_value(action, value)
            return value
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            hint = _did_you_mean(str(value), choices)
            raise argparse.ArgumentError(action, f"{value!r} is none of {', '.join(choices)}{hint}")


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # Few need it.

    close = get_close_matches(word.partition("=")[0], list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser, by name."""
    (found,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def add_command(commands: Any, name: str, what: str, description: str, examples: Sequence[str]) -> Parser:
    """A command with examples at the end of its help."""
    title = "examples" if len(examples) > 1 else "example"
    lines = "".join(f"\n  {example}" for example in examples)
    parser: Parser = commands.add_parser(name, help=what, description=description, epilog=f"{title}:{lines}")
    return parser
