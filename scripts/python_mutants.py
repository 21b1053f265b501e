"""Count the mutants of the Python half that its tests notice: `make mutants-python`.

mutmut makes the mutants and the switch between them, as `[tool.mutmut]` in pyproject.toml says. They are run here:
tests are collected once, in a process that has torch and pyarrow imported; a first pass notes which functions each
test calls and how long it takes; then each mutant is a fork of that process, which runs the tests that call its
function, quickest first, until one fails.

A mutant that changes nothing a user can see stands in `python_mutants.toml` with its reason.

Run it in a folder with the package under `src`, `tests` and `pyproject.toml`; everything is written there.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import gc
import importlib
import itertools
import json
import math
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tomllib
from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import setup_source_paths, walk_mutatable_files

EQUAL = Path(__file__).with_suffix(".toml")
ALLOWED = 0.05  # of those that change something may survive
CALLS = Path("calls.json")
MODULES = Path("modules.json")
RESULTS = Path("results.jsonl")
SURVIVED = Path("survived.txt")
CPU_SECONDS = 10.0  # to which five times what the tests take is added
WALL_SECONDS = 120.0  # for what waits for ever; to which ten times what the tests take is added
DATA_BYTES = 8 << 30


def main() -> int:
    """Draw mutants, run them, and say what is left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, metavar="N", help="so many of each half, drawn at random; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--most", type=float, default=math.inf, help="seconds of tests for a mutant, of its quickest ones"
    )
    parser.add_argument("names", nargs="*", help="patterns of mutants, such as '*reading.quotes*'")
    options = parser.parse_args()

    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    setup_source_paths()
    create_mutants(os.cpu_count() or 1)
    mutants = drawn(options.names, options.sample, options.seed)
    os.chdir("mutants")
    runner = Runner(mutants, options.most)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = ["--rootdir=.", "-q", "-s", "-p", "no:xdist", "--tb=short", f"--basetemp={scratch}/tests"]
        status = pytest.main(
            [*arguments, *config().pytest_add_cli_args, *config().pytest_add_cli_args_test_selection], plugins=[runner]
        )
    return int(status) if not runner.results else runner.report()


def drawn(names: list[str], sample: int | None, seed: int) -> dict[str, Path]:
    """The mutants to run, and the file of each. A sample is drawn from each pattern of `only_mutate` by itself."""
    halves: dict[str, dict[str, Path]] = {pattern: {} for pattern in config().only_mutate}
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        half = next(mutants for pattern, mutants in halves.items() if fnmatch.fnmatch(str(path), pattern))
        for name in data.exit_code_by_key:
            if not names or any(fnmatch.fnmatch(name, pattern) for pattern in names):
                half[name] = path
    chosen = []
    for pattern, mutants in halves.items():
        some = sorted(mutants)
        if sample is not None and sample < len(some):
            some = random.Random(seed).sample(some, sample)
        print(f"{pattern}: {len(some)} of {len(mutants)} mutants")
        chosen.append([(name, mutants[name]) for name in some])
    # In turn, so that what is interrupted is a sample of both, too.
    return dict(mutant for mutants in itertools.zip_longest(*chosen) for mutant in mutants if mutant)


