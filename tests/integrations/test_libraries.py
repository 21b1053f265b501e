"""torchmetrics' CLIPScore, sentence-transformers' CLIP and ONNX with our tokenizer and encoder: the same numbers.

CI installs them (`make .venv/integrations`); without them these tests are skipped.
"""

from pathlib import Path
from typing import Any

import pytest

from cliptok import TextEncoder, Tokenizer
from cliptok.encoder import TextConfig
from support.references import write_clip_files

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEXTS = ["a photo of a cat", "“two” dogs &amp; a 😀", "very " * 100]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small CLIP with its processor, as on the hub."""
    write_clip_files(tmp_path)
    torch.manual_seed(0)
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**text, "image_size": 32, "patch_size": 16}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(tmp_path)
    images = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(tmp_path, model_max_length=77)
    transformers.CLIPProcessor(images, tokenizer).save_pretrained(tmp_path)
    return tmp_path


def tokenizers(folder: Path) -> list[Any]:
    ours = Tokenizer.from_pretrained(folder)
    return [ours, ours.as_transformers()]


def as_in_transformers_4(model: Any) -> Any:
    """Features as tensors, which torchmetrics 1.9 expects and transformers 5 gives as the field of an output."""

    def tensor(method: Any) -> Any:
        def features(*args: Any, **kwargs: Any) -> Any:
            found = method(*args, **kwargs)
            return getattr(found, "pooler_output", found)

        return features

    model.get_text_features, model.get_image_features = (
        tensor(model.get_text_features),
        tensor(model.get_image_features),
    )
    return model


@pytest.mark.filterwarnings("default")
def test_clip_score(folder: Path) -> None:
    score = pytest.importorskip("torchmetrics.multimodal.clip_score")
    images = [torch.randint(255, (3, 32, 32), generator=torch.Generator().manual_seed(i)) for i in range(3)]
    model = as_in_transformers_4(transformers.CLIPModel.from_pretrained(folder))
    processor = transformers.CLIPProcessor.from_pretrained(folder)
    metric = score.CLIPScore(lambda: (model, processor))
    expected = float(metric(images, [*TEXTS[:2], "a dog"]))
    for tokenizer in tokenizers(folder):
        metric.reset()
        processor.tokenizer = tokenizer
        assert float(metric(images, [*TEXTS[:2], "a dog"])) == expected


@pytest.mark.filterwarnings("default")
def test_sentence_transformers(folder: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.models")
    clip = modules.CLIPModel(str(folder))
    model = library.SentenceTransformer(modules=[clip], device="cpu")
    expected = model.encode(TEXTS)
    for tokenizer in tokenizers(folder):
        clip.processor.tokenizer = tokenizer
        assert (model.encode(TEXTS) == expected).all()


@pytest.mark.filterwarnings("default")
def test_onnx(tmp_path: Path) -> None:
    """Any number of rows; pooled states at the end of text."""
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig(width=32, layers=2, heads=2, mlp=64, projection=16)).eval()
    ids = torch.from_numpy(Tokenizer().encode_batch(TEXTS, max_length=77))
    program = torch.onnx.export(
        encoder, (ids[:2],), dynamo=True, dynamic_shapes={"input_ids": {0: "rows"}}, verbose=False
    )
    program.save(tmp_path / "encoder.onnx")
    found = runtime.InferenceSession(tmp_path / "encoder.onnx").run(None, {"input_ids": ids.numpy()})
    with torch.no_grad():
        expected = encoder(ids)
    assert list(expected) == ["text_embeds", "last_hidden_state"]
    for ours, theirs in zip(found, expected.values(), strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=1e-4, atol=1e-5)
