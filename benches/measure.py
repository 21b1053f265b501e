"""Timing: all contenders of a case in turn, round after round, so that a slow moment of the machine hits each alike."""

import gc
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter


@dataclass
class Contender:
    """One way to do a case's work."""

    name: str
    run: Callable[[], object]
    amount: float
    """Texts, bytes or calls in one run. Slow contenders do a sample, so what counts is the cost of one."""
    series: str = ""
    """In a sweep: the line of the chart that this is a point of."""
    x: float = 0.0
    """In a sweep: where on that line."""
    reports: bool = False
    """Whether `run` returns the value itself (seconds or MiB, from another process) instead of being timed."""
    values: list[float] = field(default_factory=list)
    """One value per round: the median of the round's runs."""

    @property
    def costs(self) -> list[float]:
        """Seconds, or MiB, for one unit of the amount, by round."""
        return [value / self.amount for value in self.values]

    @property
    def cost(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.costs)

    @property
    def least_cost(self) -> float:
        """The best round."""
        return min(self.costs)


def ratio(ours: Contender, peer: Contender) -> float:
    """How many times the peer costs what ours does: the median of the rounds' ratios."""
    return statistics.median(theirs / own for own, theirs in zip(ours.costs, peer.costs, strict=True))


def measure(contenders: list[Contender], rounds: int, least: float) -> None:
    """Fill in every contender's values.

    Each is run once to warm up; then as often per round as it takes to fill `least` seconds. The collector of garbage
    is off meanwhile, and results are freed outside the time.
    """
    repeats = [1 if contender.reports else math.ceil(least / max(_timed(contender), 1e-9)) for contender in contenders]
    repeats = [min(times, 1000) for times in repeats]
    order = list(zip(contenders, repeats, strict=True))
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for _ in range(rounds):
            for contender, times in order:
                contender.values.append(statistics.median(_value(contender) for _ in range(times)))
            gc.collect()
            order = order[1:] + order[:1]  # Nobody always runs behind the same neighbour.
    finally:
        gc.enable()
        gc.unfreeze()


def _value(contender: Contender) -> float:
    if not contender.reports:
        return _timed(contender)
    value = contender.run()
    assert isinstance(value, float)
    return value


def _timed(contender: Contender) -> float:
    run = contender.run
    begin = perf_counter()
    result = run()
    end = perf_counter()
    del result
    return end - begin
