"""What importing and constructing cost: no heavy module, no network, no file but the extension, no long wait."""

import pytest

from support.scripts import run_python

HEAVY = (
    "numpy",
    "torch",
    "ftfy",
    "pyarrow",
    "transformers",
    "huggingface_hub",
    "tokenizers",
    "regex",
    "tqdm",
    "asyncio",
    "inspect",
    "pathlib",
)


@pytest.mark.parametrize(
    "what",
    [
        "import cliptok",
        "from cliptok import Tokenizer; Tokenizer()",
        "from cliptok import Tokenizer; Tokenizer('open_clip').tokenize('a cat')",
    ],
)
def test_nothing_heavy_is_imported(what: str) -> None:
    source = f"""
        import sys
        {what}
        print([name for name in {HEAVY} if name in sys.modules])
    """
    assert run_python(source) == "[]\n"


def test_cleaning_needs_no_ftfy() -> None:
    source = """
        import sys
        sys.modules["ftfy"] = None
        from cliptok import Tokenizer
        for profile in ("transformers-slow", "open_clip", "openai"):
            Tokenizer(profile).encode_batch(["A caf\\xe9", "\\u201cquoted\\u201d &amp; schÃ¶n"] * 100)
        print("done")
    """
    assert run_python(source) == "done\n"


def test_construction_takes_milliseconds() -> None:
    """`Tokenizer()` and a first text take under 20 ms; the best of several processes stands in for a quiet machine."""
    source = """
        import time
        from cliptok import Tokenizer
        begin = time.perf_counter()
        Tokenizer()("a photo of a cat")
        print(time.perf_counter() - begin)
    """
    assert min(float(run_python(source)) for _ in range(5)) < 0.02


def test_importing_takes_milliseconds() -> None:
    source = """
        import time, typing  # typing alone takes 5 to 15 ms, and most programs have it anyway
        begin = time.perf_counter()
        import cliptok
        print(time.perf_counter() - begin)
    """
    assert min(float(run_python(source)) for _ in range(5)) < 0.03


def test_the_network_is_never_used() -> None:
    source = """
        import socket
        def refuse(*args, **kwargs):
            raise AssertionError("a socket")
        socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
        from cliptok import Tokenizer
        for profile in ("transformers", "transformers-slow", "open_clip", "openai"):
            Tokenizer(profile)("“a” photo", padding=True, return_tensors="np")
        print("done")
    """
    assert run_python(source) == "done\n"


def test_all_names_are_there() -> None:
    import cliptok

    for name in ("Tokenizer", "AddedToken", "BatchEncoding", "PackedTokens", "__version__"):
        assert name in cliptok.__all__
        assert name in dir(cliptok)
        assert getattr(cliptok, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = cliptok.nonsense
