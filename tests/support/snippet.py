"""Runs one Python block of a page by itself: `python -m support.snippet PAGE LINE`, in the folder that it is to run in.

It has the names that a page's reader brings along, each made when the block uses it, and nothing of other blocks.
"""

from __future__ import annotations

import ast
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from support.blocks import blocks, run

CAPTIONS = [f"a photo of {count} cats" for count in range(300)]
PIPELINE = "stable-diffusion-v1-5"
"""The folder of a pipeline."""
SDXL = "sdxl-folder-or-single-file"


class Pipeline:
    """What a diffusers pipeline does with a conditioning, but for the images."""

    def __call__(self, prompt_embeds: Any, negative_prompt_embeds: Any = None, **others: Any) -> Any:
        assert prompt_embeds.ndim == 3
        return SimpleNamespace(images=[None] * len(prompt_embeds))


class Frame:
    """What a Spark DataFrame does with a function over Arrow batches."""

    def mapInArrow(self, function: Any, schema: str) -> None:  # noqa: N802
        import pyarrow as pa

        batch = pa.record_batch({"id": pa.array(range(300)), "caption": CAPTIONS})
        (out,) = function(iter([batch]))
        assert out.schema.names == [field.split()[0] for field in schema.split(", ")]


def _tensor() -> Any:
    import torch

    return torch.empty(300, 77, dtype=torch.int64)


def _dataset() -> Any:
    import datasets

    return datasets.Dataset.from_dict({"id": list(range(300)), "caption": CAPTIONS})


def _ray_dataset() -> Any:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    return ray.data.from_items([{"id": 0, "caption": CAPTIONS[0]}])


def _pairs() -> Any:
    import torch

    return [{"caption": caption, "image": torch.zeros(3, 224, 224)} for caption in CAPTIONS]


def _encoder() -> Any:
    from cliptok import TextEncoder

    return TextEncoder.from_pretrained("openai/clip-vit-large-patch14")


def _wide_encoder() -> Any:
    from cliptok import TextEncoder
    from cliptok.encoder import TextConfig

    return TextEncoder(TextConfig(width=1280, layers=2, heads=20, mlp=64, projection=1280, activation="gelu", pad_id=0))


def _conditioner() -> Any:
    from cliptok.prompts import Conditioner

    return Conditioner.from_pretrained(SDXL, dialect="a1111")


def _ids() -> Any:
    import torch

    return torch.tensor([[49406, 320, 2368, 49407]])


NAMES: dict[str, Callable[[], Any]] = {
    "captions": lambda: CAPTIONS,
    "texts": lambda: CAPTIONS,
    "prompts": lambda: CAPTIONS[:2],
    "prompt": lambda: "very " * 100,
    "samples": lambda: [{"caption": [caption, caption]} for caption in CAPTIONS],
    "shards": lambda: "shard.tar",
    "folder": lambda: PIPELINE,
    "folder_or_hub_id": lambda: PIPELINE,
    "folder_file_or_hub_id": lambda: PIPELINE,
    "dir": lambda: "saved",
    "tensor": _tensor,
    "dataset": _pairs,
    "data": _dataset,
    "ds": _ray_dataset,
    "df": Frame,
    "pipe": Pipeline,
    "enc": _encoder,
    "enc_2": _wide_encoder,
    "cond": _conditioner,
    "input_ids": _ids,
    "s": lambda: "a cat",
    "t": lambda: "cat</w>",
    "i": lambda: 2368,
    "ids": lambda: [49406, 320, 2368, 49407],
    "rows": lambda: [[49406, 320, 2368, 49407]],
}
"""What a reader has before a block: texts, data, a pipeline, and where the text before the block says so an encoder."""


def main(page: Path, line: int) -> None:
    (block,) = (block for block in blocks(page) if block.line == line)
    block = block._replace(source=block.source.replace('"cuda"', '"cpu"'))
    used = {node.id for node in ast.walk(ast.parse(block.source)) if isinstance(node, ast.Name)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(block, {name: NAMES[name]() for name in used & NAMES.keys()}, page)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # Ray and loaders' workers take their time.
