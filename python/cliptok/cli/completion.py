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
            if action.choices is not None and action.option_strings:
                pattern = "|".join(f"{name}:{option}" for option in action.option_strings)
                values.append(f"    {pattern}) words={_quoted(' '.join(map(str, action.choices)))} ;;")
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
  if [ -z "$words" ]; then
    case "$current" in -*) case "$command" in
{chr(10).join(options)}
    esac ;; esac
  fi
  if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
  else COMPREPLY=($(compgen -f -- "$current")); fi
}}
complete -o filenames -F _cliptok cliptok
"""


def _fish(parser: argparse.ArgumentParser) -> Iterator[str]:
    commands = commands_of(parser)
    yield "complete -c cliptok -n __fish_use_subcommand -f -a " + _quoted(" ".join(commands))
    for name, command in commands.items():
        for action in command._actions:
            words = [f"-l {option[2:]}" for option in action.option_strings if option.startswith("--")]
            words += [f"-s {option[1:]}" for option in action.option_strings if not option.startswith("--")]
            if not words:
                continue
            if action.choices is not None:
                words.append(f"-x -a {_quoted(' '.join(map(str, action.choices)))}")
            elif action.nargs != 0:
                words.append("-r")
            yield f"complete -c cliptok -n '__fish_seen_subcommand_from {name}' {' '.join(words)}"


def _option_strings(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]


def _quoted(words: str) -> str:
    return "'" + words + "'"
