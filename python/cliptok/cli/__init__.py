"""The command `cliptok`: a file for each of its commands, and here its parser, its errors and its exit status."""

import argparse
import atexit
import io
import os
import sys
from collections.abc import Sequence

from cliptok._common.errors import BadInputError, is_out_of_memory, printable
from cliptok._engine import __version__
from cliptok.cli import check, clean, jobs, prompts, report, show, texts, verify
from cliptok.cli.completion import HOW, SHELLS, script
from cliptok.cli.interrupts import say_interrupted, terminating
from cliptok.cli.parser import Parser, add_command, commands_of

_EXAMPLES = """examples:
  cliptok show "a highres photo of a woman wearing a red dress"
  cliptok tokenize captions.txt -o ids.npy --max-length 77
  cliptok tokenize 'data/*.parquet' --column caption -o ids/ --resume
  cliptok embed captions.txt -o embeddings.npy --model openai/clip-vit-large-patch14
  cliptok count captions.txt
  cliptok report captions.txt -o captions.html
  head -n 100 captions.txt | cliptok tokenize
"""
_NEEDS_LESS = "a smaller --batch-size or fewer --processes need less, and a job goes on with --resume"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 for bad input, 128 and the signal's number if interrupted."""
    statuses: list[int] = []
    if arguments is None:
        atexit.register(_end_at_once, statuses)  # The first to be registered is the last to be called.
    status = _run(arguments)
    statuses.append(status)
    return status


def _end_at_once(statuses: list[int]) -> None:
    """End the process with the command's status.

    Python takes 0.7 s to take torch apart, and pyarrow 21 often aborts where it is to end by itself.
    """
    if not statuses or not {"torch", "pyarrow"} & sys.modules.keys():
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return  # Python says it its own way.
    os._exit(statuses[0])


def _run(arguments: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal's encoding lacks is shown escaped; Windows' often have a few hundred characters.
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None and words[:1] != ["embed"] and "--ray" not in words:  # torch and Ray look for pandas too.
        sys.meta_path.insert(0, _WithoutPandas())
    try:
        with terminating():
            options = _parser().parse_args(words)
            return int(options.run(options))
    except KeyboardInterrupt as error:
        return say_interrupted(error, words)
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain once more when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ModuleNotFoundError as error:
        from cliptok._common.extras import how_to_install

        name = (error.name or "").partition(".")[0]
        return _fail(f"{error}; {how_to_install([name])}" if name else str(error))
    except (BadInputError, OSError, ValueError, ImportError) as error:
        return _fail(str(error) or type(error).__name__)
    except Exception as error:
        if is_out_of_memory(error):
            # torch goes on about its settings and about debugging.
            reason = next(iter(str(error).splitlines()), "").partition(" If ")[0] or type(error).__name__
            return _fail(f"out of memory: {reason}; {_NEEDS_LESS}")
        if os.environ.get("CLIPTOK_TRACEBACK"):
            raise
        return _fail(f"{type(error).__name__}: {error} (unexpected; with CLIPTOK_TRACEBACK=1 it shows where)")


class _WithoutPandas:
    """Hides pandas from pyarrow, which would import it, for seconds, to recognise objects that are not used here."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("cliptok hides pandas", name=name)


def _fail(message: str) -> int:
    # What an input holds, a terminal must not take for commands.
    print(f"cliptok: {printable(' '.join(message.splitlines()))}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="cliptok", description="CLIP's tokenizer and text encoder on the command line.", epilog=_EXAMPLES
    )
    parser.add_argument("--version", action="version", version=f"cliptok {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
    jobs.add_tokenize(commands)
    jobs.add_embed(commands)
    check.add(commands)
    clean.add(commands)
    show.add(commands)
    texts.add_count(commands)
    report.add(commands)
    verify.add(commands)
    prompts.add(commands)
    _add_completion(commands, parser)
    _add_help(commands, parser)
    return parser


def _add_completion(commands: "argparse._SubParsersAction[Parser]", parser: Parser) -> None:
    completion = add_command(
        commands,
        "completion",
        "print what a shell needs to complete this command",
        "Print the script with which a shell completes commands, options and their values.",
        [HOW["bash"], HOW["zsh"], HOW["fish"]],
    )
    completion.add_argument("shell", choices=SHELLS, help="whose completion")

    def run(options: argparse.Namespace) -> int:
        sys.stdout.write(script(parser, options.shell))
        return 0

    completion.set_defaults(run=run)


def _add_help(commands: "argparse._SubParsersAction[Parser]", parser: Parser) -> None:
    help_ = add_command(
        commands, "help", "print the help of a command", "Print the help of a command.", ["cliptok help tokenize"]
    )
    help_.add_argument("command", nargs="?", metavar="COMMAND", help="without it, the list of commands")

    def run(options: argparse.Namespace) -> int:
        if options.command is None:
            parser.print_help()
            return 0
        known = commands_of(parser)
        if options.command not in known:
            raise BadInputError(f"no command {options.command!r}; there are {', '.join(known)}")
        known[options.command].print_help()
        return 0

    help_.set_defaults(run=run)
