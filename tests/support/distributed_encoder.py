"""Two processes with one encoder each, as a script: `python distributed_encoder.py RANK FILE` prints what differs.

DDP with hidden states gives the gradients of one process; FSDP2 shards the weights, and `encode` gathers them.
"""

from __future__ import annotations

import copy
import sys

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from cliptok.encoder import TextConfig, TextEncoder

SIZES = {"width": 32, "layers": 2, "heads": 2, "mlp": 64, "vocabulary": 100, "positions": 16}
IDS = {"start_id": 98, "end_id": 99, "pad_id": 99}
ROWS = [[98, 5, 7, 99], [98, 5, 8, 9, 99], [98, 99]]


class Packed:
    """As `Tokenizer.encode_packed` returns them."""

    input_ids = np.concatenate(ROWS)
    offsets = np.cumsum([0, *map(len, ROWS)])


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.detach() - expected.detach()).abs().max())


def check_ddp(encoder: TextEncoder, ids: torch.Tensor) -> None:
    alone, parallel = copy.deepcopy(encoder), DistributedDataParallel(encoder, find_unused_parameters=True)
    for model in (alone, parallel):
        sum(state.square().mean() for state in model(ids, output_hidden_states=True).hidden_states).backward()
    pairs = zip(alone.parameters(), encoder.parameters(), strict=True)
    print("ddp", max(difference(b.grad, a.grad) for a, b in pairs if a.grad is not None))


def check_fsdp(encoder: TextEncoder, ids: torch.Tensor, blocks: bool) -> None:
    """`blocks` shards each block by itself, as is usual, or else the encoder as one."""
    expected, embeddings = encoder(ids), encoder.encode(Packed)
    for block in encoder.encoder.layers if blocks else ():
        fully_shard(block)
    fully_shard(encoder)
    found = encoder(ids)
    print("fsdp forward", difference(found.last_hidden_state, expected.last_hidden_state))
    print("fsdp encode", difference(encoder.encode(Packed), embeddings))
    found.text_embeds.sum().backward()
    try:
        encoder.encode(Packed, output="pooler_output")
    except ValueError as error:
        print("fsdp refused", 0.0 if "take output=" in str(error) else 1.0)


def main(rank: int, file: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig(**SIZES, **IDS, projection=16))
    ids = torch.tensor([row + [99] * (5 - len(row)) for row in ROWS])
    check_ddp(copy.deepcopy(encoder), ids)
    for blocks in (True, False):
        check_fsdp(copy.deepcopy(encoder), ids, blocks)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
