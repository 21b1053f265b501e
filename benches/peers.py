"""The peers, each behind one interface, imported when first used."""

import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from inputs import ROOT, SHARED

sys.path.append(str(ROOT / "tests"))
from support import references

WIDTH = 77
GPT2 = SHARED / "peers" / "gpt2_tokenizer.json"
END = references.END


class Peer:
    """One peer. What it does not offer raises NotImplementedError, and no case asks for it."""

    name: str
    distribution: str
    """Its name on the package index."""
    sample: int
    """Captions that it does in about half a second, or fewer."""
    profiles: tuple[str, ...] = ()
    """Whose ids it claims to give, in our profiles' names; empty when it does not do CLIP."""
    exact: bool = True
    """Whether a difference ends the run: whether it is its profile's own reference."""
    pad: int = END
    """What stands behind the ids in `rows_array`."""

    def rows(self, texts: list[str]) -> Any:
        """Ids of the texts cut at 77, in the peer's own form, without converting what it gives."""
        raise NotImplementedError

    def rows_array(self, texts: list[str]) -> npt.NDArray[np.int64]:
        """The same as (n, 77), for comparing."""
        raise NotImplementedError

    def torch(self, texts: list[str]) -> Any:
        """The texts as torch int64 (n, 77), with the mask if the peer makes one."""
        raise NotImplementedError

    def one(self, text: str) -> Any:
        """Ids of one text, untruncated, in the peer's own form."""
        raise NotImplementedError


class Transformers(Peer):
    """transformers' `CLIPTokenizer`."""

    name = distribution = "transformers"
    sample = 4000
    profiles = ("transformers",)
    pad = -1

    def __init__(self) -> None:
        self.tok = references.Transformers().tok

    def torch(self, texts: list[str]) -> Any:
        return self.tok(texts, padding="max_length", max_length=WIDTH, truncation=True, return_tensors="pt")

    def rows_array(self, texts: list[str]) -> npt.NDArray[np.int64]:
        found = self.torch(texts)
        # The padding is the end of text too: marking it compares the mask along with the ids.
        rows: npt.NDArray[np.int64] = np.where(
            found["attention_mask"].numpy() == 1, found["input_ids"].numpy(), self.pad
        )
        return rows

    def one(self, text: str) -> Any:
        return self.tok(text)["input_ids"]


class Tokenizers(Peer):
    """tokenizers' `encode_batch_fast`: `Encoding` objects as they come, cut at 77 but not padded, the least work."""

    name = distribution = "tokenizers"
    sample = 8000
    profiles = ("transformers",)

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        self.tok = Tokenizer.from_file(str(tokenizer_json()))
        self.tok.no_padding()
        self.tok.enable_truncation(WIDTH)
        self.whole = Tokenizer.from_file(str(tokenizer_json()))
        self.whole.no_padding()
        self.whole.no_truncation()

    def rows(self, texts: list[str]) -> Any:
        return self.tok.encode_batch_fast(texts)

    def rows_array(self, texts: list[str]) -> npt.NDArray[np.int64]:
        return padded([encoding.ids for encoding in self.rows(texts)], self.pad)

    def one(self, text: str) -> Any:
        return self.whole.encode(text).ids


class OpenClip(Peer):
    """open_clip's `SimpleTokenizer`, whose module is loaded by its path: the package would want torchvision."""

    name = "open_clip"
    distribution = "open_clip_torch"
    sample = 4000
    profiles = ("open_clip",)
    pad = 0

    def __init__(self) -> None:
        self.tok = references.OpenClip().tok

    def torch(self, texts: list[str]) -> Any:
        return self.tok(texts, context_length=WIDTH)

    def rows_array(self, texts: list[str]) -> npt.NDArray[np.int64]:
        rows: npt.NDArray[np.int64] = self.torch(texts).numpy()
        return rows

    def one(self, text: str) -> Any:
        return self.tok.encode(text)


class InstantClip(Peer):
    """instant-clip-tokenizer. It says that it lowercases and does no other cleaning."""

    name = distribution = "instant-clip-tokenizer"
    sample = 40_000
    profiles = ("openai", "transformers")
    exact = False
    pad = 0

    def __init__(self) -> None:
        import instant_clip_tokenizer

        self.tok = instant_clip_tokenizer.Tokenizer()

    def rows(self, texts: list[str]) -> Any:
        return self.tok.tokenize_batch(texts, context_length=WIDTH)

    def rows_array(self, texts: list[str]) -> npt.NDArray[np.int64]:
        return self.rows(texts).astype(np.int64)

    def one(self, text: str) -> Any:
        return self.tok.encode(text)


class Kitoken(Peer):
    """kitoken, from CLIP's `tokenizer.json`: lists of ids without start and end, uncut, which it does not offer."""

    name = distribution = "kitoken"
    sample = 20_000
    profiles = ("transformers",)
    exact = False

    def __init__(self) -> None:
        import kitoken

        self.tok = kitoken.Kitoken.from_tokenizers_file(str(tokenizer_json()))

    def rows(self, texts: list[str]) -> Any:
        return self.tok.encode_all(texts, True)

    def rows_array(self, texts: list[str]) -> npt.NDArray[np.int64]:
        lists = ([references.START, *ids[: WIDTH - 2], END] for ids in self.rows(texts))
        return padded(lists, self.pad, len(texts))

    def one(self, text: str) -> Any:
        return self.tok.encode(text, True)


class Gigatoken(Peer):
    """gigatoken with GPT-2's vocabulary: the fast neighbour that cannot do CLIP. Padded uint32 rows and lengths."""

    name = "gigatoken (GPT-2)"
    distribution = "gigatoken"
    sample = 1_000_000

    def __init__(self) -> None:
        import gigatoken

        if not GPT2.exists():
            raise references.MissingError(f"gigatoken wants a vocabulary, and there is none at {GPT2}")
        self.tok = gigatoken.Tokenizer(str(GPT2))

    def rows(self, texts: Any) -> Any:
        """Also from an awkward array."""
        return self.tok.encode_batch_padded(texts, 50256, max_length=WIDTH, pad_to_max_length=True, truncate=True)

    def one(self, text: str) -> Any:
        return self.tok.encode(text)

    def file(self, path: Path) -> Any:
        """A file as one document: the call that its published figures are of."""
        return self.tok.encode_files(path)


ALL = {peer.name: peer for peer in (Transformers, Tokenizers, OpenClip, InstantClip, Kitoken, Gigatoken)}


@cache
def peer(name: str) -> Peer | None:
    """A peer, made at first use; None, and a line that says so, when it cannot be made here."""
    try:
        return ALL[name]()
    except (ImportError, references.MissingError) as error:
        print(f"No {name}: {error}. `make .venv/peers` installs the peers.", flush=True)
        return None


@cache
def files() -> Path:
    """A folder with CLIP's tokenizer.json as transformers saves it, for the peers and for processes of their own."""
    keep = tempfile.TemporaryDirectory(prefix="cliptok-bench-")
    _kept.append(keep)
    references.Transformers().tok.save_pretrained(keep.name)
    return Path(keep.name)


_kept: list[Any] = []  # A folder goes when its object does.


def tokenizer_json() -> Path:
    """CLIP's tokenizer.json."""
    return files() / "tokenizer.json"


def padded(lists: Any, pad: int, count: int | None = None) -> npt.NDArray[np.int64]:
    """Lists of at most 77 ids as (n, 77)."""
    rows = np.full((len(lists) if count is None else count, WIDTH), pad, np.int64)
    for row, ids in zip(rows, lists, strict=True):
        row[: len(ids)] = ids
    return rows
