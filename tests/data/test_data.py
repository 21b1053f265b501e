"""`cliptok.data.Collator`: batches by hand, through DataLoaders of every kind, and errors that name row and field."""

import copy
import gc
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.utils.data import DataLoader
from torch.utils.data._utils.pin_memory import pin_memory

from cliptok import BatchEncoding, Tokenizer
from cliptok.data import Collator
from cliptok.data.compact_rows import CompactRows
from support.scripts import run_python
from support.shared import tokenizer

TEXTS = ["a photo of a cat", "It's “quoted” &amp; 日本語", "", "very " * 100 + "long"]


class Pair(NamedTuple):
    """A named sample."""

    image: torch.Tensor
    caption: str


def images(count: int) -> list[torch.Tensor]:
    return [torch.full((2, 3), float(number)) for number in range(count)]


def test_texts(profile: str) -> None:
    tok = tokenizer(profile)
    expected = torch.from_numpy(tok.encode_batch(TEXTS, truncate=True))
    for samples in (TEXTS, tuple(TEXTS), [np.str_(text) for text in TEXTS]):
        found = Collator(tok)(samples)
        assert type(found) is torch.Tensor and torch.equal(found, expected)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("uint16", torch.uint16), (np.int32, torch.int32), (torch.int32, torch.int32), (torch.int64, torch.int64)],
)
def test_dtype_and_length(dtype: Any, expected: torch.dtype) -> None:
    found = Collator(tokenizer("open_clip"), max_length=9, dtype=dtype)(TEXTS)
    assert found.dtype is expected
    assert found.tolist() == tokenizer("open_clip").encode_batch(TEXTS, 9).tolist()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("padding", ["max_length", "longest"])
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:3], [""]])
def test_padding_and_mask_are_as_in_a_call(texts: list[str], padding: str, side: str) -> None:
    tok = Tokenizer(padding_side=side)
    found = Collator(tok, padding=padding, attention_mask=True)(texts)
    expected = tok(texts, padding=padding, truncation=True, max_length=77, return_tensors="pt")
    assert type(found) is BatchEncoding and list(found) == ["input_ids", "attention_mask"]
    for name in found:
        assert found[name].is_contiguous() and torch.equal(found[name], expected[name])
    assert torch.equal(Collator(tok, padding=padding)(texts), found.input_ids)


def test_mappings() -> None:
    tok = tokenizer("transformers")
    samples = [
        {"image": image, "caption": text, "label": row, "id": f"#{row}", "scores": {"clip": 0.5 * row}}
        for row, (image, text) in enumerate(zip(images(4), TEXTS, strict=True))
    ]
    before = copy.deepcopy(samples)
    found = Collator(tok, "caption")(samples)
    assert type(found) is BatchEncoding and set(found) == {"image", "label", "id", "scores", "input_ids"}
    assert torch.equal(found.image, torch.stack(images(4)))
    assert found.label.tolist() == [0, 1, 2, 3] and found.id == ["#0", "#1", "#2", "#3"]
    assert found.scores["clip"].tolist() == [0, 0.5, 1, 1.5]
    assert torch.equal(found.input_ids, torch.from_numpy(tok.encode_batch(TEXTS)))
    assert set(Collator(tok, "caption", attention_mask=True)(samples)) == {*found, "attention_mask"}
    assert all(a["caption"] == b["caption"] and list(a) == list(b) for a, b in zip(samples, before, strict=True))


@pytest.mark.parametrize("place", [1, -1])
def test_tuples(place: int) -> None:
    tok = tokenizer("open_clip")
    ids = torch.from_numpy(tok.encode_batch(TEXTS))
    plain = Collator(tok, place)(list(zip(images(4), TEXTS, strict=True)))
    assert type(plain) is list and torch.equal(plain[0], torch.stack(images(4))) and torch.equal(plain[1], ids)
    named = Collator(tok, place)([Pair(image, text) for image, text in zip(images(4), TEXTS, strict=True)])
    assert type(named) is Pair and torch.equal(named.caption, ids)  # type: ignore[arg-type]
    masked = Collator(tok, place, attention_mask=True)(list(zip(images(4), TEXTS, strict=True)))[1]
    assert torch.equal(masked.input_ids, ids) and masked.attention_mask.shape == ids.shape


def words(batch: torch.Tensor) -> list[Any]:
    """Each row's text."""
    tok = tokenizer("transformers")
    return tok.batch_decode(batch.flatten(0, -2), skip_special_tokens=True)


