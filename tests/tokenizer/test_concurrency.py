"""Threads, forks, spawned processes, pickles and copies: safe without an environment variable or a warning."""

import copy
import os
import pickle
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cliptok import AddedToken, Tokenizer
from support.references import PROFILES
from support.scripts import run_python
from support.shared import tokenizer

WORDS = [
    "photo",
    "cat",
    "“quoted”",
    "supercalifragilistic",
    "日本語",
    "schÃ¶n",
    "&amp;",
    "it's",
    "<|endoftext|>",
    "1990s",
    "ﬁne",
]


def some_texts(seed: int, count: int = 150) -> list[str]:
    """Texts with words that no other test has, so that threads meet at an empty cache."""
    chance = random.Random(seed)
    return [" ".join([*chance.sample(WORDS, 4), f"word{chance.getrandbits(40):x}"]) for _ in range(count)]


@pytest.mark.parametrize("profile", PROFILES)
def test_threads_share_a_tokenizer(profile: str) -> None:
    tok = Tokenizer(profile)
    batches = [some_texts(seed) for seed in range(16)]
    start = threading.Barrier(8)

    def work(number: int) -> list[list[list[int]]]:
        start.wait(timeout=30)
        return [
            tok.encode_batch(batch, 40, truncate=True, threads=1 + (number + at) % 3).tolist()
            for at, batch in enumerate(batches[number:] + batches[:number])
        ]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    expected = [tok.encode_batch(batch, 40, truncate=True, threads=1).tolist() for batch in batches]
    for number, rows in enumerate(found):
        assert rows == expected[number:] + expected[:number]


def test_threads_share_large_batches() -> None:
    """Batches of many chunks, which several threads of the engine have in hand at once, from two threads of Python."""
    tok = Tokenizer("open_clip")  # which cleans
    texts = [text for seed in range(40) for text in some_texts(100 + seed)]
    calls: list[Callable[[int], list[object]]] = [
        lambda threads: tok.encode_batch(texts, 40, truncate=True, threads=threads).tolist(),
        lambda threads: [part.tolist() for part in tok.encode_packed(texts, threads=threads)],
        lambda threads: tok.count(texts, threads=threads).tolist(),
    ]
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(call, threads) for call in calls for threads in (2, 4)]
        expected = [call(1) for call in calls for _ in range(2)]
        assert [done.result() for done in found] == expected


def test_single_calls_from_threads() -> None:
    tok = tokenizer("transformers")
    texts = some_texts(99, 500)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: tok(text, return_offsets_mapping=True)["input_ids"], texts * 4))
    assert found == tok(texts)["input_ids"] * 4


def test_adding_tokens_beside_encoding() -> None:
    """A reader sees the tokenizer as it was or as it is, never in between."""
    tok = Tokenizer()
    before = tok("a <new0> b")["input_ids"]
    stop = threading.Event()
    seen: list[list[int]] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(tok("a <new0> b")["input_ids"])

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(50):
        tok.add_tokens(f"<new{number}>")
    stop.set()
    for reader in readers:
        reader.join(timeout=30)
        assert not reader.is_alive()
    after = [49406, 320, 49408, 321, 49407]
    assert tok("a <new0> b")["input_ids"] == after
    assert all(ids in (before, after) for ids in seen)


FORK = """
    import os, sys
    from cliptok import Tokenizer
    used, profile = sys.argv[1] == "used", sys.argv[2]
    tok = Tokenizer(profile)
    texts = ["a photo", "“it's”", "schÃ¶n"] * 200
    expected = None
    if used:
        expected = tok.encode_batch(texts, threads=4).tolist()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                for threads in (1, 2, 4, None):
                    ids = tok.encode_batch(texts, threads=threads).tolist()
                    assert expected is None or ids == expected
                    expected = ids
                assert Tokenizer().encode("a cat") == [49406, 320, 2368, 49407]
                grandchild = os.fork()
                if grandchild == 0:
                    os._exit(0 if tok.encode_batch(texts).tolist() == expected else 3)
                assert os.waitpid(grandchild, 0)[1] == 0
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert tok.encode_batch(texts, threads=4).shape == (600, 77)
    print("done")
"""

FORK_WHILE_ENCODING = """
    import os, threading
    from cliptok import Tokenizer
    tok = Tokenizer()
    texts = [f"word{number} photo of a cat" for number in range(20000)]
    tok.encode_batch(texts[:10])  # NumPy is imported: a fork in the middle of an import is nobody's friend.
    stop = threading.Event()
    def work():
        while not stop.is_set():
            tok.encode_batch(texts, threads=2)
    worker = threading.Thread(target=work)
    worker.start()
    statuses = []
    for _ in range(20):
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if tok.encode_batch(texts[:500], threads=2)[0, 0] == 49406 else 1)
            except BaseException:
                os._exit(2)
        statuses.append(os.waitpid(child, 0)[1])
    stop.set()
    worker.join()
    assert statuses == [0] * 20
    print("done")
"""