class Runner:
    """A plugin of pytest that runs each mutant in place of the session's tests."""

    def __init__(self, mutants: dict[str, Path], most: float) -> None:
        self.mutants = mutants
        self.most = most
        self.results: list[dict[str, Any]] = []
        self.failed: str | None = None
        self.equal = tomllib.loads(EQUAL.read_text(encoding="utf-8"))["equal"]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the test that failed."""
        if report.failed:
            self.failed = report.nodeid
            print(f"\n{report.nodeid} ({report.when}): {report.longreprtext}", flush=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """The tests on the code as it is, then on each mutant."""
        if session.testsfailed:
            raise session.Interrupted("the tests were not collected")
        calls = self.calls(session)
        by_function: dict[str, list[tuple[float, pytest.Item]]] = {}
        for item in session.items:
            seconds, functions = calls[item.nodeid]
            for function in functions:
                by_function.setdefault(function, []).append((seconds, item))
        gc.collect()
        gc.freeze()  # or each fork copies every object when it collects
        with Path("..", RESULTS).open("a", encoding="utf-8") as results:
            for number, (name, path) in enumerate(self.mutants.items(), 1):
                tests = sorted(by_function.get(name.partition("__mutmut_")[0], []), key=lambda test: test[0])
                ends = itertools.accumulate(seconds for seconds, _ in tests)
                tests = [test for test, end in zip(tests, ends, strict=True) if end <= max(self.most, tests[0][0])]
                files: dict[Path, float] = {}
                for seconds, item in tests:
                    files[item.path] = files.get(item.path, 0.0) + seconds
                tests.sort(key=lambda test: files[test[1].path])  # a file's fixtures are made once
                began = time.monotonic()
                status, by = self.run(name, tests) if tests else ("unreached", "")
                result = {"mutant": name, "status": status, "by": by, "seconds": round(time.monotonic() - began, 2)}
                if status == "survived":
                    os.chdir("..")
                    result["diff"] = get_diff_for_mutant(name, path=path)
                    os.chdir("mutants")
                    result["equal"] = self.reason(name, result["diff"])
                self.results.append(result)
                print(json.dumps(result), file=results, flush=True)
                print(f"{number}/{len(self.mutants)} {status:8} {result['seconds']:6} s {name}", flush=True)
        return True

    def calls(self, session: pytest.Session) -> dict[str, tuple[float, list[str]]]:
        """How long each test takes and which functions it calls; kept in `calls.json`, which a change makes wrong."""
        known = json.loads(Path("..", CALLS).read_text()) if Path("..", CALLS).exists() else {}
        items = [item for item in session.items if item.nodeid not in known]
        if items:
            print(f"{len(items)} tests on the code as it is", flush=True)
            status, by = self.forked("stats", items, self.note_calls, 3600.0, 7200.0)
            if status != "survived":
                pytest.exit(f"on the code as it is: {status}, {by}; see last.log", 1)
            known = json.loads(Path("..", CALLS).read_text())
        for module in json.loads(Path("..", MODULES).read_text()):  # what tests import while they run, once for all
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        return known

    def note_calls(self, items: list[pytest.Item]) -> None:
        known = json.loads(Path("..", CALLS).read_text()) if Path("..", CALLS).exists() else {}
        for item, after in zip(items, [*items[1:], None], strict=True):
            state()._stats.clear()
            began = time.monotonic()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.failed:
                break
            known[item.nodeid] = (time.monotonic() - began, sorted(state()._stats))
        Path("..", CALLS).write_text(json.dumps(known))
        modules = Path("..", MODULES)
        before = json.loads(modules.read_text()) if modules.exists() else []
        modules.write_text(json.dumps(list(dict.fromkeys([*before, *sys.modules]))))

    def run(self, name: str, tests: list[tuple[float, pytest.Item]]) -> tuple[str, str]:
        seconds = sum(took for took, _ in tests)
        items = [item for _, item in tests]
        return self.forked(name, items, self.until_failure, CPU_SECONDS + 5 * seconds, WALL_SECONDS + 10 * seconds)

    def until_failure(self, items: list[pytest.Item]) -> None:
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.failed:
                return

    def forked(self, name: str, items: list[pytest.Item], work: Any, cpu: float, wall: float) -> tuple[str, str]:
        """What became of a mutant in a process of its own: its status, and the test that noticed it."""
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            os.setpgid(0, 0)  # with the processes that its tests start
            used = math.ceil(time.process_time() + cpu)
            resource.setrlimit(resource.RLIMIT_CPU, (used, used + 1))
            resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))
            log = os.open("../last.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            set_mutant_under_test(name)
            if name == "stats":
                del os.environ["MUTANT_UNDER_TEST"]  # which other processes cannot note anywhere
            try:
                work(items)
            except BaseException as error:  # whatever a mutant raises
                self.failed = self.failed or repr(error)
            os.write(write, (self.failed or "none").encode())
            sys.stdout.flush()
            os._exit(0)
        os.close(write)
        until = time.monotonic() + wall
        while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < until:
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if not ended[0]:
            os.waitpid(child, 0)
        with os.fdopen(read, "rb") as answer:
            by = answer.read().decode()
        if not ended[0] or (os.WIFSIGNALED(ended[1]) and os.WTERMSIG(ended[1]) in (signal.SIGXCPU, signal.SIGKILL)):
            return "timeout", ""
        if not by:
            return "caught", f"ended with {os.waitstatus_to_exitcode(ended[1])}"
        return ("survived", "") if by == "none" else ("caught", by)

    def reason(self, name: str, diff: str) -> str | None:
        """Why a mutant changes nothing, where the list says so."""
        lines = diff.splitlines()[3:]
        removed = "\n".join(line[1:].strip() for line in lines if line.startswith("-"))
        added = "\n".join(line[1:].strip() for line in lines if line.startswith("+"))
        for entry in self.equal:
            same = fnmatch.fnmatch(name.partition("__mutmut_")[0], entry["function"])
            if same and entry.get("was", "") in removed and entry["is"] in added:
                return str(entry["why"])
        return None

    def report(self) -> int:
        """Counts of each half and the survivors' differences; 1 if more of a half survived than may."""
        status = 0
        left: list[dict[str, Any]] = []
        for pattern in config().only_mutate:
            module = pattern.removeprefix("src/").rstrip("*").replace("/", ".")
            of = [result for result in self.results if result["mutant"].startswith(module)]
            if not of:
                continue
            count = Counter("equal" if result.get("equal") else result["status"] for result in of)
            left += [result for result in of if result["status"] == "survived" and not result["equal"]]
            changed = len(of) - count["equal"] - count["unreached"]
            low, high = interval(count["survived"], changed)
            print(
                f"{module} {len(of)} mutants: {count['caught']} caught, {count['timeout']} timed out, "
                f"{count['equal']} change nothing, {count['survived']} survived: "
                f"{count['survived'] / max(1, changed):.1%} of those that change something "
                f"(95% between {low:.1%} and {high:.1%}); "
                f"{count['unreached']} more are of functions that none of these tests calls"
            )
            status |= count["survived"] > ALLOWED * changed
        text = "\n".join(
            f"# {result['mutant']}: {result['by'] or result['status']}\n{result['diff']}" for result in left
        )
        Path("..", SURVIVED).write_text(text, encoding="utf-8")
        return status


def interval(hits: int, of: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson, 1927)."""
    if not of:
        return 0.0, 1.0
    z = 1.96
    share, scale = hits / of, 1 + z * z / of
    middle = (share + z * z / (2 * of)) / scale
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


if __name__ == "__main__":
    sys.exit(main())