def test_captions_are_picked_by_chance() -> None:
    samples = [{"captions": [f"{row} {word}" for word in ("red", "green", "blue")]} for row in range(200)]
    collate = Collator(tokenizer("transformers"), "captions")
    torch.manual_seed(3)
    first, second = (words(collate(samples).input_ids) for _ in range(2))
    torch.manual_seed(3)
    assert words(collate(samples).input_ids) == first != second
    for texts in (first, second):
        colours = [text.split()[-1] for text in texts]
        assert all(text.replace(" ", "").startswith(str(row)) for row, text in enumerate(texts))
        assert all(40 < colours.count(colour) < 95 for colour in ("red", "green", "blue"))


def test_several_different_captions() -> None:
    several = [["red", "green", "blue"], ("one", "two"), np.array(["red", "green", "blue", "one"])]
    collate = Collator(tokenizer("transformers"), captions=2, padding="longest", attention_mask=True)
    seen = set()
    for _ in range(50):
        found = collate(several)
        assert found.input_ids.shape == found.attention_mask.shape == (3, 2, 3)
        texts = words(found.input_ids)
        pairs = [tuple(texts[row : row + 2]) for row in (0, 2, 4)]
        assert all(len(set(pair)) == 2 and set(pair) <= set(given) for pair, given in zip(pairs, several, strict=True))
        seen.add(pairs[0])
    assert len(seen) == 6  # every ordered pair
    assert Collator(tokenizer("transformers"), captions=1)(["red"]).shape == (1, 1, 77)


def test_one_caption_draws_nothing() -> None:
    """Texts alone leave torch's generator as it is."""
    before = torch.get_rng_state()
    Collator(tokenizer("transformers"), "caption")([{"caption": text} for text in TEXTS])
    assert torch.equal(torch.get_rng_state(), before)


IMAGE = torch.zeros(2)


