"""Ten mistakes, each in a line marked with its number: what a type checker must find. Never run."""

from cliptok import TextEncoder, Tokenizer
from cliptok.batch import tokenize_files

tok = Tokenizer("openclip")  # 1
ids: list[int] = tok.encode_batch(["a cat"])  # 2
rows = tok.encode_batch(5)  # 3
lengths: str = tok.encode_batch(["a cat"], return_lengths=True)[1]  # 4
batch = tok(["a cat"], return_tensors="tf")  # 5
tok(["a cat"], return_tensors="pt").input_ids.upper()  # 6
tok.encode_batch(["a cat"], on_null="skip")  # 7
enc = TextEncoder.from_pretrained("folder")
enc.encode(["a cat"], output="logits")  # 8
enc.encode(["a cat"]).as_numpy()  # 9
tokenize_files("a.txt", "out", format="csv")  # 10
