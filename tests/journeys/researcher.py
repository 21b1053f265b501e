"""A researcher's job: ids for a training loop, and zero-shot weights from a checkpoint."""

import tempfile
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from cliptok import TextEncoder, Tokenizer
from cliptok.data import Collator
from cliptok.data.imagenet import CLASS_NAMES, SIMPLE_TEMPLATES
from cliptok.encoder import TextConfig


def main(folder: Path) -> None:
    """Everything in a folder of its own, with a small encoder of random weights for the checkpoint."""
    tok = Tokenizer("open_clip")
    samples = [{"caption": [f"a cat {i}", f"{i} cats"], "label": i} for i in range(64)]
    loader = DataLoader(samples, 16, collate_fn=Collator(tok, "caption", captions="all"), num_workers=2)
    batches = list(loader)
    assert [tuple(batch["input_ids"].shape) for batch in batches] == [(16, 2, 77)] * 4
    assert torch.cat([batch["label"] for batch in batches]).tolist() == list(range(64))
    torch.manual_seed(0)
    TextEncoder(TextConfig(width=64, layers=2, heads=4, mlp=128, projection=32)).save_pretrained(folder)
    encoder = TextEncoder.from_pretrained(folder)
    weights = encoder.zero_shot(CLASS_NAMES[:10], SIMPLE_TEMPLATES)
    prompts = [template.format(CLASS_NAMES[3]) for template in SIMPLE_TEMPLATES]
    mean = encoder.encode(prompts, normalize=True).mean(0)
    torch.testing.assert_close(weights[3], mean / mean.norm(), rtol=1e-4, atol=1e-5)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
    print("done")
