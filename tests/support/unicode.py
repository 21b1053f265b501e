"""Which Unicode the references in this process have: that of the Python which they run on."""

import unicodedata

import pytest

UNICODE_14 = pytest.mark.skipif(
    unicodedata.unidata_version != "14.0.0",
    reason=f"ftfy and str.lower have Python's Unicode, here {unicodedata.unidata_version}, and the engine has 14.0.0;"
    " Python 3.11 compares every character",
)
