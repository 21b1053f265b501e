"""A maintainer's job: what the package loads, and what it says when something is missing or wrong."""

import subprocess
import sys
import time


def run(*words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    """A command with this Python."""
    return subprocess.run([sys.executable, *words], input=given, capture_output=True, text=True, check=False)


def main() -> None:
    """Nothing is written."""
    source = """if True:
        import sys, cliptok
        cliptok.Tokenizer()('a cat')
        print(sorted({'numpy', 'torch', 'pyarrow'} & {*sys.modules}))
    """
    assert run("-c", source).stdout == "[]\n"
    begin = time.perf_counter()
    assert run("-m", "cliptok", "--help").returncode == 0
    assert time.perf_counter() - begin < 5
    for words, message in (
        (["tokenise"], "did you mean tokenize?"),
        (["count", "nowhere.txt"], "nowhere.txt: no such file or folder"),
        (["tokenize", "-", "--column", "caption"], "--input-format"),
    ):
        done = run("-m", "cliptok", *words, given="n,caption\n")
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert run("-m", "cliptok", "tokenize", given="a cat\n").stdout == "49406 320 2368 49407\n"
    for shell in ("bash", "zsh", "fish"):
        assert "tokenize" in run("-m", "cliptok", "completion", shell).stdout


if __name__ == "__main__":
    main()
    print("done")
