"""Every Python block of README and the guides runs by itself, on small models where it names one of the hub's."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cliptok import TextEncoder, Tokenizer
from cliptok.encoder import TextConfig
from support.blocks import blocks, run
from support.snippet import CAPTIONS, PIPELINE, SDXL

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCKS = [(page, block.line) for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion's folder, tiny but for the encoder's width; encoder and tokenizer are at the top too."""
    pytest.importorskip("diffusers")
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    folder = tmp_path_factory.mktemp("hub") / "pipeline"
    unet = UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 8),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=768,
    )
    unused = dict.fromkeys(("safety_checker", "feature_extractor", "text_encoder", "tokenizer"))
    pipe = StableDiffusionPipeline(
        **unused, vae=AutoencoderKL(block_out_channels=(8,), norm_num_groups=4), unet=unet, scheduler=DDIMScheduler()
    )
    pipe.save_pretrained(folder)
    Tokenizer().save_pretrained(folder / "tokenizer")
    Tokenizer().save_pretrained(folder)
    encoder = TextEncoder(TextConfig(width=768, layers=1, heads=12, mlp=768, projection=768, architecture="CLIPModel"))
    encoder.save_pretrained(folder / "text_encoder")
    for path in (folder / "text_encoder").iterdir():
        (folder / path.name).hardlink_to(path)
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def world(pipeline: Path, sdxl: Path, tmp_path: Path) -> Path:
    """A folder to run in, with the files that the pages name, and beside it a hub cache with the models."""
    import torch
    from safetensors.torch import save_file

    for name in ("openai/clip-vit-large-patch14", "stabilityai/stable-diffusion-2-1"):
        cached = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        (cached / "refs").mkdir(parents=True)
        (cached / "refs" / "main").write_text("0" * 40)
        (cached / "snapshots").mkdir()
        (cached / "snapshots" / ("0" * 40)).symlink_to(pipeline)
    here = tmp_path / "here"
    (here / "path" / "to").mkdir(parents=True)
    (here / PIPELINE).symlink_to(pipeline)
    (here / "path" / "to" / "folder").symlink_to(pipeline)
    for folder in ("data", "captions"):
        table(here / folder)
    archive(here / "shard.tar")
    save_file({"<cat-toy>": torch.ones(2, 768)}, here / "learned_embeds.safetensors")
    (here / SDXL).symlink_to(sdxl)
    return here


def table(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    pq.write_table(pa.table({"id": range(300), "caption": CAPTIONS}), folder / "a.parquet")


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoders and tokenizers of an SDXL pipeline: two layers, of the published widths."""
    folder = tmp_path_factory.mktemp("sdxl")
    first = TextConfig(width=768, layers=2, heads=12, mlp=64)
    second = TextConfig(width=1280, layers=2, heads=20, mlp=64, projection=1280, activation="gelu", pad_id=0)
    for number, (config, preset) in enumerate(((first, "sdxl"), (second, "sdxl-2")), 1):
        end = "" if number == 1 else f"_{number}"
        TextEncoder(config).save_pretrained(folder / f"text_encoder{end}")
        Tokenizer.from_preset(preset).save_pretrained(folder / f"tokenizer{end}")
    kinds = {"text_encoder": "CLIPTextModel", "text_encoder_2": "CLIPTextModelWithProjection"}
    index = {name: ["transformers", kind] for name, kind in kinds.items()}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionXLPipeline", **index}))
    return folder


def archive(path: Path) -> None:
    import tarfile

    with tarfile.open(path, "w") as tar:
        for name, content in (("0.txt", b"a cat"), ("0.jpg", b"")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(("page", "line"), BLOCKS, ids=lambda value: getattr(value, "stem", str(value)))
def test_block_alone(page: Path, line: int, world: Path) -> None:
    """In a process of its own, with nothing of the blocks before it."""
    environment = {"PYTHONPATH": str(ROOT / "tests"), "HF_HUB_CACHE": str(world.parent / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "support.snippet", page, str(line)],
        cwd=world,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr


def test_a_wrong_value_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for source in ("1 + 1  # 3, or so", "[1, 2]\n# [1, 3]", "print(1)\n```\n\n```text\n2"):
        page.write_text(f"```python\n{source}\n```\n")
        (block,) = blocks(page)
        with pytest.raises(AssertionError):
            run(block, {}, page)
    page.write_text("```python\n1 + 1  # 2, or so\n[1, 2]\n# [1, 2]\n```\n")
    assert [run(block, {}, page) for block in blocks(page)] == [2]
