"""The public names, held here so that one more is a decision. Whatever else there is may change at any time."""

import importlib

import pytest

NAMES = {
    "cliptok": ["AddedToken", "BatchEncoding", "PackedTokens", "TextEncoder", "Tokenizer", "__version__"],
    "cliptok.batch": [
        *("BadInputError", "Counts", "Damage", "Embed", "JobInterrupted", "Leftover", "PlannedOutput", "Report"),
        *("Tokenize", "check_outputs", "clean_outputs", "embed_files", "tokenize_files"),
    ],
    "cliptok.data": ["Collator", "ConditioningDataset"],
    "cliptok.encoder": [
        *("EmbeddingCache", "PRESETS", "TextConfig", "TextEncoder", "TextEncoderOutput", "Verification", "verify")
    ],
    "cliptok.tokenizer": ["AddedToken", "BatchEncoding", "PackedTokens", "Tokenizer", "TooLongError"],
}


@pytest.mark.parametrize("module", NAMES)
def test_a_room_has_the_public_names_that_were_decided(module: str) -> None:
    room = importlib.import_module(module)
    assert sorted(room.__all__) == NAMES[module]
    assert all(getattr(room, name) is not None for name in NAMES[module])


TOKENIZER = """
    add_special_tokens add_tokens added_tokens_decoder added_tokens_encoder additional_special_tokens
    additional_special_tokens_ids all_special_ids all_special_tokens as_open_clip as_openai as_transformers backend
    backend_tokenizer batch_decode batch_encode_plus bos_token bos_token_id build_inputs_with_special_tokens
    clean_up_tokenization clean_up_tokenization_spaces cls_token cls_token_id convert_ids_to_tokens
    convert_tokens_to_ids convert_tokens_to_string count create_token_type_ids_from_sequences decode decoder encode
    encode_batch encode_packed encode_plus encoder eos_token eos_token_id extra_special_tokens
    extra_special_tokens_ids from_preset from_pretrained get_added_vocab get_special_tokens_mask get_vocab
    init_inputs init_kwargs is_fast mask_token mask_token_id max_len_sentences_pair max_len_single_sentence
    model_input_names model_max_length name_or_path num_special_tokens_to_add pad pad_token pad_token_id
    pad_token_type_id padding_side profile push_to_hub remove_tokens save_pretrained save_vocabulary sep_token
    sep_token_id special_tokens_map split_special_tokens tokenize truncation_side unk_token unk_token_id vocab
    vocab_files_names vocab_size
"""


def test_a_tokenizer_has_the_public_names_that_were_decided() -> None:
    from cliptok import Tokenizer

    assert {name for name in dir(Tokenizer()) if not name.startswith("_")} == set(TOKENIZER.split())
