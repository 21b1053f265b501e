"""Jobs on Ray: the same files as on one machine, workers that die, files that cannot be read.

All tests that need Ray are here, since it takes long to begin: one process of pytest has it.
"""

import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch.test_spread import inputs as kinds
from batch.test_spread import run
from cliptok.batch import BadInputError, Embed, Tokenize, embed_files, tokenize_files
from cliptok.batch.spread import DEATHS
from cliptok.cli import main
from cliptok.data import ConditioningDataset
from cliptok.encoder import TextConfig, TextEncoder
from cliptok.prompts import Conditioner
from support import deadly
from support.deadly import Deadly, killing
from support.made import expected, text_file, tree

__all__ = ["kinds"]  # a fixture
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray", "ignore::ResourceWarning"
)

TEXTS = [f"caption {number}, {'very ' * (number % 37)}small" for number in range(100)]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray with two workers on this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own.
        import ray

        small = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False}
        # Its store goes on to a disk that others have filled.
        full = {"local_fs_capacity_threshold": 0.999}
        for attempt in range(3):  # Ray gives its own processes 30 seconds to begin, which a busy machine misses.
            try:
                ray.init("local", log_to_driver=False, logging_level=logging.ERROR, _system_config=full, **small)
                break
            except Exception:
                ray.shutdown()
                if attempt == 2:
                    raise
        ray.cloudpickle.register_pickle_by_value(deadly)  # Workers have no tests.
        yield ray
        ray.shutdown()


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Five files, some deeper in their folder."""
    for number in range(5):
        path = tmp_path / "in" / ("deep" if number % 2 else "") / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text_file([f"{text}, {number}" for text in TEXTS]))
    return tmp_path / "in"


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_tokenize(format: str, ray: Any, inputs: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"format": format, "part_rows": 60}
    here = tokenize_files(inputs, tmp_path / "here", **options)
    there = tokenize_files(inputs, tmp_path / "there", ray=True, **options)
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert there.counts == here.counts
    assert there.stages["tokenizing"] > 0
    (tmp_path / "there" / "deep" / f"1.{format}").unlink()
    again = tokenize_files(inputs, tmp_path / "there", ray=True, resume=True, **options)
    assert (again.finished_before, again.files) == (4, 5)
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert tokenize_files(inputs, tmp_path / "there", ray=True, resume=True, **options).finished_before == 5


def test_each_kind_of_input(ray: Any, kinds: Path, tmp_path: Path) -> None:
    here = run(kinds, tmp_path / "here")
    there = run(kinds, tmp_path / "there", ray=True)
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert there.counts == here.counts and there.texts_now == here.texts_now


def test_embed(ray: Any, inputs: Path, model: Path, tmp_path: Path) -> None:
    """One worker dies, so another one is loaded in its place; one file is bad; what all put into a cache is found."""
    pytest.importorskip("lmdb")
    tries = tmp_path / "tries"
    (inputs / "0.txt").write_bytes(text_file([*TEXTS, killing(tries, 1)]))
    (inputs / "2.txt").write_bytes(b"fine\n\xff\n")
    options: dict[str, Any] = {"model": model, "device": "cpu", "format": "npy", "normalize": True, "part_rows": 50}
    options |= {"tokenizer": Deadly()}
    cache, out = tmp_path / "cache", tmp_path / "there"
    with pytest.raises(BadInputError, match=r"in/2\.txt: line 2 is not UTF-8"):
        embed_files(inputs, out, cache=cache, ray=True, **options)
    assert tries.stat().st_size == 2
    finished = [f"{name}.npy" for name in ("0", "4", "deep/1", "deep/3")]
    assert sorted(name for name in tree(out) if name.endswith(".npy")) == finished
    (inputs / "2.txt").write_bytes(text_file(["fine"]))
    there = embed_files(inputs, out, resume=True, **options)
    here = embed_files(inputs, tmp_path / "here", cache=cache, **options)
    assert there.counts == here.counts and there.texts_now == 1
    assert here.reused == 4 * len(TEXTS) + 1
    for name in finished:  # Embedded by others than those whose embeddings were found.
        alone = TextEncoder.from_pretrained(model).encode(
            (inputs / name).with_suffix(".txt").read_text().splitlines(), normalize=True
        )
        np.testing.assert_allclose(np.load(out / name), alone.numpy(), rtol=1e-5, atol=1e-6)
        assert np.array_equal(np.load(out / name), np.load(tmp_path / "here" / name))


def test_a_pipeline(ray: Any, tmp_path: Path) -> None:
    """It is loaded, so that workers get it through Ray's object store."""
    (tmp_path / "a.txt").write_bytes(text_file(["a (red:1.3) fox", "a cat BREAK night", "", "words, " * 40, "a"]))
    encoder = TextEncoder(TextConfig(width=64, layers=2, heads=4, mlp=128))
    options: dict[str, Any] = {"pipeline": Conditioner(encoder, dialect="a1111"), "part_rows": 3}
    here = embed_files(tmp_path / "a.txt", tmp_path / "here", **options)
    there = embed_files(tmp_path / "a.txt", tmp_path / "there", ray=True, **options)
    assert there.counts == here.counts and there.texts_now == 5
    assert tree(tmp_path / "there").keys() == tree(tmp_path / "here").keys()
    a, b = (ConditioningDataset(tmp_path / name) for name in ("here", "there"))
    for number in range(5):
        np.testing.assert_allclose(a[number]["prompt_embeds"], b[number]["prompt_embeds"], atol=1e-5)


