"""Runs under transformers 4.57.6: answers questions about its slow CLIPTokenizer, a JSON object a line.

See `references.Slow`, which starts it. Not a test module.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import transformers

assert transformers.__version__ == "4.57.6", transformers.__version__
transformers.logging.set_verbosity_error()
NO_CUT = 1 << 60


class Worker:
    """The functions that can be asked for: the public methods."""

    tok: Any

    def build(self, vocab: dict[str, int], merges: list[tuple[str, str]]) -> None:
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
        text = "#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in merges)
        (folder / "merges.txt").write_text(text, encoding="utf-8")
        self.renew()
        self.clip = self.tok

    def renew(self) -> None:
        """A fresh tokenizer of CLIP's vocabulary, for a test that changes it."""
        folder = Path(self.folder.name)
        self.tok = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
        assert self.tok.fix_text is not None, "ftfy is missing"

    def use_clip(self) -> None:
        """Back to the tokenizer of `build`."""
        self.tok = self.clip

    def load(self, folder: str, fast: bool = False, **options: Any) -> None:
        """Use the tokenizer of a folder from here on."""
        kind = transformers.CLIPTokenizerFast if fast else transformers.CLIPTokenizer
        self.tok = kind.from_pretrained(folder, **options)

    def save(self, folder: str) -> None:
        self.tok.save_pretrained(folder)

    def batch(self, texts: list[str]) -> list[list[int]]:
        tok = self.tok
        if len(getattr(tok, "cache", ())) > 500_000:  # It keeps every word for ever.
            for word in list(tok.cache)[2:]:
                del tok.cache[word]
        return [tok(text)["input_ids"] for text in texts]

    def call(self, text: Any, options: dict[str, Any]) -> dict[str, Any]:
        return dict(self.tok(text, **options))

    def add_tokens(self, tokens: list[dict[str, Any]], special: bool = False) -> int:
        return self.tok.add_tokens([transformers.AddedToken(**token) for token in tokens], special_tokens=special)

    def decode(self, rows: list[list[int]], options: dict[str, Any]) -> list[str]:
        return [self.tok.decode(row, **options) for row in rows]

    def get(self, names: list[str]) -> list[Any]:
        """Attributes of the tokenizer that JSON can hold."""
        return [getattr(self.tok, name) for name in names]

    def tokenize(self, texts: list[str]) -> list[list[str]]:
        return [self.tok.tokenize(text) for text in texts]


def main() -> None:
    worker = Worker()
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"result": getattr(worker, question.pop("do"))(**question)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
