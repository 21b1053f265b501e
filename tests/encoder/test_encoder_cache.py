"""`encode` with a cache: equal to encoding, shared by processes that are killed, bounded, never the wrong embedding."""

from __future__ import annotations

import pickle
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("lmdb")

from cliptok import Tokenizer
from cliptok.encoder import EmbeddingCache, TextConfig, TextEncoder
from cliptok.encoder.caching.store import KEY_BYTES

SMALL = TextConfig(width=64, layers=2, heads=4, mlp=128, projection=32)
TEXTS = [f"a photo of {number % 20} cats{', very small' * (number % 3)}" for number in range(150)]
DISTINCT = len(set(TEXTS))


def made(**changes: Any) -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(TextConfig(**{**SMALL.__dict__, **changes})).eval()


@pytest.fixture
def encoder() -> TextEncoder:
    return made()


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "cache", max_bytes=1 << 26)


@pytest.mark.parametrize(
    ("dtype", "causal"), [(torch.float32, True), (torch.float16, True), (torch.bfloat16, True), (torch.float32, False)]
)
def test_equal_to_encode_and_encoded_once(cache: EmbeddingCache, dtype: torch.dtype, causal: bool) -> None:
    encoder = made(causal=causal).to(dtype)
    for output, normalize in (("text_embeds", True), ("pooler_output", False)):
        how: dict[str, Any] = {"output": output, "normalize": normalize, "batch_invariant": True}
        wanted = encoder.encode(TEXTS, **how)
        encoded = cache.encoded
        first = encoder.encode(TEXTS, cache=cache, window=40, **how)
        assert cache.encoded - encoded == DISTINCT  # repeats in other windows too
        again = torch.cat(list(encoder.encode(iter(TEXTS[::-1]), cache=cache, window=30, **how)))
        assert cache.encoded - encoded == DISTINCT
        assert torch.equal(first, wanted) and torch.equal(again, wanted.flip(0)) and first.dtype == dtype
    assert cache.reused == cache.asked - cache.encoded == 4 * len(TEXTS) - 2 * DISTINCT


def test_without_batch_invariance_equal_up_to_rounding(encoder: TextEncoder, cache: EmbeddingCache) -> None:
    first = encoder.encode(TEXTS, cache=cache, window=40)
    torch.testing.assert_close(first, encoder.encode(TEXTS))
    assert torch.equal(encoder.encode(TEXTS, cache=cache), first)  # bits of the first time
    # The same windows, as far as a kill let them come, and the rest: the same bits as in one go.
    other = EmbeddingCache(cache.folder.parent / "other", max_bytes=1 << 26)
    killed = iter(encoder.encode(iter(TEXTS), cache=other, window=40))
    next(killed), next(killed)
    assert torch.equal(encoder.encode(TEXTS, cache=other, window=40), first)


def test_kinds_of_texts(encoder: TextEncoder, cache: EmbeddingCache) -> None:
    tok = Tokenizer()
    wanted = encoder.encode(TEXTS, cache=cache)
    packed = tok.encode_packed(TEXTS)
    assert torch.equal(encoder.encode(packed, cache=cache), wanted)
    assert torch.equal(
        encoder.encode(packed._replace(input_ids=packed.input_ids.astype(np.int64)), cache=cache), wanted
    )
    assert torch.equal(encoder.encode(TEXTS[0], cache=str(cache.folder)), wanted[:1])
    assert cache.encoded == DISTINCT
    assert encoder.encode([], cache=cache).shape == (0, 32) and list(encoder.encode(iter([]), cache=cache)) == []
    # What stands behind the end of a text does not count.
    ids = np.concatenate([packed.input_ids[: packed.offsets[1]], np.array([5, 6], np.int32)])
    assert torch.equal(encoder.encode(type(packed)(ids, np.array([0, len(ids)])), cache=cache), wanted[:1])
    with pytest.raises(ValueError, match="texts row 1 has no end-of-text id"):
        encoder.encode(type(packed)(np.array([49406, 49407, 5], np.int32), np.array([0, 2, 3])), cache=cache)
    with pytest.raises(ValueError, match="the encoder's vocabulary has"):
        encoder.encode(type(packed)(np.array([60000, 49407], np.int32), np.array([0, 2])), cache=cache)
    with pytest.raises(ValueError, match="offsets must ascend"):
        encoder.encode(type(packed)(np.array([49406, 49407], np.int32), np.array([2, 0])), cache=cache)


