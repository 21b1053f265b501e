"""Ray, datasets and Spark: the same ids and files as on one machine. The first two really run."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cliptok import Tokenizer
from cliptok.batch import BadInputError, Embed, Tokenize, embed_files, tokenize_files
from cliptok.encoder import TextEncoder
from support.made import expected, text_file, tree

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray", "ignore::ResourceWarning"
)

TEXTS = [f"a photo of {number} “cats”" for number in range(100)]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    for number in range(5):
        path = tmp_path / "in" / ("deep" if number % 2 else "") / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text_file([f"{text}, {number}" for text in TEXTS]))
    return tmp_path / "in"


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_tokenize_on_ray(format: str, ray: Any, inputs: Path, tmp_path: Path) -> None:
    here = tokenize_files(inputs, tmp_path / "here", format=format)
    there = tokenize_files(inputs, tmp_path / "there", format=format, ray=True)
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert there.counts == here.counts
    assert there.stages["tokenizing"] > 0
    (tmp_path / "there" / "deep" / f"1.{format}").unlink()
    again = tokenize_files(inputs, tmp_path / "there", format=format, ray=True, resume=True)
    assert (again.finished_before, again.files) == (4, 5)
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert tokenize_files(inputs, tmp_path / "there", format=format, ray=True, resume=True).finished_before == 5


def test_embed_on_ray(ray: Any, inputs: Path, model: Path, tmp_path: Path) -> None:
    here = embed_files(inputs, tmp_path / "here", model=model, format="npy", normalize=True)
    there = embed_files(inputs, tmp_path / "there", model=model, format="npy", normalize=True, ray=True)
    assert there.counts == here.counts
    assert sorted(tree(tmp_path / "there")) == sorted(tree(tmp_path / "here"))
    for path in (tmp_path / "here").rglob("*.npy"):
        found = np.load(tmp_path / "there" / path.relative_to(tmp_path / "here"))
        np.testing.assert_allclose(found, np.load(path), rtol=1e-5, atol=1e-6)


def test_errors_on_ray(ray: Any, inputs: Path, model: Path, tmp_path: Path) -> None:
    (inputs / "2.txt").write_bytes(b"fine\n\xff\n")
    encoder = TextEncoder.from_pretrained(model)
    with pytest.raises(BadInputError, match=r"in/2\.txt: line 2 is not UTF-8"):
        embed_files(inputs, tmp_path / "there", model=encoder, ray=True)
    assert "2.parquet" not in tree(tmp_path / "there")


def test_ray_map_batches(ray: Any, model: Path) -> None:
    texts = ray.data.from_items([{"caption": text} for text in TEXTS])
    wanted = expected(TEXTS)
    for kind in ("numpy", "pyarrow"):
        made = texts.map_batches(Tokenize("caption"), batch_format=kind).take_all()
        assert {row["caption"]: [*row["input_ids"]] for row in made} == dict(zip(TEXTS, wanted, strict=True))
    pool = ray.data.ActorPoolStrategy(size=1)
    arguments = {"column": "caption", "model": model, "device": "cpu"}
    made = texts.map_batches(Embed, fn_constructor_kwargs=arguments, batch_format="pyarrow", compute=pool).take_all()
    found = np.array([row["text_embeds"] for row in made], np.float32)
    encoded = TextEncoder.from_pretrained(model).encode([row["caption"] for row in made]).numpy()
    np.testing.assert_allclose(found, encoded, rtol=1e-5, atol=1e-6)


def test_datasets_map(model: Path) -> None:
    import datasets
    from datasets.fingerprint import Hasher

    datasets.disable_progress_bars()
    data = datasets.Dataset.from_dict({"caption": TEXTS, "number": range(100)})
    wanted = expected(TEXTS)
    for given in (data, data.with_format("arrow")):
        made = given.map(Tokenize("caption"), batched=True, batch_size=30).with_format(None)
        assert made["input_ids"][:] == wanted
        assert made["number"][:] == list(range(100))
    padded = data.map(Tokenize("caption", lists="fixed", max_length=9), batched=True).with_format("numpy")
    assert np.array_equal(padded["input_ids"][:], Tokenizer().encode_batch(TEXTS, 9))
    made = data.map(Tokenize("caption"), batched=True, num_proc=2)
    assert made["input_ids"][:] == wanted
    embed = Embed("caption", model=model, device="cpu", normalize=True)
    found = data.map(embed, batched=True).with_format("numpy")["text_embeds"][:]
    encoder = TextEncoder.from_pretrained(model)
    np.testing.assert_allclose(found, encoder.encode(TEXTS, normalize=True).numpy(), rtol=1e-5, atol=1e-6)
    # What it has loaded and remembers is not part of what it is: datasets finds its cache by this.
    assert Hasher.hash(embed) == Hasher.hash(Embed("caption", model=model, device="cpu", normalize=True))
    assert Hasher.hash(Tokenize("caption")) != Hasher.hash(Tokenize("caption", max_length=9))


def test_spark_map_in_arrow(model: Path) -> None:
    """Spark hands an iterator of record batches over, and knows no lists of fixed size."""
    batches = [pa.record_batch({"caption": TEXTS[:60]}), pa.record_batch({"caption": TEXTS[60:]})]
    for lists in ("variable", "fixed"):
        made = list(Tokenize("caption", lists=lists)(iter(batches)))
        assert [batch.schema.field("input_ids").type for batch in made] == [pa.list_(pa.int32())] * 2
        ids = [row[: row.index(49407) + 1] for batch in made for row in batch.column("input_ids").to_pylist()]
        assert ids == expected(TEXTS)
    made = list(Embed("caption", model=model, device="cpu", output="hidden", max_length=8)(iter(batches)))
    assert made[0].schema.field("last_hidden_state").type == pa.list_(pa.list_(pa.float32()))
    assert made[0].num_rows == 60


def test_a_cache_on_ray(ray: Any, inputs: Path, model: Path, tmp_path: Path) -> None:
    """What workers on Ray have put there, others find."""
    pytest.importorskip("lmdb")
    reused = [
        embed_files(inputs, tmp_path / out, model=model, device="cpu", cache=tmp_path / "cache", **where).reused
        for out, where in (("first", {"ray": True}), ("again", {}))
    ]
    assert reused == [0, 5 * len(TEXTS)]


def test_batches_that_cannot_be() -> None:
    step = Tokenize("caption")
    assert step({"caption": [], "id": []}) == {"caption": [], "id": [], "input_ids": []}
    for batch, error in (
        ({"text": ["a"]}, KeyError),
        (pa.table({"text": ["a"]}), KeyError),
        ({"caption": [1]}, TypeError),
        (pa.table({"caption": [1]}), TypeError),
        ({"caption": [None]}, ValueError),
        (pa.table({"caption": pa.array([None], pa.string())}), ValueError),
        (["a"], TypeError),
    ):
        with pytest.raises(error):
            step(batch)
    lenient = Tokenize("caption", on_null="empty")
    assert [ids.tolist() for ids in lenient({"caption": ["a", None]})["input_ids"]] == expected(["a", ""])
    with pytest.raises(ValueError, match="on_null"):
        Tokenize("caption", on_null="skip")
