"""Running a library's own `unittest` tests on ours, where each deviation is listed with its reason and has to fail."""

from __future__ import annotations

import contextlib
import functools
import json
import unittest
from collections.abc import Mapping
from typing import Any


def expected_to_fail(method: Any, reason: str) -> Any:
    """The test, which fails if it passes."""

    @functools.wraps(method)
    def test(self: Any) -> None:
        self.subTest = lambda *_, **__: contextlib.nullcontext()  # else unittest counts a failing subtest by itself
        try:
            method(self)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
            return
        raise AssertionError(f"passes now; take it from the list: {reason}")

    return test


def run(mixin: type, values: Mapping[str, Any], deviations: Mapping[str, str]) -> None:
    """Run the tests of `mixin` with the class attributes `values`.

    Prints a JSON object: `run`, `skipped`, and `problems`, a line each.
    """
    changed = {name: expected_to_fail(getattr(mixin, name), reason) for name, reason in deviations.items()}
    case = type("OnOurs", (mixin, unittest.TestCase), {**values, **changed})
    result = unittest.TestResult()
    unittest.TestLoader().loadTestsFromTestCase(case).run(result)
    problems = [f"{test.id()}: {text.splitlines()[-1]}" for test, text in [*result.failures, *result.errors]]
    print(json.dumps({"run": result.testsRun, "skipped": len(result.skipped), "problems": problems}))
