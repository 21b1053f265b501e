"""Conditioning of every family in files, equal to the pipeline's own `encode_prompt`, and read back for training."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("diffusers")

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader

from cliptok.batch import BadInputError, embed_files
from cliptok.data import ConditioningDataset
from encoder.test_encoder_stable_diffusion import clip, clip_tokenizer, diffusers, sd, unet, vae

__all__ = ["sd"]  # fixture
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning")]

PROMPTS = ["a cat", "two dogs on the beach, at sunset", "", "a cat", "a red fox! 東京"]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(f'{{"key": "img{row}", "text": "{text}"}}\n' for row, text in enumerate(PROMPTS)))
    return path


def own(pipe: Any, **more: Any) -> Any:
    with torch.no_grad():
        return pipe.encode_prompt(PROMPTS, device="cpu", num_images_per_prompt=1, **more)


@pytest.mark.parametrize("name", ["sd2", "sd3", "flux"])
def test_other_families_equal_the_pipelines_own(name: str, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.safetensors"
    if name == "sd2":
        pipe: Any = diffusers.StableDiffusionPipeline(
            vae=vae(), text_encoder=clip(False, "gelu"), tokenizer=clip_tokenizer(tmp_path / "t", pad="!"),
            unet=unet(cross_attention_dim=32), scheduler=diffusers.DDIMScheduler(), safety_checker=None,
            feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
        wanted = {"prompt_embeds": own(pipe, do_classifier_free_guidance=False)[0]}
    else:
        from encoder.test_encoder_more_pipelines import flux, sd3

        pipe = {"sd3": sd3, "flux": flux}[name](tmp_path)
        # Of SD 3 the job makes the CLIP half: the first 77 positions, and T5's follow.
        if name == "sd3":
            pipe.text_encoder_3 = None  # whose width CLIP's states would be truncated to: 4096 in the real one
            pipe.transformer.register_to_config(joint_attention_dim=64)
            states, _, pooled, _ = own(pipe, prompt_2=None, prompt_3=None, do_classifier_free_guidance=False)
            wanted = {"prompt_embeds": states[:, :77], "pooled_prompt_embeds": pooled}
        else:
            wanted = {"pooled_prompt_embeds": own(pipe, prompt_2=None, max_sequence_length=16)[1]}
    from cliptok.prompts import Conditioner

    cond = Conditioner.from_pipeline(pipe, dialect="diffusers")
    embed_files(prompts, out, pipeline=cond, column="text", batch_size=2)
    data = ConditioningDataset(out)
    assert len(data) == len(PROMPTS) and set(data[0]) == set(wanted)
    for key, values in wanted.items():
        found = torch.stack([row[key] for row in data])
        width = found.shape[-1]
        torch.testing.assert_close(found[..., : values.shape[-1]], values, atol=1e-5, rtol=1e-4)
        assert width == values.shape[-1] or not found[..., values.shape[-1] :].any()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_with_keys_shuffled_in_workers(sd: Any, prompts: Path, tmp_path: Path, workers: int) -> None:
    for stem in ("a", "b"):  # The default is what the dataset reads.
        shutil.copy(prompts, tmp_path / f"{stem}.jsonl")
    inputs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    embed_files(inputs, tmp_path / "out", pipeline=sd[1], column="text", keep="key", device="cpu")
    data = ConditioningDataset(tmp_path / "out")
    assert len(data) == 10 and data[-1]["key"] == "img4"
    wanted = own(sd[0], do_classifier_free_guidance=False)[0]
    loader = DataLoader(
        data, batch_size=3, shuffle=True, num_workers=workers, multiprocessing_context="spawn" if workers else None
    )
    seen = []
    for batch in loader:
        for key, states in zip(batch["key"], batch["prompt_embeds"], strict=True):
            torch.testing.assert_close(states, wanted[int(key[3:])], atol=1e-5, rtol=1e-4)
            seen.append(key)
    assert sorted(seen) == sorted(f"img{row}" for row in range(5) for _ in "ab")


def test_bfloat16_stays(sd: Any, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.safetensors"
    embed_files(prompts, out, pipeline=sd[1], column="text", device="cpu", dtype="bfloat16", part_rows=2)
    row = ConditioningDataset([out])[1]["prompt_embeds"]
    assert row.dtype == torch.bfloat16 and row.shape == (77, 32)
    wanted = own(sd[0], do_classifier_free_guidance=False)[0][1]
    torch.testing.assert_close(row.float(), wanted, atol=0.05, rtol=0.05)
    with pytest.warns(UserWarning, match="parquet does not have: the same values are written as float32"):
        embed_files(prompts, tmp_path / "c.parquet", pipeline=sd[1], column="text", device="cpu", dtype="bfloat16")


def test_states_of_padding_are_not_alike(sd: Any) -> None:
    """Why all 77 positions are stored: what an image model reads after the end of text is different everywhere."""
    states = own(sd[0], do_classifier_free_guidance=False)[0].numpy()
    after = 40  # behind the end of all of them
    one, other = states[0, after:], states[1, after:]
    assert np.abs(one - other).max() > 1e-3  # of two prompts
    assert np.abs(one[0] - one[1:]).max(axis=-1).min() > 1e-3  # of two positions of one
    assert np.array_equal(states[0], states[3])


def test_what_is_no_conditioning_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    (tmp_path / "b.parquet").write_bytes(b"")
    (tmp_path / "c.safetensors").write_bytes(b"")
    (tmp_path / "d.arrow").write_bytes(b"x")
    for name, message in (
        ("a.safetensors", "it has the columns a; expected prompt_embeds or pooled_prompt_embeds"),
        ("b.parquet", "Parquet compresses its pages; write --format arrow or safetensors"),
        ("c.safetensors", "c.safetensors is not a whole safetensors file"),
        ("d.arrow", "damaged"),
        ("e.arrow", "no such file"),
        ("f.txt", "is no output of conditioning"),
    ):
        with pytest.raises(BadInputError, match=message):
            ConditioningDataset(tmp_path / name)
    with pytest.raises(BadInputError, match="source is empty"):
        ConditioningDataset([])


STATES, POOLED = torch.ones(4, 3, 2), torch.ones(4, 2)
WRONG_TENSORS = {
    "no dimension": {"pooled_prompt_embeds": torch.tensor(1.0)},
    "one dimension": {"pooled_prompt_embeds": torch.ones(4)},
    "no positions": {"prompt_embeds": torch.ones(4, 0, 2)},
    "states that are pooled": {"prompt_embeds": POOLED},
    "fewer rows": {"prompt_embeds": STATES, "pooled_prompt_embeds": POOLED[:3]},
    "integers": {"prompt_embeds": STATES.long()},
    "booleans": {"prompt_embeds": STATES.bool()},
    "another tensor": {"prompt_embeds": STATES, "a\nb": torch.tensor(1)},
}


@pytest.mark.parametrize("what", sorted(WRONG_TENSORS))
def test_tensors_that_are_no_conditioning(tmp_path: Path, what: str) -> None:
    from safetensors.torch import save_file

    save_file(WRONG_TENSORS[what], tmp_path / "a.safetensors")
    with pytest.raises(BadInputError, match=r"a\.safetensors is damaged") as caught:
        ConditioningDataset(tmp_path)
    assert str(caught.value).isprintable()


def arrow(path: Path, **columns: Any) -> Path:
    table = pa.table(columns)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


def states(values: Any, kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.list_(pa.list_(kind, 2)))


WRONG_COLUMNS = {
    "numbers": pa.array([1.0]),
    "texts": pa.array(["a"]),
    "rows of any length": pa.array([[[1.0], [1.0, 2.0]]]),
    "integers": states([[[1, 2]]], pa.int32()),
    "no width": pa.array([[[]]], pa.list_(pa.list_(pa.float32(), 0))),
    "a null": states([None], pa.float32()),
    "a null position": states([[None, [1.0, 2.0]]], pa.float32()),
    "a null value": states([[[None, 2.0]]], pa.float32()),
}


@pytest.mark.parametrize("what", sorted(WRONG_COLUMNS))
def test_columns_that_are_no_conditioning(tmp_path: Path, what: str) -> None:
    path = arrow(tmp_path / "a.arrow", prompt_embeds=WRONG_COLUMNS[what])
    with pytest.raises(BadInputError, match=r"a\.arrow is damaged: prompt_embeds (has nulls|is of type)"):
        ConditioningDataset(path)


def test_offsets_that_lead_out_of_the_file(tmp_path: Path) -> None:
    """A key's that does ended the process when its row was read."""
    sound = {
        "prompt_embeds": states([[[1.0, 2.0]], [[3.0, 4.0]] * 2], pa.float32()),
        "key": pa.array(["abcdefg", "hi"]),
    }
    path = arrow(tmp_path / "a.arrow", **sound)
    content, before = path.read_bytes(), np.array([0, 7, 9], "<i4").tobytes()
    assert len(ConditioningDataset(path)) == 2 and content.count(before) == 1
    for offsets in ([0, 1 << 30, 9], [0, -5, 9], [7, 0, 9], [0, 7, 1 << 30]):
        path.write_bytes(content.replace(before, np.array(offsets, "<i4").tobytes()))
        with pytest.raises(BadInputError, match=r"a\.arrow is damaged"):
            ConditioningDataset(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("ending", ["safetensors", "arrow"])
def test_a_pipe_in_the_folder(tmp_path: Path, ending: str) -> None:
    os.mkfifo(tmp_path / f"a.{ending}")
    with pytest.raises(BadInputError, match="is a pipe; expected a file"):
        ConditioningDataset(tmp_path)
