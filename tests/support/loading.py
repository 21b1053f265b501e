"""Loads captions through a DataLoader in a process of its own, and checks what comes. Not a test module.

usage: python -c "from support.loading import main; main()" fork|spawn|forkserver WORKERS...
"""

import sys
from typing import Any

import torch
from torch.utils.data import DataLoader, get_worker_info

from cliptok import Tokenizer
from cliptok.data import Collator
from cliptok.tokenizer.texts import threads_for

ROWS, BATCH, CHOICES = 1000, 100, 7


def sample(number: int) -> dict[str, Any]:
    """One image: its number, and captions to choose from whose last word says which it is."""
    captions = [f"image {number} of a “cat”, caption {choice}" for choice in range(CHOICES)]
    return {"image": torch.full((3, 4), float(number)), "captions": captions, "number": number}


class Images:
    """All of them."""

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, number: int) -> dict[str, Any]:
        return sample(number)


class Watched(Collator):
    """A collator that says where it ran, and with how many threads."""

    def __call__(self, samples: Any) -> Any:
        batch = super().__call__(samples)
        worker = get_worker_info()
        batch["worker"] = None if worker is None else worker.id
        batch["threads"] = threads_for([""] * 100_000, None)
        return batch


def choices(tok: Tokenizer, ids: torch.Tensor) -> list[int]:
    """Which caption was picked, by row."""
    ends = (ids == tok.eos_token_id).int().argmax(1)
    return [int(tok.decode(int(row[end - 1]))) for row, end in zip(ids, ends, strict=True)]


def epoch(loader: "DataLoader[Any]", tok: Tokenizer) -> list[int]:
    """The picks of one epoch, every batch checked."""
    picks: list[int] = []
    for number, batch in enumerate(loader):
        if loader.num_workers:
            assert (batch.worker, batch.threads) == (number % loader.num_workers, 1)
        rows = range(number * BATCH, (number + 1) * BATCH)
        assert batch.number.tolist() == list(rows)
        assert torch.equal(batch.image, torch.stack([sample(row)["image"] for row in rows]))
        found = choices(tok, batch.input_ids)
        texts = [sample(row)["captions"][choice] for row, choice in zip(rows, found, strict=True)]
        ids, lengths = tok.encode_batch(texts, return_lengths=True)
        assert torch.equal(batch.input_ids, torch.from_numpy(ids))
        assert batch.attention_mask.sum(1).tolist() == lengths.tolist()
        picks += found
    assert len(picks) == ROWS
    return picks


def main() -> None:
    """Prints the picks of one seed's first epoch for each number of workers."""
    method, *numbers = sys.argv[1:]
    tok = Tokenizer("open_clip")
    tok.encode_batch([f"used “before” {number}" for number in range(1000)], threads=4)

    def loader(workers: int, seed: int) -> "DataLoader[Any]":
        torch.manual_seed(seed)
        return DataLoader(
            Images(),  # type: ignore[arg-type]
            BATCH,
            collate_fn=Watched(tok, "captions", attention_mask=True),
            num_workers=workers,
            multiprocessing_context=method if workers else None,
            generator=torch.Generator().manual_seed(seed),
        )

    for workers in map(int, numbers):
        first = loader(workers, 7)
        picks = epoch(first, tok)
        if method == "fork":  # where an epoch's processes start fast
            assert picks != epoch(first, tok)  # another epoch, other captions
            assert picks == epoch(loader(workers, 7), tok) != epoch(loader(workers, 8), tok)
        blocks = [picks[begin : begin + BATCH] for begin in range(0, ROWS, BATCH)]
        assert len({tuple(block) for block in blocks}) == len(blocks)  # Workers do not pick alike.
        assert all(ROWS / CHOICES * 0.7 < picks.count(choice) < ROWS / CHOICES * 1.3 for choice in range(CHOICES))
        print(workers, picks)
