"""`cliptok completion`: what a shell needs to complete commands, options and their values, made from the parser."""

import argparse
from collections.abc import Iterator

from cliptok.cli.parser import commands_of

SHELLS = ("bash", "zsh", "fish")
HOW = {
    "bash": 'eval "$(cliptok completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(cliptok completion zsh)" in ~/.zshrc, after compinit',
    "fish": "cliptok completion fish > ~/.config/fish/completions/cliptok.fish",
}


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for one of SHELLS."""
    if shell == "fish":
        return "\n".join(_fish(parser)) + "\n"
    start = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return start + _bash(parser)


def _bash(parser: argparse.ArgumentParser) -> str:
    commands = commands_of(parser)
    options, values = [], []
    for name, command in commands.items():
        options.append(f"    {name}) words={_quoted(' '.join(_option_strings(command)))} ;;")
        for action in command._actions:
            words = _quoted(" ".join(_words_for(action, name, parser)))
            if words != "''":
                # Of an argument without an option, behind the command itself.
                pattern = "|".join(f"{name}:{option}" for option in action.option_strings or [name])
                values.append(f"    {pattern}) words={words} ;;")
    return f"""_cliptok() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W {_quoted(" ".join([*commands, *_option_strings(parser)]))} -- "$current"))
    return
  fi
  case "$command:$before" in
{chr(10).join(values)}
  esac
  case "$current" in -*) case "$command" in
{chr(10).join(options)}
  esac ;; esac
  if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
  else COMPREPLY=($(compgen -f -- "$current")); fi
}}
complete -o filenames -F _cliptok cliptok
"""


def _fish(parser: argparse.ArgumentParser) -> Iterator[str]:
    commands = commands_of(parser)
    is_first = "-n __fish_use_subcommand"
    summaries = {action.dest: action.help or "" for action in _summaries(parser)}
    for name in commands:
        yield f"complete -c cliptok {is_first} -f -a {name} -d {_quoted(summaries[name])}"
    yield from (f"complete -c cliptok {is_first} {line}" for action in parser._actions for line in _fish_option(action))
    for name, command in commands.items():
        seen = f"complete -c cliptok -n '__fish_seen_subcommand_from {name}'"
        for action in command._actions:
            words = " ".join(_words_for(action, name, parser))
            if not action.option_strings and words:
                yield f"{seen} -f -a {_quoted(words)}"
            yield from (f"{seen} {line}" for line in _fish_option(action))


def _fish_option(action: argparse.Action) -> Iterator[str]:
    if not action.option_strings:
        return
    words = [f"-l {option[2:]}" for option in action.option_strings if option.startswith("--")]
    words += [f"-s {option[1:]}" for option in action.option_strings if not option.startswith("--")]
    if action.choices is not None:
        words.append(f"-x -a {_quoted(' '.join(map(str, action.choices)))}")
    elif action.nargs not in (0, "?"):
        words.append("-r")
    if action.help:
        words.append(f"-d {_quoted(action.help % {'default': action.default})}")
    yield " ".join(words)


def _words_for(action: argparse.Action, command: str, parser: argparse.ArgumentParser) -> list[str]:
    """What an option's value or an argument may be, where that is known."""
    if command == "help" and action.dest == "command":
        return list(commands_of(parser))
    return list(map(str, action.choices or ()))


def _summaries(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    (found,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return found._choices_actions


def _option_strings(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "'\\''") + "'"
