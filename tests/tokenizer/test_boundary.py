"""What reaches Python from the engine: ordinary exceptions, Ctrl-C at once, memory that is not there."""

import signal
import sys
from typing import Any

import pytest

from support.scripts import run_python

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")


@POSIX
@pytest.mark.parametrize(
    "work",
    [
        "tok.count(['qzx7 wvu8 kjh9 ' * 20_000_000])",
        "tok.count(['a photo of a cat with more words'] * 20_000_000)",
        "tok.encode_packed(['qzx7 wvu8 kjh9 ' * 20_000_000], threads=2)",
        "tok.encode_batch(['é' * 400] * 3_000_000, max_length=8)",
        "Tokenizer('open_clip').count(['“é” &amp; ' * 10_000_000])",
    ],
)
def test_ctrl_c_is_seen_at_once(work: str) -> None:
    source = f"""
        import os, signal, threading, time
        from cliptok import Tokenizer
        tok, sent = Tokenizer(), []
        def send():
            time.sleep(1.5)
            sent.append(time.perf_counter())
            os.kill(os.getpid(), {int(signal.SIGINT)})
        threading.Thread(target=send, daemon=True).start()
        try:
            while True:
                {work}
        except KeyboardInterrupt:
            print(time.perf_counter() - sent[0] < 2)
        print(tok("a cat").input_ids)
    """
    assert run_python(source) == "True\n[49406, 320, 2368, 49407]\n"


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
    import pyarrow as pa

    from support.shared import tokenizer

    column = Handed(pa.array(["a", "b"]).__arrow_c_array__(), 2)
    tok = tokenizer("transformers")
    assert tok.encode_batch(column, max_length=3).shape == (2, 3)
    with pytest.raises(ValueError, match="handed over once already"):
        tok.encode_batch(column, max_length=3)


def test_an_arrow_dictionary_without_values() -> None:
    import pyarrow as pa

    from support.shared import tokenizer

    column = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int32()), pa.array([], pa.string()))
    assert (
        tokenizer("transformers").encode_batch(column, max_length=3, on_null="empty").tolist()
        == [[49406, 49407, 49407]] * 2
    )
