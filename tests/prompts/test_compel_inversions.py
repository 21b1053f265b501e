"""Textual inversions in the pipeline's tokenizer and encoder, in compel's dialect, as recorded."""

import copy

import torch

from cliptok import Tokenizer
from cliptok.prompts import Conditioner
from support.prompt_encoders import compare, encoder
from support.prompt_records import recipe, records

WORDS = {"<cat-toy>": 3, "xyzstyle": 1, "<big>": 20}


def test_compels_textual_inversions():
    tower, tokenizer = copy.deepcopy(encoder("l")), Tokenizer()
    for word, count in WORDS.items():
        tower.load_textual_inversion(torch.from_numpy(recipe().embedding(word, count, "l")), tokenizer, word)
    cond = Conditioner(tower, tokenizer, dialect="compel")
    for record in records("compel-ti"):
        plan = cond.plan(record.text, negative=False)
        assert (plan.chunks[0][0].ids == record.array("ids").reshape(-1, 77)).all(), record.key
        compare(cond.encode(plan).prompt_embeds[0], record.array("emb"), record.key)
