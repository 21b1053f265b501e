"""Memory is bounded, and time grows with the length of a text, whatever the text."""

import pytest

from support.scripts import run_python

FLOOD = """
    import resource
    import numpy as np
    from cliptok import Tokenizer
    tok = Tokenizer()
    # Distinct words: nine letters that spell a number.
    letters = np.frombuffer(b"abcdefghijklmnopqrst", np.uint8)
    def texts(first, count):
        numbers = np.arange(first, first + count, dtype=np.int64) * 2654435761 % 20**9
        spelled = np.full((count, 10), 32, np.uint8)
        for place in range(9):
            spelled[:, place] = letters[numbers // 20**place % 20]
        words = spelled.tobytes().decode()
        return [words[at:at + 1000] for at in range(0, len(words), 1000)]
    chunk = 500_000
    assert len(set(" ".join(texts(0, chunk)).split())) == chunk
    def rss():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() >> 20
    out = np.empty((chunk // 100, 600), np.int64)
    sizes = []
    for turn in range(20):
        tok.encode_batch(texts(turn * chunk, chunk), 600, out=out, truncate=True)
        sizes.append(rss())
    print(sizes[0], sizes[-1], max(sizes))
"""


def test_ten_million_distinct_words() -> None:
    first, last, most = map(int, run_python(FLOOD, timeout=120).split())
    assert most < 400
    assert last - first < 60


TIMES = """
    import sys, time
    from cliptok import Tokenizer
    tok, size = Tokenizer(sys.argv[1]), int(sys.argv[3])
    unit = sys.argv[2].encode().decode("unicode_escape")
    def best(count, repeat):
        text = unit * (count // len(unit))
        times = []
        for _ in range(repeat):
            begin = time.process_time()  # one text is one thread, and other processes may be busy
            tok.encode_packed([text])
            times.append(time.process_time() - begin)
        return min(times)
    best(1000, 1)
    print(best(size // 10, 3), best(size, 1))
"""


def assert_in_proportion(profile: str, unit: str, size: int) -> None:
    """Ten times the text may take ten times as long, with a logarithm and a slow moment on top; squared, a hundred."""
    small, large = map(float, run_python(TIMES, profile, unit, str(size), timeout=60).split())
    assert large < 30 * small + 0.2, f"{small:.3f} s, then {large:.3f} s"


@pytest.mark.parametrize("unit", ["a", " ", "!"])
def test_ten_megabytes_of_one_character(unit: str) -> None:
    assert_in_proportion("transformers", unit, 10_000_000)


UNITS = [
    "1",
    "ab",
    "'s",
    "'",
    "a ",
    "<",
    "<|endoftext|>",
    "<|ENDOFTEXT|>",
    "\\n",
    "qzxj",
    "\\u00e9",
    "\\u65e5",
    "\\u0301",
    "A\\u0301\\u0323",
]


@pytest.mark.parametrize("unit", UNITS)
def test_a_megabyte_of_anything(unit: str) -> None:
    assert_in_proportion("transformers", unit, 1_000_000)


@pytest.mark.parametrize("profile", ["transformers-slow", "open_clip"])
@pytest.mark.parametrize("unit", ["a", "&a", "<|", "\\u00c3"])
def test_a_megabyte_where_texts_are_cleaned(profile: str, unit: str) -> None:
    assert_in_proportion(profile, unit, 1_000_000)


def test_a_row_stops_when_it_is_full() -> None:
    """Truncating a long text does not read all of it."""
    source = """
        import time
        from cliptok import Tokenizer
        tok = Tokenizer()
        text = "word and " * 2_000_000
        tok.encode_batch([text], 77)
        begin = time.perf_counter()
        for _ in range(10):
            tok.encode_batch([text], 77)
        print(time.perf_counter() - begin)
    """
    assert float(run_python(source)) < 0.5
