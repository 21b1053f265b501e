"""`cliptok clean`: remove what jobs that were killed have left."""

import argparse
import sys
from pathlib import Path
from typing import Any

from cliptok._common.extras import need
from cliptok.cli.parser import add_command


def add(commands: Any) -> None:
    """`cliptok clean`."""
    parser = add_command(
        commands,
        "clean",
        "remove what jobs that were killed have left",
        "Remove the parts of outputs that are not finished, with which --resume would go on, and temporary files."
        " Not while a job writes there.",
        ["cliptok clean ids/", "cliptok clean ids.parquet"],
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="a folder of outputs, or one output, finished or not")
    parser.add_argument("--dry-run", action="store_true", help="name what would be removed; remove nothing")
    parser.set_defaults(run=clean)


def clean(options: argparse.Namespace) -> int:
    """Print a line for each thing that is removed."""
    need("cliptok clean", "pyarrow")
    from cliptok.batch import clean_outputs

    found = clean_outputs(options.out, dry_run=options.dry_run)
    for path, size in found:
        print(f"{path}: {size:,} bytes")
    total = sum(size for _, size in found)
    what = "would be removed" if options.dry_run else "removed"
    print(f"{len(found):,} leftovers {what}, {total:,} bytes", file=sys.stderr)
    return 0
