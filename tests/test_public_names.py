"""The public names, held here so that one more is a decision. Whatever else there is may change at any time."""

import importlib

import pytest

NAMES = {
    "cliptok": ["AddedToken", "BatchEncoding", "PackedTokens", "TextEncoder", "Tokenizer", "__version__"],
    "cliptok.batch": ["BadInputError", "Counts", "Embed", "Report", "Tokenize", "embed_files", "tokenize_files"],
    "cliptok.data": ["Collator"],
    "cliptok.encoder": ["PRESETS", "TextConfig", "TextEncoder", "TextEncoderOutput"],
    "cliptok.tokenizer": ["AddedToken", "BatchEncoding", "PackedTokens", "Tokenizer", "TooLongError"],
}


@pytest.mark.parametrize("module", NAMES)
def test_a_room_has_the_public_names_that_were_decided(module: str) -> None:
    room = importlib.import_module(module)
    assert sorted(room.__all__) == NAMES[module]
    assert all(getattr(room, name) is not None for name in NAMES[module])


TOKENIZER = """
    add_special_tokens add_tokens added_tokens_decoder added_tokens_encoder additional_special_tokens
    all_special_ids all_special_tokens as_open_clip as_openai as_transformers batch_decode bos_token bos_token_id
    clean_up_tokenization_spaces cls_token cls_token_id convert_ids_to_tokens convert_tokens_to_ids count decode
    decoder encode encode_batch encode_packed encoder eos_token eos_token_id extra_special_tokens from_preset
    from_pretrained get_added_vocab get_special_tokens_mask get_vocab is_fast mask_token mask_token_id
    model_input_names model_max_length name_or_path num_special_tokens_to_add pad pad_token pad_token_id
    padding_side profile remove_tokens save_pretrained sep_token sep_token_id special_tokens_map tokenize
    truncation_side unk_token unk_token_id vocab vocab_size
"""


def test_a_tokenizer_has_the_public_names_that_were_decided() -> None:
    from cliptok import Tokenizer

    assert {name for name in dir(Tokenizer()) if not name.startswith("_")} == set(TOKENIZER.split())
