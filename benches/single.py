"""Cases on one text at a time: the latency of a prompt, and a whole document."""

from functools import partial
from typing import Any

import peers
from agree import IdsDifferError
from case import GIGATOKEN, OURS, Bar, Bench, Case, Skip, tokenizer
from inputs import available, corpus, lines_of, spread, utf8_size
from measure import Contender
from peers import WIDTH


def prompts_of(bench: Bench) -> list[str]:
    """Short prompts, each the next call's."""
    return spread(corpus("captions").texts, bench.size(500, 20))


def prompt_ids(bench: Bench) -> Case:
    """One prompt to its ids, by the peers' own calls for that."""
    prompts, tok = prompts_of(bench), tokenizer()
    contenders = [
        Contender(OURS, lambda: [tok.encode(prompt) for prompt in prompts], len(prompts)),
        Contender(f"{OURS} tok(prompt)", lambda: [tok(prompt) for prompt in prompts], len(prompts)),
    ]
    for name in ("transformers", "tokenizers", "open_clip", "instant-clip-tokenizer", "kitoken", GIGATOKEN):
        peer = bench.peer(name)
        if peer is not None:
            contenders.append(Contender(name, _each(peer, prompts), len(prompts)))
            _same_ids(peer, prompts)
    found = corpus("captions")
    return Case(
        "prompt-ids", "One prompt to ids", "calls", contenders, [Bar("instant-clip-tokenizer", 3)],
        source=found.source, judged=found.real,
    )  # fmt: skip


def _each(peer: peers.Peer, prompts: list[str]) -> Any:
    one = peer.one
    return lambda: [one(prompt) for prompt in prompts]


def _same_ids(peer: peers.Peer, prompts: list[str]) -> None:
    """Raises IdsDifferError for a reference's other ids. Some peers put start and end around them, and some do not."""
    for profile in peer.profiles if peer.exact else ():
        for prompt in prompts:
            expected = tokenizer(profile).encode(prompt)
            if list(peer.one(prompt)) not in (expected, expected[1:-1]):
                raise IdsDifferError(f"{peer.name} differs from {profile} on {prompt!r}")


def prompt_torch(bench: Bench) -> Case:
    """One prompt to (1, 77) tensors."""
    prompts, tok = prompts_of(bench), tokenizer()
    options: Any = {"padding": "max_length", "max_length": WIDTH, "truncation": True, "return_tensors": "pt"}
    contenders = [Contender(OURS, lambda: [tok(prompt, **options) for prompt in prompts], len(prompts))]
    transformers, open_clip = bench.peer("transformers"), bench.peer("open_clip")
    if isinstance(transformers, peers.Transformers):
        theirs = transformers.tok
        contenders.append(
            Contender("transformers", lambda: [theirs(prompt, **options) for prompt in prompts], len(prompts))
        )
    if open_clip is not None:
        contenders.append(
            Contender("open_clip", lambda: [open_clip.torch([prompt]) for prompt in prompts], len(prompts))
        )
    found = corpus("captions")
    return Case(
        "prompt-torch", "One prompt to torch int64 (1, 77)", "calls", contenders, [Bar("transformers", 25)],
        source=found.source, judged=found.real,
    )  # fmt: skip


MEGABYTE = 1_000_000
DOCUMENTS = {
    "Markdown": "6_long/diffusers_docs_en.md.gz",
    "captions": "2_captions/flickr30k_en.txt.gz",
    "novel": "6_long/war_and_peace_en.txt.gz",
    "Russian subtitles": "6_long/opensubtitles_ru.txt",
}
"""Files that are one long text each."""


def document(bench: Bench) -> Case:
    """A whole book and a manual as one text, untruncated."""
    found = corpus("prose")
    text = "\n".join(found.texts)
    size = bench.size(45, 1) * MEGABYTE
    text = (text * (size // len(text) + 1))[:size]
    return _document("document", "One long document, prose and Markdown, to ids", text, found.source, found.real, bench)


def document_ascii(bench: Bench) -> Case:
    """The captions as one text: the same without typographic quotes."""
    found = corpus("captions")
    text = "\n".join(found.texts)
    size = bench.size(45, 1) * MEGABYTE
    text = (text * (size // len(text) + 1))[:size]
    title = "One long document, captions joined, to ids"
    return _document("document-ascii", title, text, found.source, found.real, bench)


def documents(bench: Bench) -> Case:
    """Long texts of several kinds, each against the call that gigatoken's published figures are of.

    The first runs of a contender find the caches full of the other kinds' words. There are so many runs that the median
    is of ones that do not.
    """
    if not available():
        raise Skip("it needs the corpora")
    gigatoken = bench.peer(GIGATOKEN)
    if not isinstance(gigatoken, peers.Gigatoken):
        raise Skip("gigatoken is not installed")
    tok, contenders, bars = tokenizer(), [], []
    for kind, file in DOCUMENTS.items():
        text = "\n".join(lines_of(file))
        text = text * (bench.size(20, 1) * MEGABYTE // utf8_size([text]) + 1)
        path = peers.files() / f"{kind}.txt"
        path.write_text(text, encoding="utf-8", newline="\n")
        ours, theirs = f"{OURS}, {kind}", f"{GIGATOKEN} encode_files, {kind}"
        contenders.append(Contender(ours, partial(tok.encode_packed, [text]), utf8_size([text])))
        contenders.append(Contender(theirs, partial(gigatoken.file, path), utf8_size([text])))
        bars.append(Bar(theirs, 1, ours))
    return Case("documents", "Long documents to ids", "bytes", contenders, bars, compared=False, least=0.6)


def _document(name: str, title: str, text: str, source: str, real: bool, bench: Bench) -> Case:
    tok = tokenizer()
    contenders = [Contender(OURS, lambda: tok.encode_packed([text]), utf8_size([text]))]
    for peer_name, limit in (
        (GIGATOKEN, len(text)),
        ("tokenizers", MEGABYTE // 3),
        ("instant-clip-tokenizer", 4 * MEGABYTE),
        ("kitoken", 2 * MEGABYTE),
    ):
        peer = bench.peer(peer_name)
        if peer is not None:
            part = text[: limit // 4 if bench.smoke and limit < len(text) else limit]
            contenders.append(Contender(peer_name, _one(peer, part), utf8_size([part])))
            if peer.exact:
                _same_ids(peer, [part])
    bars, gigatoken = [Bar(GIGATOKEN, 1.2)], bench.peer(GIGATOKEN)
    if isinstance(gigatoken, peers.Gigatoken):
        path = peers.files() / f"{name}.txt"
        path.write_text(text, encoding="utf-8", newline="\n")
        own = f"{GIGATOKEN} encode_files"
        contenders.append(Contender(own, lambda: gigatoken.file(path), utf8_size([text])))
        bars.append(Bar(own, 1))
    return Case(name, title, "bytes", contenders, bars, source=source, judged=real)


def _one(peer: peers.Peer, text: str) -> Any:
    return lambda: peer.one(text)
