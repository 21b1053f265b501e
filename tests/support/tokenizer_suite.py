"""transformers' common tokenizer tests on our tokenizer, as a script: they register marks that our pytest has not.

`python tokenizer_suite.py SUITES FOLDER` prints what `suite_runner.run` does.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from suite_runner import run

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


def main(suites: str, folder: Path) -> None:
    """Run them all with the tokenizer files in `folder`."""
    sys.path.append(suites)
    from transformers_suite import test_tokenization_common as common

    (folder / "fixtures").mkdir()
    (folder / "fixtures" / "sample_text.txt").write_text("A photo of a cat.\n\nTwo dogs, and it's nice.\n" * 5)
    common.get_tests_dir = lambda *_: str(folder)
    values = {"tokenizer_class": Tokenizer, "from_pretrained_id": [str(folder)], "test_seq2seq": False}
    run(common.TokenizerTesterMixin, values, DEVIATIONS)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], Path(sys.argv[2]))
