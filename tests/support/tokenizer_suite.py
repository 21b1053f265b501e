"""transformers' common tokenizer tests on our tokenizer, as a script: they register marks that our pytest has not.

`python tokenizer_suite.py SUITES FOLDER` prints a JSON object: `run`, `skipped`, and `problems`, a line each.
"""

from __future__ import annotations

import functools
import json
import sys
import unittest
import warnings
from pathlib import Path
from typing import Any

from cliptok import Tokenizer

CHAT = "chat templates: no CLIP model has one, and `as_transformers()` has the methods"
LOGS = "asks for warnings by transformers' logger, and overflowing tokens apart: nothing is printed, and they are rows"
DEVIATIONS = {
    **dict.fromkeys(
        [
            "test_chat_template",
            "test_chat_template_batched",
            "test_chat_template_dict",
            "test_chat_template_dict_saving",
            "test_chat_template_dict_saving_rejects_path_traversal",
            "test_chat_template_empty_conversation",
            "test_chat_template_file_priority",
            "test_chat_template_none_values",
            "test_continue_final_message",
            "test_continue_final_message_string_and_reasoning",
            "test_continue_final_message_with_decoy_earlier_message",
            "test_continue_final_message_with_trim",
            "test_jinja_loopcontrols",
            "test_jinja_strftime",
        ],
        CHAT,
    ),
    "test_maximum_encoding_length_pair_input": LOGS,
    "test_maximum_encoding_length_single_input": LOGS,
    "test_added_tokens_serialization": "reads a private attribute, `_added_tokens_decoder`, of the file as written",
    "test_padding_to_multiple_of": "77 is no multiple of 8; transformers' own fails as well",
    "test_tokenizer_initialization_with_conflicting_key": "our TypeError names the argument; theirs is AttributeError",
}


class _Nothing:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def expected_to_fail(method: Any, reason: str) -> Any:
    """The test, which fails if it passes."""

    @functools.wraps(method)
    def test(self: Any) -> None:
        self.subTest = lambda *_, **__: (
            _Nothing()
        )  # unittest counts a failing subtest by itself; here it fails its test
        try:
            method(self)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
            return
        raise AssertionError(f"passes now; take it from the list: {reason}")

    return test


def main(suites: str, folder: Path) -> None:
    """Run them all with the tokenizer files in `folder`."""
    sys.path.append(suites)
    from transformers_suite import test_tokenization_common as common

    (folder / "fixtures").mkdir()
    (folder / "fixtures" / "sample_text.txt").write_text("A photo of a cat.\n\nTwo dogs, and it's nice.\n" * 5)
    common.get_tests_dir = lambda *_: str(folder)
    mixin = common.TokenizerTesterMixin
    changed = {name: expected_to_fail(getattr(mixin, name), reason) for name, reason in DEVIATIONS.items()}
    values = {"tokenizer_class": Tokenizer, "from_pretrained_id": [str(folder)], "test_seq2seq": False}
    case = type("OnOurs", (mixin, unittest.TestCase), {**values, **changed})
    result = unittest.TestResult()
    unittest.TestLoader().loadTestsFromTestCase(case).run(result)
    problems = [f"{test.id()}: {text.splitlines()[-1]}" for test, text in [*result.failures, *result.errors]]
    print(json.dumps({"run": result.testsRun, "skipped": len(result.skipped), "problems": problems}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], Path(sys.argv[2]))
