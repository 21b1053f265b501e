"""`cliptok verify`."""

import argparse
from typing import Any

from cliptok.cli.parser import add_command


def add(commands: Any) -> None:
    """`cliptok verify`."""
    parser = add_command(
        commands,
        "verify",
        "say what a text encoder's checkpoint holds, and how that is known",
        "Report the layout, sizes, activation, projection, ids and tokenizer of a checkpoint, what had to be guessed,"
        " values that are not finite, and tensors that are left over. The exit status is 1 where something was guessed"
        " or is not finite.",
        ["cliptok verify model.safetensors", "cliptok verify pipeline/ --subfolder text_encoder_2"],
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a file, a folder, or a hub name")
    parser.add_argument("--subfolder", metavar="NAME", help="a folder in it, such as text_encoder")
    parser.add_argument("--variant", metavar="NAME", help="such as fp16")
    parser.add_argument("--encoder", metavar="NAME", help="of a file with several: clip_l or clip_g")
    parser.set_defaults(run=verify)


def verify(options: argparse.Namespace) -> int:
    """Print the report."""
    from cliptok.encoder import verify

    found = verify(options.checkpoint, subfolder=options.subfolder, variant=options.variant, encoder=options.encoder)
    print(found)
    return 0 if found.ok else 1
