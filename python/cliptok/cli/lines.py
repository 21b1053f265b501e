"""`cliptok tokenize` to the screen and `cliptok count`: text of any size, a chunk at a time."""

import argparse
import sys
from itertools import pairwise

from cliptok._common.errors import BadInputError
from cliptok._common.lines import chunks, opened, progress
from cliptok.cli.tokenizers import load, row_length


def print_ids(options: argparse.Namespace) -> int:
    """Print the ids of each line."""
    if len(options.inputs) != 1:
        raise BadInputError(f"{len(options.inputs)} inputs need --out; one text file can be printed")
    (name,) = options.inputs
    tok = load(options)
    with opened(name) as file, progress(file) as read:
        for _, lines in chunks(file, name, read):
            ids, offsets = tok.encode_packed(lines, row_length(options, tok), truncate=True)
            everything, bounds = ids.tolist(), offsets.tolist()
            rows = pairwise(bounds)
            sys.stdout.write("".join(" ".join(map(str, everything[begin:end])) + "\n" for begin, end in rows))
    sys.stdout.flush()
    return 0


def count(options: argparse.Namespace) -> int:
    """Print how many lines and tokens there are, or with `--each` the tokens of each line."""
    tok = load(options)
    max_length = row_length(options, tok)
    lines_seen = tokens = longest = too_long = 0
    with opened(options.file) as file, progress(file) as read:
        for _, lines in chunks(file, options.file, read):
            counts = tok.count(lines)
            if options.each:
                sys.stdout.write("".join(f"{count}\n" for count in counts.tolist()))
            lines_seen += len(lines)
            tokens += int(counts.sum())
            longest = max(longest, int(counts.max()))
            too_long += int((counts > max_length).sum())
    if not options.each:
        mean = tokens / lines_seen if lines_seen else 0
        print(f"lines        {lines_seen}")
        print(f"tokens       {tokens}")
        print(f"mean         {mean:.1f}")
        print(f"longest      {longest}")
        print(f"over {max_length:<8}{too_long}")
    sys.stdout.flush()
    return 0
