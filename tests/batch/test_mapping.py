"""datasets and Spark, and batches as these hand them over: the same ids as without. datasets really runs."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cliptok import Tokenizer
from cliptok.batch import Embed, Tokenize
from cliptok.encoder import TextEncoder
from support.made import expected

TEXTS = [f"a photo of {number} “cats”" for number in range(100)]


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
    for names, message in ((["text"], "no column 'caption'; it has text"), (["caption"] * 2, "more than one column")):
        with pytest.raises(KeyError, match=message):
            step(pa.table([["a"]] * len(names), names))
    lenient = Tokenize("caption", on_null="empty")
    assert [ids.tolist() for ids in lenient({"caption": ["a", None]})["input_ids"]] == expected(["a", ""])
    with pytest.raises(ValueError, match="on_null"):
        Tokenize("caption", on_null="skip")