_FORKING = ("-W", "ignore::DeprecationWarning")  # Newer Pythons warn of any fork beside threads.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("profile", ["transformers", "open_clip"])
@pytest.mark.parametrize("when", ["fresh", "used"])
def test_fork(when: str, profile: str) -> None:
    assert run_python(FORK, when, profile, options=_FORKING) == "done\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_while_another_thread_encodes() -> None:
    assert run_python(FORK_WHILE_ENCODING, options=_FORKING) == "done\n"


SPAWN = """
    import multiprocessing, sys
    sys.path.insert(0, "tokenizer")
    from test_concurrency import encode_there, some_texts
    from cliptok import AddedToken, Tokenizer
    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        tok = Tokenizer(pad_token="!", model_max_length=20)
        tok.add_tokens([AddedToken("<tok>", lstrip=True)])
        texts = some_texts(5) + ["a  <tok>"]
        with context.Pool(2) as pool:
            found = pool.starmap(encode_there, [(tok, texts)] * 4)
        assert all(rows == encode_there(tok, texts) for rows in found)
        print("done")
"""


def encode_there(tok: Tokenizer, texts: list[str]) -> list[list[int]]:
    """What a worker process does."""
    return tok.encode_batch(texts, 30).tolist()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_processes(method: str) -> None:
    assert run_python(SPAWN, method) == "done\n"


DATALOADER = """
    import torch.utils.data
    from cliptok import Tokenizer
    from cliptok.tokenizer.texts import available_cpus, threads_for
    class Captions(torch.utils.data.Dataset):
        def __init__(self):
            self.tok = Tokenizer()
        def __len__(self):
            return 64
        def __getitem__(self, number):
            texts = [f"caption {number} of a cat"] * 256
            assert threads_for(texts, None) == 1
            return torch.from_numpy(self.tok.encode_batch(texts))[0]
    if __name__ == "__main__":
        data = Captions()
        assert threads_for(["outside of a worker"] * 256, None) == available_cpus()
        expected = data.tok.encode_batch([f"caption {number} of a cat" for number in range(64)])
        loaded = torch.cat(list(torch.utils.data.DataLoader(data, 8, num_workers=2)))
        assert (loaded.numpy() == expected).all()
        print("done")
"""


def test_a_torch_dataloader() -> None:
    assert run_python(DATALOADER) == "done\n"


def variants() -> list[Tokenizer]:
    changed = Tokenizer(pad_token="!", model_max_length=20, padding_side="left", truncation_side="left")
    changed.add_tokens([AddedToken("<tok>", lstrip=True), AddedToken("<plain>")])
    changed.add_special_tokens({"extra_special_tokens": ["<extra>"]})
    return [*(Tokenizer(profile) for profile in PROFILES), changed]


@pytest.mark.parametrize("number", range(5))
def test_pickle_and_copy(number: int) -> None:
    tok = variants()[number]
    texts = [*WORDS, "a  <tok> <plain><extra> <end_of_text>", ""]
    ways = [pickle.loads(pickle.dumps(tok, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for again in (*ways, copy.copy(tok), copy.deepcopy(tok)):
        assert type(again) is Tokenizer
        assert again is not tok
        assert repr(again) == repr(tok)
        assert again.get_vocab() == tok.get_vocab()
        assert again.added_tokens_decoder == tok.added_tokens_decoder
        options = {"padding": True, "truncation": True, "max_length": 9}
        assert again(texts, **options) == tok(texts, **options)
        assert np.array_equal(again.encode_batch(texts, 9, truncate=True), tok.encode_batch(texts, 9, truncate=True))


def test_a_pickle_is_small() -> None:
    """The vocabulary is in the package, so workers need not be sent it."""
    assert len(pickle.dumps(Tokenizer())) < 2000


def test_a_copy_is_a_tokenizer_of_its_own() -> None:
    tok = Tokenizer()
    for again in (copy.copy(tok), copy.deepcopy(tok), pickle.loads(pickle.dumps(tok))):
        again.add_tokens("<tok>")
        again.pad_token = "!"
        again.model_max_length = 5
        assert (len(tok), tok.pad_token, tok.model_max_length) == (49408, "<|endoftext|>", 77)


def test_equal_tokenizers_have_equal_pickles_whatever_the_hash_seed() -> None:
    """`datasets.map` and joblib take the pickle for the tokenizer's name, in every process anew."""
    source = """
        import hashlib, pickle
        from cliptok import Tokenizer
        toks = [Tokenizer(p) for p in ("transformers", "transformers-slow", "open_clip", "openai")]
        toks.append(Tokenizer(extra_special_tokens=["<a>", "<b>", "<c>"]))
        toks[0].add_tokens(["<x>", "<y>"], special_tokens=True)
        print(hashlib.sha256(b"".join(pickle.dumps(tok) for tok in toks)).hexdigest())
    """
    assert len({run_python(source, PYTHONHASHSEED=seed) for seed in ("0", "1", "5", "77")}) == 1


def test_a_pickle_of_another_format_is_refused_by_number() -> None:
    state = Tokenizer().__getstate__()
    with pytest.raises(ValueError, match="has the format 0, and this version of cliptok loads 1"):
        object.__new__(Tokenizer).__setstate__({**state, "format": 0})
