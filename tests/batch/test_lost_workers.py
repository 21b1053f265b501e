"""Workers that die and files that cannot be read, here and on Ray: what costs whom what."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cliptok import Tokenizer
from cliptok.batch import BadInputError, embed_files, tokenize_files
from cliptok.batch.encoder_source import EncoderSource
from cliptok.batch.encoding import plan
from cliptok.batch.fingerprints import of_encoder
from cliptok.batch.pipeline import Job
from cliptok.batch.reading.reader import Reading
from cliptok.batch.spread import DEATHS
from cliptok.batch.tasks import Worker
from cliptok.batch.workers import setup
from cliptok.cli import main
from cliptok.encoder import TextEncoder
from support import deadly
from support.deadly import Deadly, killing
from support.made import text_file, tree

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray", "ignore::ResourceWarning"
)

TEXTS = [f"caption {number}, {'very ' * (number % 37)}small" for number in range(150)]
WAYS = ("processes", "ray")


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    """A folder of a hundred files."""
    folder = tmp_path / "hundred"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number:02}.txt").write_bytes(text_file([f"{number}", *TEXTS]))
    return folder


def running(where: str, request: Any) -> dict[str, Any]:
    return {"processes": 2} if where == "processes" else on_ray(request.getfixturevalue("ray"))


def on_ray(ray: Any) -> dict[str, Any]:
    ray.cloudpickle.register_pickle_by_value(deadly)  # Workers have no tests.
    return {"ray": True}


@pytest.mark.parametrize("where", WAYS)
def test_poisoned_files_among_a_hundred(
    where: str, request: Any, hundred: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One kills each worker that reads it and one is not UTF-8: both are named, and all others are finished."""
    tries = tmp_path / "tries"
    (hundred / "17.txt").write_bytes(text_file([*TEXTS, killing(tries)]))
    (hundred / "91.txt").write_bytes(text_file(TEXTS) + b"\xff\n")
    out = tmp_path / "out"
    with pytest.raises(BadInputError, match=r"^.*17\.txt: 3 workers died while they made .*") as error:
        tokenize_files(hundred, out, tokenizer=Deadly(), **running(where, request))
    assert re.search(r"and 1 more: \S*91\.txt \(98 other outputs are finished\)$", str(error.value))
    assert tries.stat().st_size == DEATHS + (where == "processes")  # The first time it may be another's doing.
    (hundred / "17.txt").write_bytes(text_file(TEXTS))
    assert main(["tokenize", str(hundred), "-o", str(out), "--resume"]) == 2
    said = capsys.readouterr().err
    assert "91.txt: line 151 is not UTF-8" in said and "99 other outputs are finished" in said
    assert "Traceback" not in said
    (hundred / "91.txt").write_bytes(text_file(TEXTS))
    report = tokenize_files(hundred, out, resume=True)
    assert (report.finished_before, report.files) == (99, 100)
    tokenize_files(hundred, tmp_path / "here")
    assert tree(out) == tree(tmp_path / "here")


def test_an_encoder_that_dies(ray: Any, model: Path, tmp_path: Path) -> None:
    """Another one is loaded in its place, which costs the part in hand."""
    tries = tmp_path / "tries"
    (tmp_path / "a.txt").write_bytes(text_file([*TEXTS, killing(tries, 1), *TEXTS]))
    options: dict[str, Any] = {"model": model, "device": "cpu", "part_rows": 50, "format": "npy"}
    options["tokenizer"] = Deadly()
    found = embed_files(tmp_path / "a.txt", tmp_path / "a.npy", **options, **on_ray(ray))
    assert tries.stat().st_size == 2 and found.texts_now == 301
    embed_files(tmp_path / "a.txt", tmp_path / "b.npy", **options)
    a, b = (np.load(tmp_path / f"{name}.npy") for name in "ab")
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


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


def test_workers_that_find_other_weights(model: Path) -> None:
    """As where a hub name is another revision on another machine."""
    encoder = TextEncoder.from_pretrained(model)
    source = EncoderSource(str(model))
    encoding, tokenizing = plan(encoder, None, False, Tokenizer(), None)
    for found in (of_encoder(encoder), "another"):
        job = Job(Reading("caption"), tokenizing, 10, {"model": found}, 10)
        make = pickle.loads(pickle.dumps(setup(job, source, encoding, 1)))
        if found == "another":
            with pytest.raises(BadInputError, match=r"model.*: a worker finds other weights there than the job was"):
                make("cpu", None)
        else:
            assert isinstance(make("cpu", None), Worker)
