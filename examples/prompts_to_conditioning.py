"""Two images' conditioning from prompts as people type them, for a pipeline that diffusers loads.

python examples/prompts_to_conditioning.py FOLDER --dialect a1111 --out two

FOLDER is a Stable Diffusion 1, 2 or XL pipeline that diffusers saved or downloaded.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from cliptok.prompts import Conditioner

PROMPTS = ["(a red fox:1.3), forest BREAK night, stars", "a [white] cat, (watercolor:0.8)"]
NEGATIVE = "blurry, (low quality:1.4)"


def two_images(pipe: Any, dialect: str, steps: int, **options: Any) -> Any:
    """The pipeline's images for both prompts in a dialect."""
    cond = Conditioner.from_pipeline(pipe, dialect=dialect)
    plan = cond.plan(PROMPTS, negative=NEGATIVE)
    for warning in plan.warnings:
        print(warning)
    return pipe(**cond.encode(plan), num_inference_steps=steps, **options).images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--dialect", default="a1111")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--out", default="image")
    options = parser.parse_args()
    from diffusers import DiffusionPipeline

    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipe = DiffusionPipeline.from_pretrained(options.folder).to(device)
    for number, image in enumerate(two_images(pipe, options.dialect, options.steps)):
        image.save(f"{options.out}-{number}.png")


if __name__ == "__main__":
    main()
