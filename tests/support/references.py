"""The tokenizers whose ids the profiles must give, live, behind one small interface.

`reference(profile)` has `ids(text)` and `batch(texts)`: ids with start and end, untruncated. The vocabulary comes from
the open_clip package, not from ours, so that ours is tested too.
"""

import gzip
import importlib.util
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Protocol

PROFILES = ("transformers", "transformers-slow", "open_clip", "openai")
ROOT = Path(__file__).resolve().parents[2]
START, END = 49406, 49407


class MissingError(Exception):
    """A reference, or a file of references, that is not installed here. Says how to get it."""


class Reference(Protocol):
    """One tokenizer."""

    def ids(self, text: str) -> list[int]: ...
    def batch(self, texts: list[str]) -> list[list[int]]: ...


@cache
def open_clip_folder() -> Path:
    """The installed open_clip package, without importing it: it would want torchvision."""
    spec = importlib.util.find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise MissingError("open_clip_torch is not installed; run `make .venv/tests`")
    return Path(spec.submodule_search_locations[0])


@cache
def clip_files() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's vocabulary and merges, from open_clip's file, under transformers' names of the special tokens."""
    lines = gzip.decompress((open_clip_folder() / "bpe_simple_vocab_16e6.txt.gz").read_bytes()).decode().split("\n")
    merges = [(first, second) for first, second in (line.split() for line in lines[1 : 49152 - 256 - 2 + 1])]
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in shown] + [chr(256 + i) for i in range(256 - len(shown))]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    return {token: id for id, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}, merges


def write_clip_files(folder: Path) -> Path:
    """vocab.json and merges.txt as transformers reads them."""
    vocab, merges = clip_files()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    text = "#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in merges)
    (folder / "merges.txt").write_text(text, encoding="utf-8")
    return folder


class Transformers:
    """transformers 5."""

    def __init__(self) -> None:
        from transformers import CLIPTokenizer

        vocab, merges = clip_files()
        self.tok: Any = CLIPTokenizer(vocab=dict(vocab), merges=list(merges), model_max_length=77)

    def ids(self, text: str) -> list[int]:
        return list(self.tok(text)["input_ids"])

    def batch(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tok.backend_tokenizer.encode_batch(texts)]


class OpenClip:
    """open_clip's `SimpleTokenizer`, and with `openai` the same with OpenAI's spelling of the special tokens."""

    def __init__(self, openai: bool = False) -> None:
        path = open_clip_folder() / "tokenizer.py"
        spec = importlib.util.spec_from_file_location("_open_clip_tokenizer", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        os.environ["TOKENIZERS_PARALLELISM"] = "true"  # The module turned it off, for every reference in the process.
        self.tok = module.SimpleTokenizer()
        if openai:
            self._spell_as_openai()

    def _spell_as_openai(self) -> None:
        import regex

        tok = self.tok
        pattern = tok.pat.pattern
        for old, new in (("<start_of_text>", "<|startoftext|>"), ("<end_of_text>", "<|endoftext|>")):
            id = tok.encoder.pop(old)
            tok.encoder[new], tok.decoder[id] = id, new
            del tok.cache[old]
            tok.cache[new] = new
            pattern = pattern.replace(old, regex.escape(new))
        tok.pat = regex.compile(pattern, regex.IGNORECASE)

    def ids(self, text: str) -> list[int]:
        return [START, *self.tok.encode(text), END]

    def batch(self, texts: list[str]) -> list[list[int]]:
        self._forget()
        return [self.ids(text) for text in texts]

    def _forget(self) -> None:
        if len(self.tok.cache) > 500_000:  # It keeps every word for ever.
            for word in list(self.tok.cache)[2:]:
                del self.tok.cache[word]


class Slow:
    """transformers 4.57's slow tokenizer in the environment of its own that it needs, in another process."""

    def __init__(self) -> None:
        python = slow_python()
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("slow_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TRANSFORMERS_VERBOSITY": "error", "PYTHONPATH": ""},
            text=True,
            encoding="utf-8",
        )
        vocab, merges = clip_files()
        self.do("build", vocab=vocab, merges=merges)

    def do(self, what: str, **arguments: Any) -> Any:
        """The result of one of the worker's functions. Raises RuntimeError with what it raised."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the slow reference ended with status {process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def ids(self, text: str) -> list[int]:
        return self.batch([text])[0]

    def batch(self, texts: list[str]) -> list[list[int]]:
        return list(self.do("batch", texts=texts))

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=10)


def slow_python() -> Path:
    """The interpreter that has transformers 4.57.6."""
    python = Path(os.environ.get("CLIPTOK_SLOW_PYTHON") or ROOT / ".venv-slow" / "bin" / "python")
    if not python.exists():
        raise MissingError(
            f"no transformers 4.57.6 at {python}; run `make .venv-slow/installed` or set CLIPTOK_SLOW_PYTHON"
        )
    return python


@cache
def reference(profile: str) -> Any:
    """The reference of a profile, made at the first use. Raises MissingError when it is not installed."""
    if profile == "transformers-slow":
        import atexit

        slow = Slow()
        atexit.register(slow.close)
        return slow
    return Transformers() if profile == "transformers" else OpenClip(openai=profile == "openai")


def main() -> None:
    """Print what every reference gives for the texts in the arguments."""
    for text in sys.argv[1:]:
        for profile in PROFILES:
            print(f"{profile:<18} {reference(profile).ids(text)}")


if __name__ == "__main__":
    main()
