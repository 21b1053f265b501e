"""What reaches Python from the engine: ordinary exceptions, Ctrl-C at once, memory that is not there."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa
import pytest

from cliptok._engine import fix_text
from support.scripts import run_python
from support.shared import tokenizer
from support.signals import assert_seen_at_once

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")


WORDS, DIRTY = "qzx7 wvu8 kjh9 ", "“é” &amp; "
CALLS: dict[str, Callable[[Any, int], Callable[[], object]]] = {
    "encode": lambda tok, size: partial(tok.encode, WORDS * 1_500_000 * size),
    "one word": lambda tok, size: partial(tok.encode, "xq" * 5_000_000 * size),
    "beyond ASCII": lambda tok, size: partial(tok.encode, "é" * 8_000_000 * size),
    "call": lambda tok, size: partial(tok, [WORDS * 400_000 * size]),
    "packed": lambda tok, size: partial(tok.encode_packed, [WORDS * 6_000_000 * size], threads=1),
    "packed by two": lambda tok, size: partial(tok.encode_packed, [WORDS * 6_000_000 * size] * 2, threads=2),
    "batch": lambda tok, size: partial(tok.encode_batch, ["é" * 400] * 200_000 * size, max_length=8),
    "offsets": lambda tok, size: partial(tok, WORDS * 250_000 * size, return_offsets_mapping=True),
    "offsets beyond ASCII": lambda tok, size: partial(tok, "é qzx " * 400_000 * size, return_offsets_mapping=True),
    "count": lambda tok, size: partial(tok.count, ["a photo of a cat"] * 10_000_000 * size, threads=1),
    "count of a column": lambda tok, size: partial(tok.count, pa.repeat("a photo of a cat", 6_000_000 * size)),
    "cleaning": lambda tok, size: partial(tokenizer("open_clip").count, [DIRTY * 1_500_000 * size]),
    "cleaning alone": lambda tok, size: partial(fix_text, DIRTY * 2_500_000 * size),
    "decode": lambda tok, size: partial(tok.decode, [320, 2368] * 2_000_000 * size),
    "tokenize": lambda tok, size: partial(tok.tokenize, WORDS * 200_000 * size),
    "ids to tokens": lambda tok, size: partial(tok.convert_ids_to_tokens, [320, 2368] * 5_000_000 * size),
    "tokens to ids": lambda tok, size: partial(tok.convert_tokens_to_ids, ["a</w>", "cat</w>"] * 4_000_000 * size),
}


@POSIX
@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_is_seen_at_once(name: str) -> None:
    assert_seen_at_once(partial(CALLS[name], tokenizer("transformers")))


@POSIX
def test_ctrl_c_ends_a_call() -> None:
    source = """
        import os, signal, threading, time
        from cliptok import Tokenizer
        tok, text = Tokenizer(), "qzx7 wvu8 kjh9 " * 20_000_000
        def send():
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=send, daemon=True).start()
        try:
            for _ in range(100):
                tok.count([text])
        except KeyboardInterrupt:
            print(tok("a cat").input_ids)
    """
    assert run_python(source) == "[49406, 320, 2368, 49407]\n"


@POSIX
@pytest.mark.parametrize("module", ["datetime", "numpy.lib"])
def test_ctrl_c_while_numpy_is_imported(module: str) -> None:
    """The signal comes while NumPy, which a first call imports, imports it: from C, where it is lost, or Python."""
    source = f"""
        import os, signal, sys
        from cliptok import Tokenizer
        class Interrupting:
            def find_spec(self, name, path=None, target=None):
                if name == "{module}":
                    os.kill(os.getpid(), signal.SIGINT)
        tok = Tokenizer()
        assert "{module}" not in sys.modules
        sys.meta_path.insert(0, Interrupting())
        try:
            tok.count(["a cat"])
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
        print(tok.count(["a cat"])[0])
    """
    assert run_python(source) == "KeyboardInterrupt\n4\n"


@POSIX
def test_no_memory_is_a_memory_error() -> None:
    source = """
        import resource
        from cliptok import Tokenizer
        tok = Tokenizer()
        tok.count(["a"])
        texts = ["xq" * 30_000_000, "é" * 30_000_000, "a b " * 20_000_000]
        with open("/proc/self/statm") as statm:
            now = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 50_000_000, resource.RLIM_INFINITY))
        for text in texts:
            for call in (lambda: tok.encode(text), lambda: tok(text, return_offsets_mapping=True)):
                try:
                    call()
                except MemoryError:
                    print("MemoryError")
        print(tok("a cat").input_ids)
    """
    lines = run_python(source).splitlines()
    assert lines[-1] == "[49406, 320, 2368, 49407]"
    assert lines[:-1] == ["MemoryError"] * 6


@POSIX
def test_threads_that_cannot_be_started_are_done_without() -> None:
    source = """
        import os, resource
        from cliptok import Tokenizer
        tok = Tokenizer()
        texts = ["a cat on a mat"] * 20_000
        wanted = tok.encode_batch(texts, threads=1).tolist()
        if os.getuid() == 0:
            os.setuid(65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        print(tok.encode_batch(texts, threads=8).tolist() == wanted)
        print(tok.count(texts, threads=8).sum() == tok.count(texts, threads=1).sum())
    """
    assert run_python(source) == "True\nTrue\n"


def test_daemon_threads_may_be_at_work_when_the_interpreter_ends() -> None:
    source = """
        import threading, time
        from cliptok import Tokenizer
        tok = Tokenizer("open_clip")
        texts = ["caf&eacute; \\u201cquoted\\u201d"] * 20_000
        work = lambda: [tok.encode_batch(texts, threads=2) for _ in range(1000)]
        for _ in range(2):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.5)
        print("main ends")
    """
    assert run_python(source) == "main ends\n"


class Handed:
    """A column that hands over capsules of its own making."""

    def __init__(self, capsules: Any, count: int) -> None:
        self.capsules, self.count = capsules, count

    def __len__(self) -> int:
        return self.count

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self.capsules


def test_arrow_capsules_are_handed_over_once() -> None:
    column = Handed(pa.array(["a", "b"]).__arrow_c_array__(), 2)
    tok = tokenizer("transformers")
    assert tok.encode_batch(column, max_length=3).shape == (2, 3)
    with pytest.raises(ValueError, match="handed over once already"):
        tok.encode_batch(column, max_length=3)


def test_an_arrow_dictionary_without_values() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int32()), pa.array([], pa.string()))
    assert (
        tokenizer("transformers").encode_batch(column, max_length=3, on_null="empty").tolist()
        == [[49406, 49407, 49407]] * 2
    )
