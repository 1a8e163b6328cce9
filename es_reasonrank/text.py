"""What any text needs before a model reads it."""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udfff]")


def whole(text: str) -> str:
    """`text` with U+FFFD for halves of surrogate pairs: they are no characters, and tokenizers do not take them."""
    return _HALF.sub("\N{REPLACEMENT CHARACTER}", text)
