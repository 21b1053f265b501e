"""Files of texts to files of ids or embeddings, on one machine or on many. Needs the extra `batch`."""

from importlib.util import find_spec

from cliptok._common.extras import need

if find_spec("pyarrow") is None:
    need("cliptok.batch", "pyarrow")

from cliptok._common.errors import BadInputError
from cliptok.batch.job import embed_files, tokenize_files
from cliptok.batch.mapping import Embed, Tokenize
from cliptok.batch.planned_job import JobInterrupted
from cliptok.batch.summary import Counts, PlannedOutput, Report
from cliptok.batch.writing.check import Damage, check_outputs
from cliptok.batch.writing.cleaning import Leftover, clean_outputs

__all__ = [
    "BadInputError",
    "Counts",
    "Damage",
    "Embed",
    "JobInterrupted",
    "Leftover",
    "PlannedOutput",
    "Report",
    "Tokenize",
    "check_outputs",
    "clean_outputs",
    "embed_files",
    "tokenize_files",
]