def test_other_weights_and_options_are_others(encoder: TextEncoder, cache: EmbeddingCache) -> None:
    def differs(found: torch.Tensor) -> None:
        nonlocal before
        assert cache.encoded == before + DISTINCT
        before = cache.encoded
        assert torch.equal(found, encoder.encode(TEXTS, cache=cache))

    encoder.encode(TEXTS, cache=cache)
    before = cache.encoded
    weight = encoder.text_projection.weight
    with torch.no_grad():
        weight[-1, -1] += 1
    differs(encoder.encode(TEXTS, cache=cache))
    weight.data += 1
    differs(encoder.encode(TEXTS, cache=cache))
    encoder.get_input_embeddings().weight.data[320] *= 2  # as textual inversion does
    differs(encoder.encode(TEXTS, cache=cache))
    encoder.half()
    differs(encoder.encode(TEXTS, cache=cache))
    for options in ({"normalize": True}, {"output": "pooler_output"}, {"batch_invariant": True}):
        assert torch.equal(encoder.encode(TEXTS, cache=cache, **options), encoder.encode(TEXTS, cache=cache, **options))
        assert cache.encoded == before + DISTINCT
        before = cache.encoded
    # The same weights from elsewhere are the same.
    made().encode(TEXTS, cache=cache)
    assert cache.encoded == before


def test_what_a_cache_cannot_see_is_refused(encoder: TextEncoder, cache: EmbeddingCache) -> None:
    hook = next(encoder.blocks()).register_forward_hook(lambda *given: None)
    with pytest.raises(ValueError, match="a cache knows an encoder by its weights and cannot see the hooks at"):
        encoder.encode(TEXTS, cache=cache)
    hook.remove()
    encoder.encode(TEXTS, cache=cache)


def values_of(keys: list[bytes], size: int) -> np.ndarray:
    """What the tests store under a key: made of the key."""
    return np.stack([np.resize(np.frombuffer(blake2b(key).digest(), np.uint8), size) for key in keys])


def keys_of(window: int, count: int = 200) -> list[bytes]:
    return [blake2b(f"{window} {row}".encode(), digest_size=KEY_BYTES).digest() for row in range(count)]


def stored(cache: EmbeddingCache, window: int, size: int) -> int:
    """How many rows of a window are there, each of them right."""
    keys = keys_of(window)
    out = np.zeros((len(keys), size), np.uint8)
    there = cache.get(keys, out)
    assert np.array_equal(out[there], values_of(keys, size)[there])
    return int(there.sum())


WRITER = """
import sys
from cliptok.encoder import EmbeddingCache
from test_encoder_cache import keys_of, values_of
cache = EmbeddingCache(sys.argv[1], max_bytes=1 << 28)
for window in range(int(sys.argv[2]), 100_000, 2):
    cache.put(keys_of(window), values_of(keys_of(window), 500))
    print(window, flush=True)
"""


def test_two_processes_killed_in_the_middle_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "cache")]
    where = Path(__file__).parent
    environment = {"PYTHONPATH": f"{where}:{where.parent}", "PATH": ""}
    writers = [
        subprocess.Popen([*command, str(first)], stdout=subprocess.PIPE, text=True, env=environment) for first in (0, 1)
    ]
    done = []
    for turns in (20, 60):
        for writer in writers:
            assert writer.stdout is not None
            done += [int(writer.stdout.readline()) for _ in range(turns)]
        writer = writers.pop(0)
        writer.kill()
        done += [int(line) for line in writer.communicate()[0].split()]
    cache = EmbeddingCache(tmp_path / "cache", max_bytes=1 << 28)
    assert all(stored(cache, window, 500) == 200 for window in done) and len(done) >= 100
    # What was not reported is there whole or not at all.
    assert all(stored(cache, max(done) + after, 500) in (0, 200) for after in range(1, 5))
    cache.put(keys_of(-1), values_of(keys_of(-1), 500))  # No lock was left behind.
    assert stored(cache, -1, 500) == 200


