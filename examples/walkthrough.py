"""The way of a Stable Diffusion prompt through the tokenizer, every value checked.

Run it with `python examples/walkthrough.py`. It needs no network and no files.
"""

from cliptok import Tokenizer

PROMPT = "a highres photo of a woman wearing a red dress"


def main() -> None:
    # Stable Diffusion 2 pads with `!`, which is token 0.
    tok = Tokenizer.from_preset("sd2")

    # Words become tokens of the vocabulary, `</w>` where a word ends.
    tokens = tok.tokenize(PROMPT)
    print(tokens)
    assert tokens == [
        *("a</w>", "high", "res</w>", "photo</w>", "of</w>", "a</w>", "woman</w>", "wearing</w>", "a</w>"),
        *("red</w>", "dress</w>"),
    ]

    # Tokens have ids.
    ids = tok.convert_tokens_to_ids(tokens)
    print(ids)
    assert ids == [320, 1487, 934, 1125, 539, 320, 2308, 3309, 320, 736, 2595]

    # A call puts start and end around them and pads to what the model takes.
    encoding = tok(PROMPT, padding="max_length", max_length=77, truncation=True)
    print(encoding.input_ids)
    assert encoding.input_ids == [49406, *ids, 49407, *[0] * 64]
    assert encoding.attention_mask == [1] * 13 + [0] * 64

    # A prompt that is too long keeps its beginning, and its end token.
    long = tok("a " + "very " * 100 + "text", padding="max_length", max_length=77, truncation=True)
    assert long.input_ids == [49406, 320, *[1070] * 74, 49407]
    assert long.attention_mask == [1] * 77

    # And back to text.
    text = tok.decode(encoding.input_ids[:13])
    print(text)
    assert text == "<|startoftext|>a highres photo of a woman wearing a red dress <|endoftext|>"

    # The vocabulary.
    print(tok.vocab_size, tok.special_tokens_map)
    assert tok.vocab_size == 49408
    assert tok.special_tokens_map == {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "!",
    }
    assert tok.decoder[320] == "a</w>"
    assert tok.decoder[1125] == "photo</w>"
    assert tok.decoder[49406] == "<|startoftext|>"
    assert tok.decoder[49407] == "<|endoftext|>"

    # Whatever has no token of its own is written in smaller ones, down to single bytes.
    tokens = tok.tokenize("你好, abcd, asdfhjklmn")
    print(tokens)
    assert tokens == [
        *("ä½", "ł", "å¥", "½</w>", ",</w>", "ab", "cd</w>", ",</w>"),
        *("asdf", "h", "j", "kl", "mn</w>"),
    ]
    tok = Tokenizer()
    assert tok("abcd, asdfhjklmn").input_ids == [49406, 596, 4480, 267, 36857, 71, 73, 8498, 4057, 49407]

    # A batch, padded to its longest text.
    batch = tok(["abcd, asdfhjklmn", PROMPT], padding=True)
    print(batch.input_ids)
    assert batch.input_ids == [
        [49406, 596, 4480, 267, 36857, 71, 73, 8498, 4057, 49407, 49407, 49407, 49407],
        [49406, *ids, 49407],
    ]
    assert batch.attention_mask == [[1] * 10 + [0] * 3, [1] * 13]

    print("every value is as it should be")


if __name__ == "__main__":
    main()
