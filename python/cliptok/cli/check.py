"""`cliptok check`: read outputs back and name those that are damaged."""

import argparse
import sys
from typing import Any

from cliptok._common.extras import need
from cliptok.cli.parser import add_command


def add(commands: Any) -> None:
    """`cliptok check`."""
    parser = add_command(
        commands,
        "check",
        "read outputs back, and name those that are damaged",
        "Read all outputs in a folder and compare them with the checksums that were recorded when they were made. The"
        " same job with --resume --check makes those anew that are damaged.",
        ["cliptok check ids/"],
    )
    parser.add_argument("out", metavar="OUT", help="a folder of outputs, or one of them")
    parser.set_defaults(run=check)


def check(options: argparse.Namespace) -> int:
    """Print a line for each output that is damaged. 0 if there is none, else 2."""
    need("cliptok check", "pyarrow")
    from cliptok.batch import check_outputs

    checked = 0

    def count(path: object) -> None:
        nonlocal checked
        checked += 1

    found = check_outputs(options.out, count)
    for damage in found:
        print(f"{damage.path}: {damage.what}")
    print(f"{checked:,} files read back, {len(found):,} not as they were written", file=sys.stderr)
    return 2 if found else 0
