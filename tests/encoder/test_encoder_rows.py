"""`encode_rows`: all positions, any layer, hidden tokens and foreign vectors, as the forward pass has them."""

import numpy as np
import pytest
import torch

from cliptok import TextEncoder
from cliptok.encoder import TextConfig
from cliptok.encoder.rows import encode_rows

ROWS, LENGTH = 40, 77


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return TextEncoder(TextConfig(width=64, layers=3, heads=4, mlp=128, projection=32)).eval()


@pytest.fixture(scope="module")
def ids():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 50, (ROWS, LENGTH))
    rows[:, 0], rows[:, 50:] = 49406, 49407
    rows[:20, 1:30] = rows[0, 1:30]  # common beginnings
    rows[5] = rows[6]  # and equal rows
    return rows


@pytest.mark.parametrize("layer", range(4))
def test_states_are_the_forward_passes(encoder, ids, layer):
    with torch.no_grad():
        expected = encoder(torch.from_numpy(ids), output_hidden_states=True)
    found = encode_rows(encoder, ids, layer=layer, final_norm=False, pool_at=np.full(ROWS, 50))
    torch.testing.assert_close(found.states, expected.hidden_states[layer], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.pooled, expected.last_hidden_state[:, 50], rtol=1e-4, atol=1e-5)
    found = encode_rows(encoder, ids)
    torch.testing.assert_close(found.states, expected.last_hidden_state, rtol=1e-4, atol=1e-5)


def test_hidden_tokens_are_an_attention_mask(encoder, ids):
    hidden = np.random.default_rng(1).random(ids.shape) < 0.2
    hidden[:, 0] = False
    with torch.no_grad():
        expected = encoder(torch.from_numpy(ids), torch.from_numpy(~hidden)).last_hidden_state
    torch.testing.assert_close(encode_rows(encoder, ids, hidden=hidden).states, expected, rtol=1e-4, atol=1e-5)


def test_vectors_stand_for_ids_past_the_vocabulary(encoder, ids):
    vectors = encoder.embeddings.token_embedding.weight.detach()[[7, 11]].clone()
    size = encoder.embeddings.token_embedding.num_embeddings
    named, foreign = ids.copy(), ids.copy()
    named[:, 3], named[:, 9] = 7, 11
    foreign[:, 3], foreign[:, 9] = size, size + 1
    found = encode_rows(encoder, foreign, vectors=vectors).states
    torch.testing.assert_close(found, encode_rows(encoder, named).states, rtol=1e-4, atol=1e-5)


def test_bad_arguments(encoder, ids):
    with pytest.raises(ValueError, match="layer 4 is not between 0 and the encoder's 3 blocks"):
        encode_rows(encoder, ids, layer=4)
    with pytest.raises(ValueError, match="embeddings for 0 to 49407"):
        encode_rows(encoder, ids + 49407)
    with pytest.raises(ValueError, match="hides the first token"):
        encode_rows(encoder, ids, hidden=np.ones(ids.shape, bool))
    with pytest.raises(ValueError, match="shape"):
        encode_rows(encoder, ids[0])
