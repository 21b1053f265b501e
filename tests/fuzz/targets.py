"""What strangers hand over, as fuzz targets: sound files of each kind, and what reads them."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from shutil import copytree
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from safetensors.torch import save

from cliptok import Tokenizer
from cliptok._common.errors import BadInputError
from cliptok.batch import check_outputs, tokenize_files
from cliptok.data import ConditioningDataset
from cliptok.data.conditioning import TENSORS
from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.checkpoints.sources import UnsafePickleError
from cliptok.encoder.textual_inversion import read_vectors
from cliptok.encoder.weights import checked_vectors
from cliptok.prompts.sources import from_folder
from support.layouts import write_layout
from support.made import csv, json_lines, packed, tar, text_file

CONFIG = TextConfig(width=16, layers=1, heads=2, mlp=16, positions=8, vocabulary=40, start_id=1, end_id=2, pad_id=0)
TEXTS = ["a photo of a cat", "", "It's “quoted”, “&amp;” 日本語", 'a "b"', "very " * 40] * 4
REFUSED = (ValueError, BadInputError, UnsafePickleError, FileNotFoundError)
"""What a file may give; nothing that derives from these, such as UnicodeDecodeError."""


class Target(NamedTuple):
    """A kind of file: sound ones by name, and what is called once `folder / name` holds a damaged one."""

    sound: dict[str, bytes]
    read: Callable[[Path, str], Any]


def check(target: Target, folder: Path, name: str, content: bytes) -> bool:
    """Whether the file is read. Raises what is no refusal of one line that names the file."""
    path = folder / name
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    try:
        target.read(folder, name)
    except REFUSED as error:
        message = str(error)
        if type(error) not in REFUSED or "\n" in message or str(folder) not in message:
            raise
        return False
    return True


NAMES = (
    "weights",
    "config",
    "open_clip",
    "index",
    "pipeline",
    "tokenizer",
    "inversion",
    "conditioning",
    "job",
    "record",
)


def targets(folder: Path) -> dict[str, Target]:
    """All targets, with what they need in folders of their own below `folder`."""
    rooms = {name: folder / name for name in NAMES}
    for name, room in rooms.items():
        if name != "tokenizer":
            room.mkdir(parents=True)
    encoder = TextEncoder(CONFIG)
    encoder.save_pretrained(rooms["config"])
    model = (rooms["config"] / "model.safetensors").read_bytes()
    config = (rooms["config"] / "config.json").read_bytes()
    tensors = encoder.state_dict()
    return {
        "weights": Target(_weights(model, tensors), lambda room, name: _load(room / name)),
        "config": Target({"config.json": config}, lambda room, name: _load(room)),
        "open_clip": _open_clip(rooms["open_clip"], model),
        "index": _index(rooms["index"], model, config, list(tensors)),
        "pipeline": _pipeline(rooms["pipeline"], rooms["config"]),
        "tokenizer": _tokenizer(rooms["tokenizer"]),
        "inversion": Target(_inversions(), _inversion),
        "conditioning": Target(_conditioning(), _read_conditioning),
        "job": Target(_inputs(), _job),
        "record": _record(rooms["record"]),
    }


def _load(path: Path) -> None:
    TextEncoder.from_pretrained(path, heads=2, activation="gelu")


def _weights(model: bytes, tensors: dict[str, Any]) -> dict[str, bytes]:
    plain, legacy, archive = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save(tensors, plain)
    torch.save(tensors, legacy, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/data.pkl", pickle.dumps({"token_embedding": {"weight": 5}, "transformer": {"a": [1, "x"]}}))
        file.writestr("a/constants.pkl", b"")
    return {"x.safetensors": model, "x.bin": plain.getvalue(), "x.ckpt": legacy.getvalue(), "x.pt": archive.getvalue()}


def _open_clip(room: Path, model: bytes) -> Target:
    (room / "model.safetensors").write_bytes(model)
    text = {
        "width": 16,
        "heads": 2,
        "layers": 1,
        "vocab_size": 40,
        "context_length": 8,
        "mlp_ratio": 1.0,
        "proj_type": "none",
        "norm_kwargs": {"eps": 1e-5},
    }
    content = {"model_cfg": {"embed_dim": 16, "quick_gelu": True, "text_cfg": {**text, "no_causal_mask": False}}}
    return Target({"open_clip_config.json": json.dumps(content).encode()}, lambda room, name: _load(room))


def _index(room: Path, model: bytes, config: bytes, names: list[str]) -> Target:
    (room / "a.safetensors").write_bytes(model)
    (room / "config.json").write_bytes(config)
    from safetensors import safe_open

    with safe_open(room / "a.safetensors", "pt") as file:
        weight_map = dict.fromkeys(file.keys(), "a.safetensors")
    content = json.dumps({"metadata": {"total_size": 5}, "weight_map": weight_map}).encode()
    return Target({"model.safetensors.index.json": content}, lambda room, name: _load(room))


def _pipeline(room: Path, encoder: Path) -> Target:
    copytree(encoder, room / "text_encoder")  # The other one's configuration is damaged.
    write_layout(room / "tokenizer", "sd1")
    index = {"_class_name": "StableDiffusionPipeline", "text_encoder": ["transformers", "CLIPTextModel"]}
    index |= {"tokenizer": ["transformers", "CLIPTokenizer"], "force_zeros_for_empty_prompt": True}
    return Target(
        {"model_index.json": json.dumps(index).encode()},
        lambda room, name: from_folder(room, None, "cpu", None, {}),
    )


def _tokenizer(room: Path) -> Target:
    """A folder with tokenizer.json and all the older files; damaged ones lie over sound ones."""
    write_layout(room, "sd1")
    Tokenizer.from_pretrained(room).save_pretrained(room, legacy_format=False)
    names = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json")
    sound = {name: (room / name).read_bytes() for name in names if (room / name).is_file()}

    def read(room: Path, name: str) -> None:
        try:
            Tokenizer.from_pretrained(room)("a photo of a cat")
        finally:
            (room / name).write_bytes(sound[name])

    return Target(sound, read)


def _inversions() -> dict[str, bytes]:
    found = {}
    for name, content in {
        "a.pt": {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(2, 16)}, "name": "n"},
        "b.bin": {"<x>": torch.ones(16)},
        "c.bin": {"clip_l": torch.ones(1, 16), "clip_g": torch.ones(1, 24)},
    }.items():
        file = io.BytesIO()
        torch.save(content, file)
        found[name] = file.getvalue()
    return {**found, "d.safetensors": save({"emb_params": torch.ones(2, 16)})}


def _inversion(room: Path, name: str) -> None:
    where, _, vectors = read_vectors(room / name, 16)
    checked_vectors(vectors, where, 16, torch.float32)


def _conditioning() -> dict[str, bytes]:
    states, pooled = torch.rand(4, 3, 2), torch.rand(4, 2)
    table = pa.table(
        {
            "prompt_embeds": pa.array(states.tolist(), pa.list_(pa.list_(pa.float32(), 2))),
            "pooled_prompt_embeds": pa.array(pooled.tolist(), pa.list_(pa.float32(), 2)),
            "key": pa.array(["a", None, "bc", "é"]),
        }
    )
    file = io.BytesIO()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return {
        "a.arrow": file.getvalue(),
        "b.safetensors": save({"prompt_embeds": states, "pooled_prompt_embeds": pooled}),
    }


def _read_conditioning(room: Path, name: str) -> None:
    data = ConditioningDataset(room / name)
    for row in range(min(len(data), 100)):
        assert all(value.is_floating_point() for key, value in data[row].items() if key in TENSORS)


def _inputs() -> dict[str, bytes]:
    plain = {"txt": text_file(TEXTS), "jsonl": json_lines(TEXTS), "csv": csv(TEXTS), "tsv": csv(TEXTS, "\t")}
    plain["tar"] = tar(TEXTS)
    more = {f"{kind}.{how}": packed(content, how) for kind, content in plain.items() for how in ("gz", "zst")}
    return {f"in.{kind}": content for kind, content in {**plain, **more}.items()}


def _job(room: Path, name: str) -> None:
    column = {} if ".txt" in name or ".tar" in name else {"column": "caption"}
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        tokenize_files([room / name], room / "out.npy", overwrite=True, **column)


def _record(room: Path) -> Target:
    """The record of finished outputs: a damaged one is made anew, and `check` names it."""
    source = room / "in.txt"
    source.write_bytes(text_file(TEXTS))
    sound = {}
    for kind in ("npy", "parquet", "safetensors"):
        tokenize_files([source], room / kind, format=kind)
        for path in (room / kind).iterdir():
            sound[f"{kind}/{path.name}"] = path.read_bytes()

    def read(room: Path, name: str) -> None:
        folder = (room / name).parent
        check_outputs(folder)
        tokenize_files([source], folder, format=folder.name, resume=True)

    return Target(sound, read)
