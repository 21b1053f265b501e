"""Files of texts to files of ids or embeddings, on one machine or on many. Needs the extra `batch`."""

from importlib.util import find_spec

if find_spec("pyarrow") is None:
    raise ImportError("cliptok.batch needs pyarrow; install cliptok[batch]")

from cliptok._common.errors import BadInputError
from cliptok.batch.job import embed_files, tokenize_files
from cliptok.batch.mapping import Embed, Tokenize
from cliptok.batch.summary import Counts, Report

__all__ = ["BadInputError", "Counts", "Embed", "Report", "Tokenize", "embed_files", "tokenize_files"]
