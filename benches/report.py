"""What a run says: a table on the terminal for each case, and one record for the file of results."""

from typing import Any, NamedTuple

from case import Case
from measure import Contender, ratio


class Verdict(NamedTuple):
    """One bar, and what came of it."""

    case: str
    ours: str
    peer: str
    at_least: float
    ratio: float | None
    judged: bool

    def __str__(self) -> str:
        what = f"{self.case}: {self.ours} vs {self.peer}"
        if self.ratio is None:
            return f"{what:<66} at least {self.at_least:g}: not measured, the peer is missing"
        word = "not judged" if not self.judged else "met" if self.ratio >= self.at_least else "NOT MET"
        return f"{what:<66} at least {self.at_least:<5g} measured {shown(self.ratio):<7} {word}"


def verdicts(case: Case) -> list[Verdict]:
    """Each bar of a case."""
    found = []
    for bar in case.bars:
        ours, peer = case.named(bar.ours), case.named(bar.peer)
        value = ratio(ours, peer) if ours is not None and peer is not None else None
        found.append(Verdict(case.name, bar.ours, bar.peer, bar.at_least, value, case.judged))
    return found


def table(case: Case, conditions: str) -> str:
    """Medians, best rounds, and ratios to the first contender, under a line that says what they were measured on."""
    lines = [f"\n{case.title}  [{case.name}]", f"  {conditions}"]
    lines += [f"  {agreement}" for agreement in case.agreements]
    first = case.contenders[0]
    compared = case.compared and not first.series
    head = f"  {'':<34} {'median':>14} {'best':>14}"
    lines.append(f"{head} {'the first is':>14}" if compared else head)
    for contender in case.contenders:
        line = f"  {contender.name:<34} {quantity(contender.cost, case.unit):>14}"
        line += f" {quantity(contender.least_cost, case.unit):>14}"
        if compared and contender is not first:
            line += f" {shown(ratio(first, contender)) + ' x':>14}"
        lines.append(line)
    lines += [f"  {note}" for note in case.notes]
    return "\n".join(lines)


def quantity(cost: float, unit: str) -> str:
    """A cost in the terms that a case's unit is thought of in: a rate, a time or an amount."""
    if unit == "MiB":
        return f"{cost:,.1f} MiB"
    if unit == "calls":
        return time(cost)
    if unit == "bytes":
        return f"{shown(1e-6 / cost)} MB/s"
    return f"{shown(1e-3 / cost)} k/s"


def time(seconds: float) -> str:
    """A time in its natural unit."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{shown(seconds * factor)} {unit}"
    return f"{shown(seconds * 1e9)} ns"


def shown(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def record(case: Case) -> dict[str, Any]:
    """A case for the file."""
    return {
        "name": case.name,
        "title": case.title,
        "unit": case.unit,
        "texts": case.source,
        "notes": case.notes,
        "agreement": [agreement.__dict__ for agreement in case.agreements],
        "contenders": [_contender(contender, case.contenders[0], case.unit) for contender in case.contenders],
        "bars": [verdict._asdict() for verdict in verdicts(case)],
    }


def _contender(contender: Contender, first: Contender, unit: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": contender.name}
    if contender.series:
        found |= {"series": contender.series, "x": contender.x}
    return found | {
        "amount": contender.amount,
        ("mib" if unit == "MiB" else "seconds"): [float(f"{value:.6g}") for value in contender.values],
        "cost_median": float(f"{contender.cost:.6g}"),
        "cost_best": float(f"{contender.least_cost:.6g}"),
        "ratio_to_first": float(f"{ratio(first, contender):.6g}"),
    }
