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
from support.signals import longest_wait

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")


WORDS, DIRTY = "qzx7 wvu8 kjh9 ", "“é” &amp; "
CALLS: dict[str, Callable[[], Callable[[], object]]] = {
    "encode": lambda: partial(tokenizer("transformers").encode, WORDS * 1_000_000),
    "call": lambda: partial(tokenizer("transformers"), [WORDS * 400_000]),
    "packed": lambda: partial(tokenizer("transformers").encode_packed, [WORDS * 4_000_000], threads=2),
    "batch": lambda: partial(tokenizer("transformers").encode_batch, ["é" * 400] * 200_000, max_length=8),
    "offsets": lambda: partial(tokenizer("transformers"), WORDS * 200_000, return_offsets_mapping=True),
    "count": lambda: partial(tokenizer("transformers").count, ["a photo of a cat"] * 4_000_000),
    "count of a column": lambda: partial(tokenizer("transformers").count, pa.repeat("a photo of a cat", 4_000_000)),
    "cleaning": lambda: partial(tokenizer("open_clip").count, [DIRTY * 2_000_000]),
    "cleaning alone": lambda: partial(fix_text, DIRTY * 2_000_000),
    "decode": lambda: partial(tokenizer("transformers").decode, [320, 2368] * 1_500_000),
}


@POSIX
@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_is_seen_at_once(name: str) -> None:
    """Nowhere in a call has a signal to wait for half of it."""
    work = CALLS[name]()
    work_is_ready = longest_wait(lambda: None)[0]
    longest, whole = longest_wait(work)
    assert whole > 4 * work_is_ready
    assert longest < max(0.5 * whole, 0.12), f"{longest:.2f} of {whole:.2f} s"


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