@pytest.mark.parametrize(
    ("options", "samples", "error", "message"),
    [
        ({}, [], ValueError, "samples is empty"),
        ({}, "a cat", TypeError, "samples is of type str; expected a list"),
        ({}, {"caption": ["a"]}, TypeError, "samples is of type dict"),
        ({}, ["a", None], TypeError, "samples[1] is None; expected str"),
        ({}, ["a", b"b"], TypeError, "samples[1] is of type bytes; expected str or a list of str; decode it first"),
        ({}, [{"caption": "a"}], TypeError, "samples[0] is of type dict; expected str or a list of str; name its"),
        ({}, ["a", "\ud800"], ValueError, "samples[1] holds a lone surrogate"),
        ({"captions": 2}, [["a", "b"], ["\ud800", "c"]], ValueError, "samples[1] holds a lone surrogate"),
        ({"captions": 2}, [["a", "b"], ["a"]], ValueError, "samples[1] has 1 captions; expected 2 or more"),
        ({}, [["a"], []], ValueError, "samples[1] is empty"),
        ({}, [["a"], ["b", 3]], TypeError, "samples[1][1] is of type int; expected str"),
        ({"text": "caption"}, ["a"], TypeError, "samples[0] is of type str and has no field 'caption'"),
        ({"text": "caption"}, [{"caption": "a"}, {"text": "b"}], ValueError,
         "samples[1] has no field 'caption'; it has 'text'"),
        ({"text": "caption"}, [{"caption": "a"}, ("b",)], TypeError, "samples[1] is of type tuple, and samples[0]"),
        ({"text": "caption"}, [{"caption": "a"}, {"caption": None}], TypeError, "samples[1]['caption'] is None"),
        ({"text": "caption"}, [{"caption": "\ud800"}], ValueError, "samples[0]['caption'] holds a lone surrogate"),
        ({"text": "caption"}, [("a",)], ValueError, "samples[0] has 1 fields, and `text` is 'caption'"),
        ({"text": 2}, [(IMAGE, "a")], ValueError, "samples[0] has 2 fields, and `text` is 2"),
        ({"text": 1}, [(IMAGE, "a"), (IMAGE, "a", 3)], ValueError, "samples[1] has 3 fields, and samples[0] has 2"),
        ({"text": 1}, [(IMAGE, "a"), (IMAGE, 5)], TypeError, "samples[1][1] is of type int"),
        ({"text": 1}, [(IMAGE, "a"), (torch.zeros(3), "b")], ValueError, "samples[1][0] does not collate: stack"),
        ({"text": "c"}, [{"c": "a", "n": 1}, {"c": "a", "n": None}], ValueError, "samples[1]['n'] does not collate"),
        ({"text": "c"}, [{"c": "a", "n": object()}], ValueError, "samples[0]['n'] does not collate: default"),
        ({"text": "c"}, [{"c": "a", "n": 1}, {"c": "a"}], ValueError, "samples[1] has no field 'n'"),
        ({"text": "c"}, [{"c": "a", "input_ids": 1}], ValueError, "has a field 'input_ids'"),
    ],
)  # fmt: skip
def test_errors_name_row_and_field(options: Any, samples: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        Collator(tokenizer("transformers"), **options)(samples)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tokenizer": "open_clip"}, TypeError, "tokenizer is of type str; expected a cliptok.Tokenizer"),
        ({"max_length": 1}, ValueError, "max_length"),
        ({"padding": True}, ValueError, "padding is True; choose one of max_length, longest"),
        ({"dtype": "float32"}, ValueError, "dtype is 'float32'"),
        ({"captions": 0}, ValueError, "captions"),
    ],
)
def test_wrong_arguments(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Collator(**{"tokenizer": tokenizer("transformers"), **options})


def test_a_pickle_is_small_and_brings_nothing_heavy() -> None:
    collate = Collator(Tokenizer("open_clip"), "caption", attention_mask=True, dtype="int32", max_length=9)
    pickled = pickle.dumps(collate)
    assert len(pickled) < 3000
    samples = [{"caption": text} for text in TEXTS]
    for again in (pickle.loads(pickled), copy.deepcopy(collate)):
        assert all(torch.equal(again(samples)[name], value) for name, value in collate(samples).items())
    source = f"""
        import pickle, sys
        pickle.loads({pickled!r})
        print([name for name in ("numpy", "torch", "ftfy", "pyarrow") if name in sys.modules])
    """
    assert run_python(source) == "[]\n"


LOADING = "from support.loading import main; main()"
# torch has an opinion on four workers for two CPUs.
OPTIONS = ("-W", "ignore:This DataLoader will create")


def test_workers_of_every_kind_pick_alike() -> None:
    """0, 2 and 4 workers, after the parent has used the tokenizer; `loading` checks the batches."""
    forked = run_python(LOADING, "fork", "0", "2", "4", options=OPTIONS).splitlines()
    spawned = run_python(LOADING, "spawn", "2", "4", options=OPTIONS, timeout=120).splitlines()
    served = run_python(LOADING, "forkserver", "2", options=OPTIONS).splitlines()
    assert [line.split()[0] for line in forked] == ["0", "2", "4"]
    assert forked[1:] == spawned and spawned[:1] == served


INTEGERS = hnp.arrays(
    st.sampled_from(["uint16", "int32", "int64"]),
    hnp.array_shapes(min_dims=2, max_dims=3),
    elements=st.one_of(st.sampled_from([0, 1, 49407]), st.integers(0, 65535)),
)


@given(INTEGERS, st.booleans(), st.integers(0, 6))
def test_compact_rows_arrive_as_they_were(rows: Any, negated: bool, padding: int) -> None:
    rows[..., rows.shape[-1] - padding :] = 49407
    rows = -rows if negated and rows.dtype != np.uint16 else rows
    rows_sent = torch.from_numpy(rows).as_subclass(CompactRows)
    for found in (pickle.loads(pickle.dumps(rows_sent)), copy.copy(rows_sent), copy.deepcopy(rows_sent)):
        assert type(found) is torch.Tensor and found.dtype == rows_sent.dtype and found.shape == rows_sent.shape
        assert np.array_equal(found.numpy(), rows)


def in_a_worker(texts: list[str]) -> dict[str, torch.Tensor]:
    """What a user's own collate_fn might do with ids before it passes them on."""
    ids = Collator(tokenizer("open_clip"))(texts)
    before, plain, small = ids.clone(), type(ids + 1) is torch.Tensor, len(pickle.dumps(ids)) < ids.nbytes / 10
    ids[0, 70:] = torch.arange(7) + 100_000
    ids[1, 3] = -100
    return {"ids": ids, "view": ids[1:, :5], "before": before, "fine": torch.tensor(plain and small)}


def test_ids_changed_in_a_worker_arrive_changed() -> None:
    texts = TEXTS[:3] * 20
    (batch,) = DataLoader(texts, 60, collate_fn=in_a_worker, num_workers=1)  # type: ignore[arg-type]
    assert {type(value) for value in batch.values()} == {torch.Tensor} and batch["fine"]
    expected = torch.from_numpy(tokenizer("open_clip").encode_batch(texts))
    assert torch.equal(batch["before"], expected)
    expected[0, 70:] = torch.arange(7) + 100_000
    expected[1, 3] = -100
    assert torch.equal(batch["ids"], expected) and torch.equal(batch["view"], expected[1:, :5])


def test_pinning_reaches_every_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch does with a batch where `pin_memory=True` finds a device, with a copy in place of pinned memory."""
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor, device: object = None) -> torch.Tensor:
        pinned.append(tensor.clone())
        return pinned[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    samples = [{"caption": text, "image": image} for text, image in zip(TEXTS, images(4), strict=True)]
    found = pin_memory(Collator(tokenizer("transformers"), "caption", attention_mask=True)(samples))
    assert type(found) is BatchEncoding and len(found) == 3
    assert all(any(value is tensor for tensor in pinned) for value in found.values())
    tuples = [(sample["image"], sample["caption"]) for sample in samples]
    image, text = pin_memory(Collator(tokenizer("transformers"), 1, attention_mask=True)(tuples))
    assert all(any(value is tensor for tensor in pinned) for value in (image, *text.values()))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("workers", [0, 2])
def test_pinned_memory(workers: int) -> None:
    samples = [{"caption": text, "image": image} for text, image in zip(TEXTS, images(4), strict=True)]
    collate = Collator(tokenizer("transformers"), "caption", attention_mask=True)
    (found,) = DataLoader(samples, 4, collate_fn=collate, num_workers=workers, pin_memory=True)  # type: ignore[arg-type]
    assert type(found) is BatchEncoding and all(value.is_pinned() for value in found.values())
    assert torch.equal(found.to("cuda", non_blocking=True).input_ids.cpu(), collate(samples).input_ids)


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[str]:
    """Two WebDataset tars of 50 images with a caption each, and a JSON file that has three."""
    import webdataset as wds

    for shard in range(2):
        with wds.TarWriter(str(tmp_path / f"{shard}.tar")) as tar:
            for number in range(50 * shard, 50 * shard + 50):
                record = {"number": number, "captions": [f"{number} {word}" for word in ("red", "green", "blue")]}
                image = np.full((2, 3), number)
                tar.write({"__key__": f"{number:06}", "npy": image, "txt": f"café {number}", "json": record})
    yield str(tmp_path / "{0..1}.tar")
    gc.collect()


LEFT_OPEN = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # by WebDataset


@LEFT_OPEN
@pytest.mark.parametrize("workers", [0, 2])
def test_webdataset(shards: str, workers: int) -> None:
    import webdataset as wds

    tok = tokenizer("open_clip")
    data = wds.WebDataset(shards, shardshuffle=False).decode().to_tuple("npy", "txt")
    loader = wds.WebLoader(data.batched(20, collation_fn=Collator(tok, 1)), batch_size=None, num_workers=workers)
    seen: dict[int, list[int]] = {}
    for image, ids in loader:
        assert image.shape == (len(ids), 2, 3)
        seen |= {int(pixels[0, 0]): row.tolist() for pixels, row in zip(image, ids, strict=True)}
    assert seen == {number: tok.encode_batch([f"café {number}"])[0].tolist() for number in range(100)}


@LEFT_OPEN
def test_webdataset_mappings(shards: str) -> None:
    import webdataset as wds

    tok = tokenizer("open_clip")
    data = wds.WebDataset(shards, shardshuffle=False).decode()
    batches = list(data.batched(32, collation_fn=Collator(tok, "txt", attention_mask=True)))
    assert [len(batch["__key__"]) for batch in batches] == [32, 32, 32, 4]
    assert torch.equal(batches[0].input_ids, torch.from_numpy(tok.encode_batch([f"café {i}" for i in range(32)])))
    captions = wds.WebDataset(shards, shardshuffle=False).decode().map(lambda sample: sample["json"]["captions"])
    (batch,) = captions.batched(100, collation_fn=Collator(tok))
    assert batch.shape == (100, 77) and len(batch[:, :6].unique(dim=0)) > 3
    undecoded = wds.WebDataset(shards, shardshuffle=False).to_tuple("txt").batched(5, collation_fn=Collator(tok, 0))
    with pytest.raises(TypeError, match=re.escape("samples[0][0] is of type bytes")):
        next(iter(undecoded))


@pytest.mark.parametrize("workers", [0, 2])
def test_datasets(workers: int) -> None:
    import datasets

    tok = tokenizer("transformers")
    rows = {"caption": [f"{number} cats" for number in range(100)], "label": list(range(100))}
    data = datasets.Dataset.from_dict(rows)
    expected = torch.from_numpy(tok.encode_batch(rows["caption"]))
    for form in (data, data.with_format("torch"), data.with_format("numpy"), data.to_iterable_dataset()):
        loader: Any = DataLoader(form, 20, collate_fn=Collator(tok, "caption"), num_workers=workers)
        batches = list(loader)
        order = torch.cat([batch.label for batch in batches])
        assert torch.equal(torch.cat([batch.input_ids for batch in batches]), expected[order])
        assert sorted(order.tolist()) == rows["label"]
    several = datasets.Dataset.from_dict({"captions": [["red", "green"]] * 20})
    (batch,) = DataLoader(several, 20, collate_fn=Collator(tok, "captions", captions=2))  # type: ignore[arg-type]
    assert batch.input_ids.shape == (20, 2, 77)
