"""What is said of checkpoints that do not load, word for word: the file, the tensors, the remedy."""

from __future__ import annotations

import json
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.checkpoints import safetensors_file
from cliptok.encoder.checkpoints.folders import Directory
from cliptok.encoder.checkpoints.safetensors_file import SafetensorsSource
from cliptok.encoder.checkpoints.sources import ShardedSource

T = "text_model."
BLOCK = f"{T}encoder.layers.0."
TABLE = f"{T}embeddings.token_embedding.weight"
NORM = f"{T}final_layer_norm."
WHOLE = "the state dict is no whole CLIP text tower; "
DENSE = "the state dict has weights that are no dense floating-point numbers, in "


@pytest.fixture
def weights():
    """A small encoder's weights."""
    return TextEncoder(
        TextConfig(width=64, layers=2, heads=1, mlp=128, positions=8, vocabulary=600, projection=32)
    ).state_dict()


CHANGES = [
    (
        {TABLE: torch.zeros(30000, 64)},
        "the state dict has a vocabulary of 30000, and CLIP's has 49408: it is made for another tokenizer, and such "
        "towers often have another mask and pooling too. The library that released it computes it",
    ),
    (
        {f"{T}head.weight": torch.zeros(1)},
        "the state dict holds SigLIP's text tower, which attends in both directions; transformers' SiglipTextModel "
        f"computes it (unknown: {T}head.weight)",
    ),
    (
        {f"{NORM}bias": torch.zeros(64, dtype=torch.int8)},
        f"{DENSE}{NORM}bias (integers, torch.int8): it is quantized, and its scales are not known here; load the "
        "original, or dequantize it first",
    ),
    ({f"{NORM}bias": torch.zeros(64, dtype=torch.complex64)}, f"{DENSE}{NORM}bias (complex, torch.complex64)"),
    ({f"{BLOCK}mlp.fc1.weight": None}, f"{WHOLE}missing: {BLOCK}mlp.fc1.weight"),
    (
        {f"{BLOCK}mlp.fc2.bias": None, f"{T}extra": torch.zeros(1), f"{NORM}bias": torch.zeros(63)},
        f"{WHOLE}missing: {BLOCK}mlp.fc2.bias; wrongly shaped: {NORM}bias (63,) for (64,); unknown: {T}extra",
    ),
    (
        {f"{T}embeddings.position_embedding.weight": None},
        f"{WHOLE}missing: {T}embeddings.position_embedding.weight",
    ),
    ({TABLE: torch.zeros(600)}, f"{WHOLE}wrongly shaped: {TABLE} (600,), two sizes expected"),
    ({TABLE: torch.zeros(0, 64)}, f"{WHOLE}wrongly shaped: {TABLE} (0, 64), two sizes expected"),
    (
        {f"{T}encoder.layers.3.layer_norm1.bias": torch.zeros(64)},
        f"{WHOLE}missing: {T}encoder.layers.2. (blocks go to 3)",
    ),
    (
        {TABLE: None},
        "the state dict holds no CLIP text tower: no tensor is called token_embedding.weight (names begin with "
        "text_model, text_projection)",
    ),
    (
        {"a.token_embedding.weight": torch.zeros(600, 64)},
        'the state dict holds 2 text towers; choose one with encoder="a.", "text_model.", not None',
    ),
    ({"x": 1}, "the state dict holds int under 'x'; expected tensors by their names"),
    ({1: torch.zeros(1)}, "the state dict holds Tensor under 1; expected tensors by their names"),
    (
        {f"{NORM}bias": torch.full((64,), torch.inf), f"{NORM}weight": torch.full((64,), torch.nan)},
        f"the state dict has values that are not finite in torch.float32, in {NORM}bias, {NORM}weight",
    ),
]


@pytest.mark.parametrize(("changes", "message"), CHANGES, ids=range(len(CHANGES)))
def test_state_dicts(weights, changes, message):
    changed = {name: value for name, value in {**weights, **changes}.items() if value is not None}
    with pytest.raises(ValueError, match="the state dict") as error:
        TextEncoder.from_pretrained(changed, activation="gelu")
    assert str(error.value) == message


def test_an_empty_state_dict():
    with pytest.raises(ValueError, match=r"weight \(names begin with nothing\)$"):
        TextEncoder.from_pretrained({})


