"""Texts made harmless: nothing in a query, a title or a passage can be read as an identifier, a tag or a control token.

Ordinary text comes out as it went in, but for white space: a passage is one line, so that no passage can open another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import ftfy

from es_reasonrank.text import whole

# Tags of the reply, and control tokens in the forms that chat templates use. A tokenizer's own come on top.
_TAG = re.compile(
    r"<(?=/?(?:think|answer|s|bos|eos|pad|unk|start_of_turn|end_of_turn)\s*>|[|｜]|<\s*/?SYS>>)|\[(?=/?INST\])",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[\[［]\s*(\d+)\s*[\]］]")
_LETTER = re.compile(r"[\[［]\s*([A-Za-z])\s*[\]］]")
# Control characters, and the invisible "tag" copies of ASCII that can smuggle an instruction past a human reader.
_UNSEEN = re.compile("[\x00-\x08\x0e-\x1f\x7f\U000e0000-\U000e007f]")


def neutral(text: str, *, control_tokens: Iterable[str] = (), letters: bool = False, repair: bool = False) -> str:
    """`text` as one line that holds no identifier, tag or control token.

    A bracketed identifier gets parentheses, as in the training data of the published listwise rankers: [3] becomes (3).
    A tag or a control token gets a space behind its first character, so that no tokenizer reads it as one.

    Args:
        control_tokens: the texts that the model's tokenizer maps to control tokens.
        letters: whether identifiers are letters; [A] becomes (A) then.
        repair: whether mojibake is repaired first (ftfy), where a published recipe did so.
    """
    if repair:
        text = ftfy.fix_text(text)
    text = " ".join(_UNSEEN.sub("", whole(text)).split())
    text = _NUMBER.sub(r"(\1)", text)
    if letters:
        text = _LETTER.sub(r"(\1)", text)
    text = _TAG.sub(lambda match: match.group() + " ", text)
    for token in control_tokens:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
