"""Every Python block of README and the guides runs, on small models where it names one of the hub's."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cliptok import TextEncoder, Tokenizer
from cliptok.encoder import TextConfig
from support.blocks import Block, blocks, run

ROOT = Path(__file__).parents[2]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if any(blocks(page))]
CAPTIONS = [f"a photo of {count} cats" for count in range(300)]


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
def world(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, with the files that the pages name, and a hub cache with the models."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("openai/clip-vit-large-patch14", "stabilityai/stable-diffusion-2-1"):
        cached = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        (cached / "refs").mkdir(parents=True)
        (cached / "refs" / "main").write_text("0" * 40)
        (cached / "snapshots").mkdir()
        (cached / "snapshots" / ("0" * 40)).symlink_to(pipeline)
    here = tmp_path / "here"
    (here / "path" / "to").mkdir(parents=True)
    (here / "stable-diffusion-v1-5").symlink_to(pipeline)
    (here / "path" / "to" / "folder").symlink_to(pipeline)
    for folder in ("data", "captions"):
        table(here / folder)
    monkeypatch.chdir(here)
    return here


def table(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    pq.write_table(pa.table({"id": range(300), "caption": CAPTIONS}), folder / "a.parquet")


def sdxl(folder: Path) -> Path:
    """The encoders and tokenizers of an SDXL pipeline: two layers, of the published widths."""
    folder.mkdir()
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


def names_for(page: str, pipeline: Path) -> dict[str, Any]:
    """What a page's reader has already: captions, a dataset, tokens, the encoders of SDXL."""
    import torch

    names: dict[str, Any] = {
        "captions": CAPTIONS,
        "texts": CAPTIONS,
        "prompts": CAPTIONS[:2],
        "prompt": "very " * 100,
        "tensor": torch.empty(300, 77, dtype=torch.int64),
        "samples": [{"caption": [caption, caption]} for caption in CAPTIONS],
        "folder": str(pipeline),
        "pipe": Pipeline(),
    }
    if page == "batch":
        import datasets
        import ray

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
        rows = {"id": list(range(300)), "caption": CAPTIONS}
        names |= {"data": datasets.Dataset.from_dict(rows), "df": Frame()}
        names["ds"] = ray.data.from_items([{"id": 0, "caption": CAPTIONS[0]}])
    if page == "dataloaders":
        image = torch.zeros(3, 224, 224)
        names["dataset"] = [{"caption": caption, "image": image} for caption in CAPTIONS]
        names["shards"] = archive(Path("shard.tar"))
    if page == "design":
        ids = [49406, 320, 2368, 49407]
        names |= {"s": "a cat", "t": "cat</w>", "i": 2368, "ids": ids, "rows": [ids], "dir": "saved"}
        names |= {"folder_or_hub_id": str(pipeline), "folder_file_or_hub_id": str(pipeline), "torch": torch}
        names["input_ids"] = torch.tensor([ids])
    if page in ("encoder", "prompts"):
        from safetensors.torch import save_file

        save_file({"<cat-toy>": torch.ones(2, 768)}, "learned_embeds.safetensors")
        config = TextConfig(width=1280, layers=2, heads=20, mlp=64, projection=1280, activation="gelu", pad_id=0)
        names |= {"enc_2": TextEncoder(config), "tok_2": Tokenizer.from_preset("sdxl-2")}
    return names


def archive(path: Path) -> str:
    import tarfile

    with tarfile.open(path, "w") as tar:
        for name, content in (("0.txt", b"a cat"), ("0.jpg", b"")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return str(path)


def for_this_machine(found: Iterable[Block]) -> Iterator[Block]:
    for block in found:
        yield block._replace(source=block.source.replace('"cuda"', '"cpu"'))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, world: Path, pipeline: Path) -> None:
    names = names_for(page.stem, pipeline)
    if page.parent.name == "prompts":
        from cliptok.prompts import Conditioner

        folder = sdxl(world / "sdxl-folder-or-single-file")
        names["cond"] = Conditioner.from_pretrained(folder, dialect="a1111")
    try:
        for block in for_this_machine(blocks(page)):
            run(block, names, page)
    finally:
        if "ray" in names:
            names["ray"].shutdown()


def test_a_wrong_value_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for source in ("1 + 1  # 3, or so", "[1, 2]\n# [1, 3]", "print(1)\n```\n\n```text\n2"):
        page.write_text(f"```python\n{source}\n```\n")
        (block,) = blocks(page)
        with pytest.raises(AssertionError):
            run(block, {}, page)
    page.write_text("```python\n1 + 1  # 2, or so\n[1, 2]\n# [1, 2]\n```\n")
    assert [run(block, {}, page) for block in blocks(page)] == [2]