ARGUMENTS = [
    ({"layers": 3}, "layers must be at most the file's 2, not 3"),
    ({"num_hidden_layers": 3}, "layers must be at most the file's 2, not 3"),
    ({"layers": 0}, "layers must be at least 1 and at most 1000, not 0"),
    ({"projection": 31}, "projection must be None or the file's 32, not 31"),
    ({"bar": 1, "baz": 2}, "from_pretrained has no argument bar, baz"),
    ({"device_map": 1}, 'from_pretrained has no argument device_map; give device=, such as device="cuda"'),
    ({"hidden_act": "gelu"}, "from_pretrained has no argument hidden_act; give activation="),
    (
        {"encoder": "clip_l"},
        "the state dict holds 1 text towers; choose one with encoder=\"text_model.\", not 'clip_l'",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS)
def test_arguments(weights, arguments, message):
    with pytest.raises((ValueError, TypeError)) as error:
        TextEncoder.from_pretrained(weights, **{"activation": "gelu", **arguments})
    assert str(error.value) == message


def test_arguments_that_fit(weights):
    loaded = TextEncoder.from_pretrained(weights, activation="gelu", layers=1, projection=32, torch_dtype=torch.float16)
    assert (loaded.config.layers, loaded.config.projection, loaded.dtype) == (1, 32, torch.float16)
    loaded = TextEncoder.from_pretrained(weights, activation="gelu", dtype=torch.bfloat16, torch_dtype=torch.float16)
    assert loaded.dtype == torch.bfloat16
    assert TextEncoder.from_pretrained(weights, activation="gelu", encoder="text_model").dtype == torch.float32


def entry(**changes):
    return {"a": {"shape": [1], "data_offsets": [0, 4], "dtype": "F32", **changes}}


LONGER = "is not a whole safetensors file: its header is longer than the file"
OF_A = "of 'a' in the header"
HEADERS = [
    (b"", LONGER),
    (struct.pack("<Q", 3) + b"{}", LONGER),
    ([], "is no safetensors file: the header is of type list; expected dict"),
    ({"a": 1}, "is no safetensors file: 'a' in the header is of type int; expected dict"),
    (entry(data_offsets=None), f"is no safetensors file: data_offsets {OF_A} is null; expected list"),
    (entry(shape=1), f"is no safetensors file: shape {OF_A} is of type int; expected list"),
    (entry(shape=[1.5]), f"is no safetensors file: a size {OF_A} is of type float; expected int"),
    (entry(shape=[-1]), f"is no safetensors file: a size {OF_A} is out of range"),
    (entry(shape=[1 << 63]), f"is no safetensors file: a size {OF_A} is out of range"),
    (
        entry(data_offsets=[0, 1, 2, 3, 4]),
        f"is no safetensors file: data_offsets {OF_A} are 0, 1, 2, 3 and 1 more; expected where it begins and ends",
    ),
    (
        entry(data_offsets=[4, 0]),
        f"is no safetensors file: data_offsets {OF_A} are 4, 0; expected where it begins and ends",
    ),
    (entry(data_offsets=[0, "x"]), f"is no safetensors file: an offset {OF_A} is of type str; expected int"),
    (entry(dtype=1), f"is no safetensors file: dtype {OF_A} is of type int; expected str"),
    (entry(data_offsets=[0, 5]), "is not a whole safetensors file; cut short: a"),
]


@pytest.mark.parametrize(("header", "message"), HEADERS)
def test_safetensors_headers(tmp_path, header, message):
    path = tmp_path / "one.safetensors"
    text = json.dumps(header).encode() if not isinstance(header, bytes) else b""
    path.write_bytes(header if isinstance(header, bytes) else struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(ValueError, match="safetensors") as error:
        SafetensorsSource(path)
    assert str(error.value) == f"{path} {message}"


def test_the_smallest_safetensors_files(tmp_path):
    path = tmp_path / "one.safetensors"
    path.write_bytes(struct.pack("<Q", 2) + b"{}")
    assert SafetensorsSource(path).shapes() == {}
    save_file({"a": torch.ones(1, 2), "b": torch.zeros(0)}, path)
    assert SafetensorsSource(path).shapes() == {"a": (1, 2), "b": (0,)}
    assert SafetensorsSource(path).read("a").tolist() == [[1, 1]]


def test_the_longest_header(tmp_path, monkeypatch):
    path = tmp_path / "one.safetensors"
    save_file({"a": torch.ones(1)}, path)
    length = int.from_bytes(path.read_bytes()[:8], "little")
    monkeypatch.setattr(safetensors_file, "MAX_HEADER_BYTES", length)
    assert SafetensorsSource(path).shapes() == {"a": (1,)}
    monkeypatch.setattr(safetensors_file, "MAX_HEADER_BYTES", length - 1)
    with pytest.raises(ValueError, match="header") as error:
        SafetensorsSource(path)
    assert str(error.value) == f"{path} has a header of {length} bytes; at most {length - 1} are read"


def test_pickles_of_a_gpu_load_without_one(weights, tmp_path):
    torch.save(dict(weights), tmp_path / "cpu.pt")
    with zipfile.ZipFile(tmp_path / "cpu.pt") as old, zipfile.ZipFile(tmp_path / "cuda.pt", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("data.pkl"):
                content = content.replace(b"X\x03\0\0\0cpu", b"X\x07\0\0\0cuda:99")
                assert b"cuda:99" in content
            new.writestr(name, content)
    encoder = TextEncoder.from_pretrained(tmp_path / "cuda.pt", activation="gelu")
    assert torch.equal(encoder.state_dict()["text_projection.weight"], weights["text_projection.weight"])


@pytest.mark.parametrize("changes", [{"causal": False}, {"class_token": True}])
def test_towers_that_transformers_has_no_class_for(tmp_path, changes):
    encoder = TextEncoder(TextConfig(width=64, layers=1, heads=1, mlp=64, vocabulary=600, **changes))
    with pytest.raises(ValueError, match="causal") as error:
        encoder.save_pretrained(tmp_path)
    assert str(error.value) == (
        "transformers' CLIP text models have a causal mask and no class token, so this tower has no such files; keep "
        "the checkpoint that it came from, or torch.save its state_dict()"
    )
    assert list(tmp_path.iterdir()) == []


INDEXES = [
    ({}, ": weight_map is null; expected dict"),
    ({"weight_map": {"a": 1}}, ": the file of a is of type int; expected str"),
    *(
        ({"weight_map": {"a": name}}, f" names the shard {name!r}, which is no name of a file beside it")
        for name in ("../s.safetensors", "", ".", "..", "x\\y")
    ),
    ({"weight_map": {"b": "no", "a": "no"}}, " names the shard no, which is missing; it holds a, b"),
    ({"weight_map": {"b": "s.safetensors"}}, " places b in s.safetensors, which does not hold it"),
]


@pytest.mark.parametrize(("content", "message"), INDEXES)
def test_indexes(tmp_path, content, message):
    save_file({"a": torch.zeros(1)}, tmp_path / "s.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="index") as error:
        ShardedSource(index, Directory(tmp_path).find)
    assert str(error.value) == f"{index}{message}"


NAMES = [f"{stem}{end}" for stem in ("model.safetensors", "open_clip_model.safetensors") for end in ("", ".index.json")]
NAMES += ["pytorch_model.bin", "pytorch_model.bin.index.json", "open_clip_pytorch_model.bin"]
VARIANTS = [
    *("model.fp16.safetensors", "model.safetensors.index.fp16.json", "model.fp16.safetensors.index.json"),
    *("open_clip_model.fp16.safetensors", "open_clip_model.safetensors.index.fp16.json"),
    *("open_clip_model.fp16.safetensors.index.json", "pytorch_model.fp16.bin", "pytorch_model.bin.index.fp16.json"),
    *("pytorch_model.fp16.bin.index.json", "open_clip_pytorch_model.fp16.bin"),
]
FOLDERS = [
    ([], None, ""),
    ([], "fp16", ""),
    (["notes.txt"], None, "; there are notes.txt"),
    ([f"{i}.txt" for i in range(9)], None, f"; there are {', '.join(f'{i}.txt' for i in range(8))}"),
    (["a.pt", "b.bin"], None, "; there are a.pt, b.bin: give the path of the one that you mean"),
    (["model.fp16.safetensors", "b.bin"], None, '; it has the fp16 variant only: give variant="fp16"'),
    (
        ["model_index.json", "b.bin"],
        None,
        '; it is a diffusers pipeline: give subfolder="text_encoder" (or "text_encoder_2")',
    ),
]


@pytest.mark.parametrize(("files", "variant", "hint"), FOLDERS)
def test_folders_without_weights(tmp_path, files, variant, hint):
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(FileNotFoundError) as error:
        TextEncoder.from_pretrained(tmp_path, variant=variant)
    names = ", ".join(VARIANTS if variant else NAMES)
    assert str(error.value) == f"{tmp_path} has no weights under any of the names {names}{hint}"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        TextEncoder.from_pretrained(tmp_path, subfolder="sub")
    assert str(error.value) == f"{tmp_path} has no subfolder 'sub'"


PARTS = [
    (["transformers", "CLIPTextModel"], None),
    (["transformers", "CLIPTextModelWithProjection"], 32),
    (["transformers", None], 32),
    (["transformers"], 32),
    ("transformers", 32),
    (None, 32),
]


@pytest.mark.parametrize(("part", "projection"), PARTS)
def test_the_class_that_a_pipeline_names(weights, tmp_path, part, projection):
    TextEncoder.from_pretrained(weights, activation="gelu").save_pretrained(tmp_path / "text_encoder")
    index = tmp_path / "model_index.json"
    index.write_text(json.dumps({"text_encoder": part}))
    assert TextEncoder.from_pretrained(tmp_path, subfolder="text_encoder").config.projection == projection
    index.write_text(json.dumps({"text_encoder": ["library", "Other"]}))
    with pytest.raises(ValueError, match="names library") as error:
        TextEncoder.from_pretrained(tmp_path, subfolder="text_encoder")
    assert str(error.value) == (
        f"{index} names library.Other for text_encoder, which is no class of a CLIP text tower; library computes it"
    )
