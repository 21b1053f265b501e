"""Embeddings in files, equal to what the encoder gives for the same texts."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as torch_file

from cliptok import Tokenizer
from cliptok.batch import embed_files
from cliptok.encoder import TextConfig, TextEncoder
from support.made import parquet, text_file, tree

TEXTS = [f"a photo of {number % 300} cats, {'very ' * (number % 100)}small" for number in range(600)]


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_bytes(text_file(TEXTS))
    return tmp_path / "a.txt"


def read(path: Path, name: str) -> Any:
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")
    if path.suffix == ".safetensors":
        return load_file(path)[name]
    table = pq.read_table(path)
    return np.array(
        table.column(name).to_pylist(), table.column(name).combine_chunks().flatten().type.to_pandas_dtype()
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_equal_to_encode(format: str, dtype: str, captions: Path, model: Path, tmp_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(model, dtype=getattr(torch, dtype))
    for output, normalize in (("text_embeds", True), ("pooler_output", False)):
        out = tmp_path / f"e.{format}"
        is_widened = dtype == "bfloat16" and format != "safetensors"
        with pytest.warns(UserWarning, match="written as float32") if is_widened else nullcontext():
            given: Any = getattr(torch, dtype) if normalize else dtype
            report = embed_files(
                captions, out, model=model, dtype=given, device="cpu", output=output, normalize=normalize
            )
        wanted = encoder.encode(TEXTS, output=output, normalize=normalize)
        found = torch_file(out)[output] if format == "safetensors" else torch.from_numpy(np.array(read(out, output)))
        assert found.dtype == (torch.float32 if is_widened else getattr(torch, dtype))
        assert torch.equal(found, wanted.to(found.dtype))
        tok = Tokenizer()
        assert report.counts.tokens == tok.encode_packed(TEXTS, 77).offsets[-1]
        assert report.counts.truncated == (tok.count(TEXTS) > 77).sum() > 0
        assert min(report.stages.values()) > 0


def test_every_state(captions: Path, model: Path, tmp_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(model)
    ids = torch.from_numpy(Tokenizer().encode_batch(TEXTS, 20))
    with torch.inference_mode():
        wanted = encoder(ids).last_hidden_state.numpy()
    for format in ("parquet", "npy", "safetensors"):
        out = tmp_path / f"h.{format}"
        embed_files(captions, out, model=encoder, output="hidden", max_length=20)
        found = read(out, "last_hidden_state") if format != "parquet" else None
        if found is None:
            column = pq.read_table(out).column("last_hidden_state")
            found = np.array(column.to_pylist(), np.float32)
        assert found.shape == (600, 20, 64)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_rows_stay_beside_their_columns(model: Path, tmp_path: Path) -> None:
    texts: list[str | None] = [*TEXTS, *TEXTS]
    texts[::7] = [None] * len(texts[::7])
    path = parquet(tmp_path / "a.parquet", texts)
    embed_files(path, tmp_path / "e.parquet", model=model, column="caption", on_null="skip", keep=["id", "caption"])
    table = pq.read_table(tmp_path / "e.parquet")
    there = [(number, text) for number, text in enumerate(texts) if text is not None]
    assert list(zip(table.column("id").to_pylist(), table.column("caption").to_pylist(), strict=True)) == there
    wanted = TextEncoder.from_pretrained(model).encode([text for _, text in there]).numpy()
    assert np.array_equal(np.array(table.column("text_embeds").to_pylist(), np.float32), wanted)


def test_no_text_at_all(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    for output, shape in (("text_embeds", (0, 32)), ("pooler_output", (0, 64)), ("hidden", (0, 77, 64))):
        embed_files(tmp_path / "a.txt", tmp_path / "e.npy", model=model, output=output, device="cpu")
        assert np.load(tmp_path / "e.npy").shape == shape


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_resume(format: str, model: Path, tmp_path: Path) -> None:
    for number in range(4):
        path = tmp_path / "in" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text_file(TEXTS[number::4]))
    encoder = TextEncoder.from_pretrained(model)

    def run(folder: str, **more: Any) -> int:
        report = embed_files(tmp_path / "in", tmp_path / folder, model=encoder, format=format, **more)
        return report.finished_before

    run("whole")
    run("out")
    (tmp_path / "out" / f"1.{format}").unlink()
    (tmp_path / "out" / f"3.{format}").unlink()
    assert run("out", resume=True) == 2
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert run("out", resume=True, normalize=True) == 0
    with torch.no_grad():
        encoder.text_projection.weight[0, 0] += 1
    assert run("out", resume=True, normalize=True) == 0
    assert run("out", resume=True, normalize=True) == 4


def test_what_the_encoder_does_not_have(captions: Path, model: Path, tmp_path: Path) -> None:
    bare = TextEncoder(TextConfig(width=64, layers=1, heads=4, mlp=128, projection=None))
    embed_files(captions, tmp_path / "e.npy", model=bare, max_length=9)  # Then the pooled state.
    assert np.load(tmp_path / "e.npy").shape == (600, 64)
    for arguments, message in (
        ({"model": bare, "output": "text_embeds"}, "no projection"),
        ({"model": bare, "output": "logits"}, "output is 'logits'"),
        ({"model": bare, "output": "hidden", "normalize": True}, "normalize"),
        ({"model": bare, "max_length": 78}, "77 positions"),
        ({"model": bare, "device": "cpu"}, "encoder already"),
        ({"model": model, "dtype": "int8"}, "dtype is 'int8'"),
        ({"model": model, "format": "npy", "keep": "*"}, "keep needs Parquet"),
    ):
        with pytest.raises(ValueError, match=message):
            embed_files(captions, tmp_path / "out", **arguments)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="nowhere"):
        embed_files(captions, tmp_path / "out", model=tmp_path / "nowhere")


def test_which_model(captions: Path, tmp_path: Path) -> None:
    pipeline = tmp_path / "pipeline"
    config = TextConfig(width=64, layers=1, heads=4, mlp=128, projection=32)
    encoders = {name: TextEncoder(config) for name in ("text_encoder", "text_encoder_2")}
    for name, encoder in encoders.items():
        encoder.save_pretrained(pipeline / name)
    for name, encoder in encoders.items():
        embed_files(captions, tmp_path / f"{name}.npy", model=pipeline, subfolder=name, device="cpu")
        assert torch.equal(torch.from_numpy(np.load(tmp_path / f"{name}.npy")), encoder.encode(TEXTS))
    with pytest.raises(TypeError, match=r"model is a Linear; expected a cliptok\.TextEncoder"):
        embed_files(captions, tmp_path / "e.npy", model=torch.nn.Linear(1, 1))
    for options in ({"subfolder": "text_encoder"}, {"device": "cpu"}, {"dtype": "float16"}):
        with pytest.raises(ValueError, match="model is an encoder already"):
            embed_files(captions, tmp_path / "e.npy", model=encoders["text_encoder"], **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size is 0; expected 1 or more"):
        embed_files(captions, tmp_path / "e.npy", model=encoders["text_encoder"], batch_size=0)
