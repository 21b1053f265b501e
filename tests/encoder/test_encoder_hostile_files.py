"""Checkpoints that are damaged in every part: one line that names the file, at once, no other kind of error."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cliptok import Tokenizer
from cliptok._common.errors import MAX_MESSAGE
from cliptok.encoder import TextConfig, TextEncoder, verify
from cliptok.encoder.checkpoints.sources import open_source
from cliptok.prompts.sources import from_folder
from support.refused import refused

CONFIG = TextConfig(width=32, layers=2, heads=2, mlp=64, positions=16, vocabulary=600, start_id=1, end_id=2, pad_id=0)
FOREIGN = [None, "x", "", [], [1], {}, {"a": 1}, -1, 1.5, 10**30, -(10**30), True, 1e300]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    TextEncoder(CONFIG).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tensors(saved):
    from safetensors.torch import load_file

    return load_file(saved / "model.safetensors")


def header(value: object, data: bytes = bytes(64)) -> bytes:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(content)) + content + data


JSON_RUBBISH = [
    b"",
    b" ",
    b"{",
    b"[]",
    b"null",
    b"5",
    b'"x"',
    b"\xff\xfe{",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"\0" * 9,
]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"\0" * 8,
        struct.pack("<Q", 1 << 63) + b"{}",
        struct.pack("<Q", 200_000_000) + b"{}",
        *map(header, JSON_RUBBISH),
        *(header({"token_embedding.weight": value}) for value in FOREIGN),
        *(
            header({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], field: value}})
            for field in ("dtype", "shape", "data_offsets")
            for value in (*FOREIGN, [0], [0, None], ["a", "b"], [4, 0], [0.5, 4], [True, 4], [0, 1 << 80], [[0], [4]])
            if value not in ("", "x") or field != "dtype"
        ),
        header({"w": {"dtype": "F32", "shape": [1]}}),
        header({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}),
        header({"w": {"dtype": "NO", "shape": [1], "data_offsets": [0, 4]}}),
        header({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 1 << 40]}}),
    ],
    ids=lambda content: repr(content[8:60]),
)
def test_safetensors_headers(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    refused(path)


LAYER = "text_model.encoder.layers.0.layer_norm1.bias"


def test_a_header_with_a_name_twice(saved, tmp_path):
    """Which of the two is meant nobody knows. Other JSON is read as its own library does: the last counts."""
    content = (saved / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    name = next(iter(entries.keys() - {"__metadata__"}))
    twice = content[8 : 8 + length].rstrip()[:-1] + b"," + json.dumps({name: entries[name]})[1:].encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(header(twice, content[8 + length :]))
    refused(path, name, "twice")
    shape_twice = content[8 : 8 + length].replace(b'"shape":', b'"shape":[5],"shape":', 1)
    path.write_bytes(header(shape_twice, content[8 + length :]))
    refused(path, "shape", "twice")
    (tmp_path / "config.json").write_text('{"hidden_size": 5, ' + (saved / "config.json").read_text().lstrip()[1:])
    (tmp_path / "model.safetensors").write_bytes(content)
    assert TextEncoder.from_pretrained(tmp_path).config.width == CONFIG.width


@pytest.mark.parametrize("number", ["3", "100000000", "1000000000000000000", "-1", "01", "٣", "²", "9" * 5000, "1e3"])
def test_layer_numbers(tmp_path, tensors, number):
    path = tmp_path / "x.safetensors"
    save_file({**tensors, LAYER.replace(".0.", f".{number}."): torch.zeros(32)}, path)
    refused(path)


@pytest.mark.parametrize("name", [LAYER, "text_model.embeddings.token_embedding.weight", "text_projection.weight"])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_dtypes_that_are_no_weights(tmp_path, tensors, name, dtype):
    path = tmp_path / "x.safetensors"
    try:
        save_file({**tensors, name: tensors.get(name, torch.zeros(32, 32)).to(dtype)}, path)
    except KeyError as error:  # safetensors before 0.5
        pytest.skip(f"this safetensors writes no {error}")
    refused(path, name, str(dtype))


@pytest.mark.parametrize("shape", [(), (1,), (0, 32), (1, 2, 3)])
@pytest.mark.parametrize(
    "name",
    [
        LAYER,
        "text_model.embeddings.token_embedding.weight",
        "text_model.embeddings.position_embedding.weight",
        "text_model.encoder.layers.0.mlp.fc1.weight",
        "text_projection.weight",
    ],
)
def test_shapes_that_are_none(tmp_path, tensors, name, shape):
    path = tmp_path / "x.safetensors"
    save_file({**tensors, name: torch.zeros(shape)}, path)
    refused(path)


@pytest.mark.parametrize("value", [torch.zeros(32, device="meta"), torch.zeros(32).to_sparse(), 5, None, "x"])
def test_state_dicts_with_what_is_no_weight(tensors, value):
    with pytest.raises(ValueError, match=r"layer_norm1\.bias"):
        TextEncoder.from_pretrained({**tensors, LAYER: value}, heads=2)


INDEXES = [
    *FOREIGN,
    *({"weight_map": value} for value in FOREIGN if value != {"a": 1}),
    *({"weight_map": {"a": value}} for value in (*FOREIGN, "../../x", "/etc/passwd", "..", "a\\b", "\0", "\ud800")),
]


def with_index(saved: Path, folder: Path, content: bytes) -> Path:
    (folder / "config.json").write_bytes((saved / "config.json").read_bytes())
    path = folder / "model.safetensors.index.json"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("value", INDEXES, ids=lambda value: repr(value)[:40])
def test_indexes(saved, tmp_path, value):
    path = with_index(saved, tmp_path, json.dumps(value).encode())
    with pytest.raises(ValueError, match=r"index\.json|no CLIP text tower") as caught:
        TextEncoder.from_pretrained(tmp_path)
    assert type(caught.value) is ValueError and str(path) in str(caught.value)


@pytest.mark.parametrize("content", JSON_RUBBISH, ids=lambda content: repr(content[:8]))
@pytest.mark.parametrize("name", ["model.safetensors.index.json", "config.json", "open_clip_config.json"])
def test_rubbish_as_json(saved, tmp_path, name, content):
    with_index(saved, tmp_path, b"{}")
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, source=tmp_path)


@pytest.fixture
def folder(saved, tmp_path):
    (tmp_path / "model.safetensors").symlink_to(saved / "model.safetensors")
    return tmp_path


SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
OTHERS = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id", "layer_norm_eps", "projection_dim")
MAY_BE_NULL = (
    *("bos_token_id", "eos_token_id", "pad_token_id", "projection_dim", "model_type", "architectures"),
    *("attention_dropout", "quantization_config"),
)
MAY_BE = {("architectures", "[]"), ("quantization_config", "{}"), ("attention_dropout", "0")} | {
    (name, "[1]") for name in MAY_BE_NULL if name.endswith("_id")
}


NAMES = ("hidden_act", "model_type", "architectures", "text_config", "attention_dropout", "quantization_config")


@pytest.mark.parametrize("key", [*SIZES, *OTHERS, *NAMES])
def test_configurations(saved, folder, key):
    content = json.loads((saved / "config.json").read_text())
    for value in (*FOREIGN, 0):
        if (value is None and key in MAY_BE_NULL) or (key, repr(value)) in MAY_BE:
            continue
        if value == 0 and value is not False and key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            continue
        (folder / "config.json").write_text(json.dumps({**content, key: value}))
        refused(folder / "config.json", source=folder)


FLAGS = ("embed_cls", "no_causal_mask", "quick_gelu")
OPTIONS = (*FLAGS, "norm_kwargs", "hf_model_name", "hf_tokenizer_name")


@pytest.mark.parametrize("key", ["width", "heads", "layers", "vocab_size", "context_length", "pad_id", *OPTIONS])
def test_open_clips_configurations(saved, folder, key):
    text = {"width": 32, "heads": 2, "layers": 2, "vocab_size": 600, "context_length": 16}
    for value in FOREIGN:
        is_meant = (value is True and key in FLAGS) or (value == "" and key.startswith("hf_"))
        if is_meant or (value is None and key in OPTIONS) or (key == "norm_kwargs" and value in ({}, {"a": 1})):
            continue
        model = {"embed_dim": 32, "text_cfg": {**text, key: value}}
        if key == "quick_gelu":
            model = {"embed_dim": 32, "text_cfg": text, key: value}
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
        refused(folder / "open_clip_config.json", source=folder)


@pytest.mark.parametrize("value", [*FOREIGN, *({"text_encoder": value} for value in FOREIGN)], ids=repr)
def test_indexes_of_pipelines(tmp_path, value):
    (tmp_path / "model_index.json").write_text(json.dumps(value))
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        from_folder(tmp_path, None, "cpu", torch.float32, {})
    assert type(caught.value) in (ValueError, FileNotFoundError) and str(tmp_path) in str(caught.value)


NAMES_OF_TENSORS = ["a\nb", "\0", "\x1b[2J", "\u202e", "\u2028", "x" * 1_000_000, "text_model.a\r\nb"]


@pytest.mark.parametrize("name", NAMES_OF_TENSORS, ids=lambda name: repr(name[:12]))
def test_names_of_tensors_that_cannot_be_printed(saved, tmp_path, tensors, name):
    """Errors are one line, which a terminal shows as it is, and not a million characters long."""
    path = tmp_path / "x.safetensors"
    first = next(iter(tensors))
    (tmp_path / "index").mkdir()
    index = tmp_path / "index" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: "a.safetensors"}}))
    (tmp_path / "index" / "a.safetensors").write_bytes((saved / "model.safetensors").read_bytes())
    calls = [
        lambda: TextEncoder.from_pretrained(index.parent),
        lambda: TextEncoder.from_pretrained({**tensors, f"text_model.{name}": torch.ones(1)}),
    ]
    for content in ({name: tensors[first]}, {**tensors, f"text_model.{name}": torch.ones(1)}):
        torch.save(content, tmp_path / "x.pt")
        save_file(content, path)
        calls += [lambda p=p: TextEncoder.from_pretrained(p) for p in (path, tmp_path / "x.pt")]
        calls += [lambda: from_folder(path, None, "cpu", None, {}), lambda: verify(path)]
    path.write_bytes(header({"a": {"dtype": name, "shape": [1], "data_offsets": [0, 4]}}))
    calls += [lambda: TextEncoder.from_pretrained(path)]
    for call in calls:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call()
        assert str(caught.value).isprintable() and len(str(caught.value)) <= MAX_MESSAGE


PLACES = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to no file": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("what", sorted(PLACES))
@pytest.mark.parametrize("name", ["x.safetensors", "x.pt", "x.bin"])
def test_what_is_no_file(tmp_path, what, name):
    """Opening a pipe would wait for ever."""
    path = tmp_path / name
    PLACES[what](path)
    encoder = TextEncoder(CONFIG)
    for call in (
        lambda: encoder.load_textual_inversion(path, Tokenizer(), "<new>"),
        lambda: open_source(path),
        lambda: TextEncoder.from_pretrained(path),
    ):
        with pytest.raises(FileNotFoundError, match=name):
            call()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("what", sorted(PLACES))
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.json"])
def test_what_is_no_file_in_a_folder(saved, tmp_path, what, name):
    """It is not taken for missing: another file, or a guess, would stand in for it."""
    (tmp_path / "m").mkdir()
    for file in saved.iterdir():
        (tmp_path / "m" / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "m" / name
    path.unlink(missing_ok=True)
    PLACES[what](path)
    with pytest.raises(FileNotFoundError, match=name):
        TextEncoder.from_pretrained(tmp_path / "m")


def test_a_width_that_does_not_fit_the_argument(tmp_path, tensors):
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"x\.safetensors: width 32 is not a multiple of heads 7"):
        TextEncoder.from_pretrained(tmp_path / "x.safetensors", heads=7, activation="gelu")
