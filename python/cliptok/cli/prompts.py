"""Prompts with syntax on the command line: `cliptok show --dialect`, `--compare`, and `cliptok prompts check`."""

import argparse
import sys
from itertools import chain
from typing import Any

from cliptok._common.errors import BadInputError
from cliptok.cli.parser import add_command


def add_dialect(parser: argparse.ArgumentParser) -> None:
    """The options of `show` for prompts with syntax."""
    parser.add_argument(
        "--dialect", metavar="NAME", help="read TEXT as a prompt of this tool, such as a1111 or comfyui"
    )
    parser.add_argument("--compare", metavar="A,B", help="read TEXT in each of these dialects, one below the other")
    parser.add_argument("--family", help="of --dialect and --compare: the models (default: sd1)")


def add_pipeline(parser: argparse.ArgumentParser) -> None:
    """The options of `embed` for prompts to conditioning."""
    parser.add_argument(
        "--pipeline",
        metavar="FOLDER",
        help="in place of --model: a diffusers pipeline's folder, file or hub name, for prompt_embeds and"
        " pooled_prompt_embeds",
    )
    parser.add_argument(
        "--dialect", metavar="NAME", help="with --pipeline: how prompts are read, such as a1111 (default: diffusers)"
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="with --pipeline: a setting of the dialect, such as clip_skip=2; again for another",
    )


def pipeline_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `embed_files` for a pipeline."""
    import json

    settings: dict[str, Any] = {}
    for setting in options.set or ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise BadInputError(f"--set {setting}: expected NAME=VALUE, as in clip_skip=2")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value  # a word, such as original
    return {
        "pipeline": options.pipeline,
        "dialect": options.dialect or "diffusers",
        "prompt_settings": settings,
        "tokenizer": options.tokenizer,
        "profile": options.profile,
    }


def add(commands: Any) -> None:
    """`cliptok prompts check`."""
    parser = add_command(
        commands,
        "prompts",
        "list the prompts of a file that two dialects read differently",
        "List the prompts of a text file, one per line, that two dialects give different ids or weights, and those that"
        " one of them cannot read. The exit status is 1 if there are any.",
        ["cliptok prompts check prompts.txt --dialects a1111,comfyui"],
    )
    parser.add_argument("action", choices=("check",), metavar="check", help="what to do with the prompts")
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="UTF-8 text; - is standard input")
    parser.add_argument("--dialects", metavar="A,B", default="a1111,comfyui", help="default: %(default)s")
    parser.add_argument("--family", default="sd1", help="the models (default: %(default)s)")
    parser.set_defaults(run=check)


def show_prompt(options: argparse.Namespace, colour: bool) -> int:
    """Print how one dialect, or each of several, reads a prompt."""
    from cliptok.prompts import Planner, PromptError
    from cliptok.prompts.explain import explain

    names = (options.compare or options.dialect).split(",")
    failed = False
    for number, name in enumerate(names):
        if number:
            print()
        try:
            print(explain(Planner(name.strip(), options.family or "sd1"), options.text).text(colour))
        except PromptError as error:
            failed = True
            print(error)
    if failed and len(names) == 1:
        return 2
    return 0


def check(options: argparse.Namespace) -> int:
    """Print the prompts that two dialects read differently; the exit status is 1 if there are any."""
    from cliptok.cli.plain_lines import plain_lines
    from cliptok.prompts import Planner

    names = [name.strip() for name in options.dialects.split(",")]
    if len(names) != 2:
        raise BadInputError(f"--dialects needs two names, as in a1111,comfyui; it has {len(names)}")
    planners = [Planner(name, options.family, max_chunks=None) for name in names]
    total = different = 0
    for line, prompt in enumerate(chain.from_iterable(plain_lines([options.file])), 1):
        total += 1
        readings = [_reading(planner, prompt) for planner in planners]
        if readings[0] == readings[1]:
            continue
        different += 1
        print(f"{line}: {prompt}")
        for name, reading in zip(names, readings, strict=True):
            print(f"    {name}: {reading[0]}")
    print(f"{different} of {total} prompts are read differently by {names[0]} and {names[1]}", file=sys.stderr)
    return 1 if different else 0


def _reading(planner: Any, prompt: str) -> tuple[str, bytes]:
    """What a dialect makes of a prompt: for people, and to compare."""
    from cliptok.prompts import PromptError

    try:
        plan = planner.plan(prompt, negative=False)
    except PromptError as error:
        return f"! {error.message}", b""
    chunks = plan.chunks[0][0]
    weighted = [f"({text}:{weight:g})" if weight != 1 else text for text, weight in plan.pieces[0]]
    return f"{chunks.count} tokens, {len(chunks.ids)} chunks, {''.join(weighted)}", _bytes(chunks)


def _bytes(chunks: Any) -> bytes:
    ids: bytes = chunks.ids.tobytes()
    weights: bytes = chunks.weights.tobytes()
    return ids + weights