def test_map_batches(ray: Any, model: Path) -> None:
    """Rows of NumPy arrays and Arrow tables, functions and actors, one after another."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    texts = ray.data.from_items([{"caption": text} for text in TEXTS])
    arguments = {"column": "caption", "model": model, "device": "cpu"}
    pool = ray.data.ActorPoolStrategy(size=1)
    made = (
        texts.map_batches(Tokenize("caption"), batch_format="numpy")
        .map_batches(Embed, fn_constructor_kwargs=arguments, batch_format="pyarrow", compute=pool)
        .take_all()
    )
    assert {row["caption"]: [*row["input_ids"]] for row in made} == dict(zip(TEXTS, expected(TEXTS), strict=True))
    found = np.array([row["text_embeds"] for row in made], np.float32)
    encoded = TextEncoder.from_pretrained(model).encode([row["caption"] for row in made]).numpy()
    np.testing.assert_allclose(found, encoded, rtol=1e-5, atol=1e-6)


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    """A folder of a hundred files."""
    folder = tmp_path / "hundred"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number:02}.txt").write_bytes(text_file([f"{number}", *TEXTS]))
    return folder


@pytest.mark.parametrize("where", ["processes", "ray"])
def test_poisoned_files_among_a_hundred(
    where: str, request: Any, hundred: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One kills each worker that reads it and one is not UTF-8: both are named, and all others are finished."""
    if where == "ray":
        request.getfixturevalue("ray")
    options: dict[str, Any] = {"ray": True} if where == "ray" else {"processes": 2}
    tries = tmp_path / "tries"
    (hundred / "17.txt").write_bytes(text_file([*TEXTS, killing(tries)]))
    (hundred / "91.txt").write_bytes(text_file(TEXTS) + b"\xff\n")
    out = tmp_path / "out"
    with pytest.raises(BadInputError, match=r"^.*17\.txt: 3 workers died while they made .*") as error:
        tokenize_files(hundred, out, tokenizer=Deadly(), **options)
    assert re.search(r"and 1 more: \S*91\.txt \(98 other outputs are finished\)$", str(error.value))
    assert tries.stat().st_size == DEATHS + (where == "processes")  # The first time it may be another's doing.
    (hundred / "17.txt").write_bytes(text_file(TEXTS))
    assert main(["tokenize", str(hundred), "-o", str(out), "--resume"]) == 2
    said = capsys.readouterr().err
    assert "91.txt: line 101 is not UTF-8" in said and "99 other outputs are finished" in said
    assert "Traceback" not in said
    (hundred / "91.txt").write_bytes(text_file(TEXTS))
    report = tokenize_files(hundred, out, resume=True)
    assert (report.finished_before, report.files) == (99, 100)
    tokenize_files(hundred, tmp_path / "here")
    assert tree(out) == tree(tmp_path / "here")


def test_outputs_that_cannot_be_written(ray: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(text_file(TEXTS))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".a.parquet.parts").write_bytes(b"in the way")
    with pytest.raises(BadInputError, match=r"out/a\.parquet: File exists$"):
        tokenize_files(tmp_path / "a.txt", tmp_path / "out", part_rows=60, ray=True)


def test_a_full_object_store(ray: Any, tmp_path: Path) -> None:
    """Nothing of a job goes through it."""
    size = int(ray.cluster_resources()["object_store_memory"])
    held = [ray.get(ray.put(np.ones(size // 10, np.uint8))) for _ in range(12)]
    for number in range(3):
        (tmp_path / f"{number}.txt").write_bytes(text_file(TEXTS))
    tokenize_files(tmp_path / "*.txt", tmp_path / "there", part_rows=60, ray=True)
    tokenize_files(tmp_path / "*.txt", tmp_path / "here", part_rows=60)
    assert tree(tmp_path / "there") == tree(tmp_path / "here") and all(array[0] for array in held)