@pytest.mark.parametrize("size", [1000, 5000])
def test_the_oldest_go_and_the_file_stays_within_its_bound(tmp_path: Path, size: int) -> None:
    bound = 4 << 20
    cache = EmbeddingCache(tmp_path / "cache", max_bytes=bound)
    last = 8 * bound // (200 * size)
    for window in range(last):
        cache.put(keys_of(window), values_of(keys_of(window), size))
        assert stored(cache, window, size) == 200
    assert (tmp_path / "cache" / "data.mdb").stat().st_size <= bound
    held = [stored(cache, window, size) for window in range(last)]
    assert held == sorted(held) and held[0] == 0 and sum(held) * size > bound / 4
    too_many = np.zeros((1, bound), np.uint8)
    cache.put([b"k" * KEY_BYTES], too_many)
    assert not cache.get([b"k" * KEY_BYTES], too_many).any() and stored(cache, last - 1, size) == 200


def test_bounds_of_processes_may_differ(tmp_path: Path) -> None:
    small = EmbeddingCache(tmp_path / "cache", max_bytes=1 << 20)
    script = (
        "import sys; from cliptok.encoder import EmbeddingCache; from test_encoder_cache import keys_of, values_of\n"
    )
    script += "cache = EmbeddingCache(sys.argv[1], max_bytes=1 << 26)\n"
    script += "[cache.put(keys_of(window), values_of(keys_of(window), 500)) for window in range(30)]"
    where = Path(__file__).parent
    environment = {"PYTHONPATH": f"{where}:{where.parent}", "PATH": ""}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "cache")], check=True, env=environment)
    assert stored(small, 29, 500) == 200  # behind the end of what it had mapped
    small.put(keys_of(30), values_of(keys_of(30), 500))
    assert stored(small, 30, 500) == 200 and stored(small, 0, 500) == 0


def test_damage_is_found(encoder: TextEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = EmbeddingCache(folder, max_bytes=1 << 24)
    wanted = encoder.encode(TEXTS, cache=cache)
    value = wanted[7].numpy().tobytes()
    del cache
    content = bytearray((folder / "data.mdb").read_bytes())
    content[content.index(value) + 5] ^= 1
    (folder / "data.mdb").write_bytes(content)
    cache = EmbeddingCache(folder, max_bytes=1 << 24)
    torch.testing.assert_close(encoder.encode(TEXTS, cache=cache), wanted)
    assert cache.encoded == 1
    del cache
    (folder / "data.mdb").write_bytes(content[:10_000])
    with pytest.raises(ValueError, match="no sound cache of embeddings \\(the file is shorter"):
        EmbeddingCache(folder)
    (folder / "data.mdb").write_bytes(b"x" * 100_000)
    with pytest.raises(ValueError, match="no sound cache of embeddings"):
        EmbeddingCache(folder)


def test_another_programs_files_are_left_alone(tmp_path: Path) -> None:
    import lmdb

    with lmdb.open(str(tmp_path / "theirs"), map_size=1 << 20) as env, env.begin(write=True) as txn:
        txn.put(b"a", b"b")
    with pytest.raises(ValueError, match="another program's LMDB"):
        EmbeddingCache(tmp_path / "theirs")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        EmbeddingCache(tmp_path / "file")
    for wrong, error in ((None, TypeError), ("", ValueError), ("s3://bucket/cache", ValueError)):
        with pytest.raises(error, match="cache is"):
            EmbeddingCache(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_bytes is 5; expected 1048576 or more"):
        EmbeddingCache(tmp_path / "small", max_bytes=5)


def test_copies_share_a_folder(encoder: TextEncoder, cache: EmbeddingCache, tmp_path: Path) -> None:
    wanted = encoder.encode(TEXTS, cache=cache)
    (tmp_path / "link").symlink_to(cache.folder)
    for other in (pickle.loads(pickle.dumps(cache)), EmbeddingCache(tmp_path / "link", max_bytes=1 << 26)):
        before = other.encoded
        assert torch.equal(encoder.encode(TEXTS, cache=other), wanted) and other.encoded == before
