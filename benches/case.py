"""What a case is, and what all cases share: sizes, peers, our tokenizers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import peers
from inputs import Corpus, corpus, spread
from measure import Contender

import cliptok

OURS = "cliptok"
GIGATOKEN = "gigatoken (GPT-2)"


class Skip(Exception):  # noqa: N818
    """A case that cannot run here. Says why."""


class Bar(NamedTuple):
    """What a case must show: `ours` at least so many times as fast as `peer`."""

    peer: str
    at_least: float
    ours: str = OURS


@dataclass
class Agreement:
    """One peer's ids beside those of one of our profiles."""

    peer: str
    profile: str
    texts: int
    unequal: int
    example: str = ""

    def __str__(self) -> str:
        if not self.unequal:
            return f"{self.peer} = {self.profile} on all {self.texts:,} texts"
        return f"{self.peer} differs from {self.profile} on {self.unequal:,} of {self.texts:,} texts: {self.example!r}"


@dataclass
class Case:
    """Contenders for the same work. The first is ours, and ratios are to it."""

    name: str
    title: str
    unit: str
    """What is counted: captions, texts, bytes, calls, MiB."""
    contenders: list[Contender]
    bars: list[Bar] = field(default_factory=list)
    agreements: list[Agreement] = field(default_factory=list)
    source: str = ""
    judged: bool = True
    """Whether the bars count: not on stand-in texts, and not in a smoke run."""
    compared: bool = True
    """Whether ratios to the first say something."""
    rounds: int | None = None
    """Rounds, where the case has a number of its own."""
    least: float | None = None
    """Seconds of a contender's runs in each round, where the case has a number of its own."""
    notes: list[str] = field(default_factory=list)
    """Lines beside the times."""

    def conditions(self, cpu: str, versions: dict[str, str]) -> str:
        """The processor, and the versions of whatever was measured."""
        ran = [peer for peer in peers.ALL.values() if any(one.name.startswith(peer.name) for one in self.contenders)]
        names = ("cliptok", *dict.fromkeys(peer.distribution for peer in ran))
        return f"{cpu}; " + ", ".join(f"{name} {versions[name]}" for name in names if name in versions)

    def named(self, name: str) -> Contender | None:
        """The contender of that name."""
        return next((contender for contender in self.contenders if contender.name == name), None)


@dataclass
class Bench:
    """How large this run is."""

    smoke: bool

    def size(self, full: int, smoke: int) -> int:
        """One number or the other."""
        return smoke if self.smoke else full

    def texts(self, kind: str, smoke: int = 1000) -> Corpus:
        """A kind of text, all of it or a sample for a smoke run."""
        found = corpus(kind)
        return found._replace(texts=spread(found.texts, smoke)) if self.smoke else found

    def peer(self, name: str) -> "peers.Peer | None":
        """A peer, or None when it is not installed."""
        return peers.peer(name)

    def against(
        self, names: tuple[str, ...], texts: list[str], job: Callable[["peers.Peer", list[str]], object]
    ) -> list[Contender]:
        """The peers that are installed, each at `job` with as many of the texts as it does in about half a second."""
        contenders = []
        for name in names:
            found = self.peer(name)
            if found is not None:
                some = spread(texts, found.sample // 20 if self.smoke else found.sample)
                contenders.append(Contender(name, _bound(job, found, some), len(some)))
        return contenders


def _bound(
    job: Callable[["peers.Peer", list[str]], object], found: "peers.Peer", texts: list[str]
) -> Callable[[], object]:
    return lambda: job(found, texts)


@cache
def tokenizer(profile: str = "transformers") -> cliptok.Tokenizer:
    """Ours."""
    return cliptok.Tokenizer(profile)
