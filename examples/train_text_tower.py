"""Trains a small text tower on captions: two of one image are to lie close together, those of others far apart.

    python examples/train_text_tower.py                                       # 96 images, some seconds on a CPU
    python examples/train_text_tower.py --captions mine.jsonl --width 256     # {"captions": ["...", "..."]} per line

The loader's workers pick two different captions of each image, others in every epoch, and make the batch.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from cliptok import TextEncoder, Tokenizer
from cliptok.data import Collator
from cliptok.encoder import TextConfig

CAPTIONS = Path(__file__).parent / "captions.jsonl"


def contrastive_loss(embeds: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """CLIP's loss with a second caption in the image's place. `embeds` is (images, 2, d)."""
    first, second = F.normalize(embeds, dim=-1).unbind(1)
    logits = scale.exp() * first @ second.t()
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2


def found_again(encoder: TextEncoder, tok: Tokenizer, images: list[dict[str, list[str]]]) -> float:
    """How often an image's second caption is, of all second captions, the closest to its first."""
    first, second = (
        encoder.encode([image["captions"][which] for image in images], tok, normalize=True) for which in (0, 1)
    )
    closest = (first @ second.t()).argmax(1)
    return float((closest == torch.arange(len(images), device=closest.device)).double().mean())


def train(captions: Path, epochs: int, batch: int, width: int, workers: int) -> dict[str, list[float]]:
    """Each epoch's mean loss, and the share of held-out images found again before and after."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = [json.loads(line) for line in captions.read_text(encoding="utf-8").splitlines()]
    held_out, images = images[::6], [image for at, image in enumerate(images) if at % 6]

    torch.manual_seed(0)
    tok = Tokenizer("open_clip")
    loader = DataLoader(
        images,  # type: ignore[arg-type]
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device == "cuda",
        collate_fn=Collator(tok, "captions", captions=2, padding="longest"),
    )
    config = TextConfig(width=width, layers=2, heads=width // 32, mlp=4 * width, projection=width, pad_id=0)
    encoder = TextEncoder(config, device=device)
    scale = torch.nn.Parameter(torch.tensor(1 / 0.07, device=device).log())
    optimizer = torch.optim.AdamW([*encoder.parameters(), scale], lr=1e-3, weight_decay=0.1)
    print(f"{len(images)} images to train on, {len(held_out)} held out")
    found = [found_again(encoder.eval(), tok, held_out)]
    losses = []
    for epoch in range(epochs):
        encoder.train()
        began, total = time.perf_counter(), 0.0
        for ids in (batch.to(device, non_blocking=True).input_ids for batch in loader):
            loss = contrastive_loss(encoder(ids.flatten(0, 1)).text_embeds.unflatten(0, (-1, 2)), scale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                scale.clamp_(max=4.6052)  # ln 100, as in CLIP
            total += loss.item()
        losses.append(total / len(loader))
        if epoch % max(epochs // 10, 1) == 0 or epoch == epochs - 1:
            print(f"epoch {epoch + 1:>3}  loss {losses[-1]:.3f}  {time.perf_counter() - began:.2f} s", flush=True)
    found.append(found_again(encoder.eval(), tok, held_out))
    print(f"held-out images found again by another caption: {found[0]:.0%} before, {found[1]:.0%} after")
    return {"losses": losses, "found": found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--captions", type=Path, default=CAPTIONS, help="JSON lines (default: the 96 images beside this)"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=40, help="images per batch")
    parser.add_argument("--width", type=int, default=64, help="of the tower, a multiple of 32")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    train(options.captions, options.epochs, options.batch, options.width, options.workers)
