"""What a job did: counts, times, and a summary of both for people and for machines."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NamedTuple

STAGES = ("loading", "reading", "tokenizing", "encoding", "writing")


@dataclasses.dataclass
class Counts:
    """Rows, texts and tokens of one input or of all."""

    rows: int = 0
    """Rows read."""
    texts: int = 0
    """Rows written: those read less those skipped."""
    tokens: int = 0
    """Ids written, start and end included, padding not."""
    truncated: int = 0
    """Texts that had more than `max_length` tokens."""
    empty: int = 0
    """Texts of no characters."""
    null: int = 0
    """Rows without a text: a null, a field or a file that is missing."""
    undecodable: int = 0
    """Texts that were not UTF-8."""

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return dict(vars(self))  # They are numbers: `dataclasses.asdict` copies deeply, for ten times as long.

    def add(self, counts: dict[str, int]) -> None:
        """Add what `as_dict` gave for other counts."""
        for name, value in counts.items():
            setattr(self, name, getattr(self, name) + value)


class Clock:
    """Seconds that each stage was busy. Stages overlap, each in its own thread."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begin = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += perf_counter() - begin


class PlannedOutput(NamedTuple):
    """One output of a job."""

    input: str
    """The file that it is made of."""
    output: str
    """The file that it becomes."""
    action: str
    """`make`, `make anew` where the output exists, or `finished` where it stays as it is."""
    parts: int = 0
    """Parts that an earlier run left; `resume` goes on with those of this input and these settings."""
    parts_bytes: int = 0
    """What these take on the disk."""


@dataclasses.dataclass
class Report:
    """What `tokenize_files` or `embed_files` did."""

    output: str
    """The folder or file that was written."""
    counts: Counts = dataclasses.field(default_factory=Counts)
    """Of all inputs, including those that an earlier run had finished."""
    files: int = 0
    """Complete outputs after this run."""
    finished_before: int = 0
    """Of these, the ones that `resume` found finished and kept."""
    made_anew: int = 0
    """Existing outputs that `resume` replaced: damaged, or made from another input or with other settings."""
    parts: int = 0
    """Parts of outputs that are not finished, with which `resume` goes on: 0 unless the job was interrupted."""
    parts_bytes: int = 0
    """What these take on the disk."""
    parts_before: int = 0
    """Parts of unfinished outputs that `resume` found and kept."""
    disk_needed: int | None = None
    """About the bytes of disk that the rest needs: 0 at the end, None where nothing was made to tell it by."""
    texts_now: int = 0
    """Texts of this run alone."""
    reused: int | None = None
    """Texts of this run that were not encoded: in the cache, or repeated. None without a cache."""
    seconds: float = 0.0
    """This run's time."""
    stages: dict[str, float] = dataclasses.field(default_factory=dict)
    """Seconds of loading the model, and those that the stages from reading to writing were at work, which overlap."""

    outputs: list[PlannedOutput] = dataclasses.field(default_factory=list)
    """Of a dry run: each output and what the job would do about it."""

    @property
    def texts_per_second(self) -> float:
        """Of this run."""
        return self.texts_now / self.seconds if self.seconds else 0.0

    @property
    def shares(self) -> dict[str, float]:
        """Each stage's part of the time at work; together 1."""
        total = sum(self.stages.values())
        return {stage: seconds / total if total else 0.0 for stage, seconds in self.stages.items()}

    def to_json(self) -> str:
        """All of it on one line."""
        found: dict[str, Any] = dataclasses.asdict(self)
        found |= found.pop("counts")
        found["outputs"] = [output._asdict() for output in self.outputs]
        found |= {"texts_per_second": self.texts_per_second, "shares": self.shares}
        return json.dumps(found)

    def __str__(self) -> str:
        """Some lines for people."""
        counts = self.counts
        lines = [
            f"{counts.texts:,} texts, {counts.tokens:,} tokens, {_number(self.files, 'file')} in {self.output}",
            f"{counts.truncated:,} truncated, {counts.empty:,} empty, {counts.null:,} null,"
            f" {counts.undecodable:,} not UTF-8; {counts.rows - counts.texts:,} skipped",
        ]
        if self.finished_before or self.made_anew:
            lines.append(f"{self.finished_before:,} finished before, {self.made_anew:,} made anew")
        if self.parts_before:
            lines.append(f"{self.parts_before:,} parts of other files were there")
        if self.texts_now and self.reused is not None:
            lines.append(f"{self.reused:,} ({self.reused / self.texts_now:.0%}) not encoded: in the cache, or repeated")
        if self.texts_now:
            shares = ", ".join(f"{stage} {share:.0%}" for stage, share in self.shares.items() if share)
            lines.append(f"{self.seconds:.1f} s, {self.texts_per_second:,.0f} texts/s: {shares}")
        return "\n".join(lines)


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("s" if count != 1 else "")
