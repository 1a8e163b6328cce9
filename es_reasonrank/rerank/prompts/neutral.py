"""Texts made harmless: nothing in a query, a title or a passage can be read as an identifier, a tag or a control token.

Ordinary text comes out as it went in, but for white space: a passage is one line, so that no passage can open another.

What a text holds is judged by its skeleton: without invisible characters and accents, with wide, small and styled
characters in their plain form, as tokenizers normalize a text and as a model reads it. "［3\\u200b】" is an identifier.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

import ftfy

from es_reasonrank.text import whole

# Tags of the reply, and control tokens in the forms that chat templates use. A tokenizer's own come on top.
# Families: Llama 2, Gemma, Cohere, T5 and Nemotron, Qwen, StarCoder and Granite, Llama and Baichuan, Seed, ChatGLM.
_NAMES = (
    r"s|bos|eos|pad|unk|eot|sop|eop|eod|(?:bos|eos|pad|unk|mask|cls|sep|eop)_token"
    r"|(?:start|end)_of_\w+|image(?:_soft_token)?|extra_id_\d+|unused\d+"
    r"|tool_calls?|tool_response|fim_\w+|repo_?name|file_sep|gh_stars|issue_\w+|jupyter_\w+|empty_output"
    r"|reserved_\w+|special_\d+|seed:\w+|eoh|eoa"
)
# Mistral, ChatGLM, Kimi. Most are words that ordinary text has in brackets too, so only their own case counts.
_BRACKETED = (
    r"INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|CALL_ID|ARGS|SYSTEM_PROMPT|THINK|MODEL_SETTINGS"
    r"|IMG(?:_BREAK|_END)?|(?:BEGIN_)?AUDIO|TRANSCRIBE|PREFIX|MIDDLE|SUFFIX|CONTROL_\d+|[BE]OS|EOT"
)
_TAG = re.compile(
    r"<(?=[|]|/?(?:think(?:ing)?|thought|reasoning|answer)\b"
    rf"|/?(?:{_NAMES})\s?/?>|<\s?/?SYS>>)"
    rf"|\[(?=[|]\w+[|]\]|/?INST\]|[gs]MASK\]|(?-i:/?(?:{_BRACKETED})\]))"
    r"|◁(?=/?think▷)|(?<![\w<])(?<!<\s)/(?=(?:no_)?think\b)",
    re.IGNORECASE,
)
# Brackets that an identifier may stand in besides square ones, and what takes their place.
_BRACKETS = {"(": ")", "{": "}"}
_HARMLESS = ("()", "{}", "<>")
# ⑴ and ⒜ are three characters each in their plain form.
_PARENTHESIZED = re.compile("[\u2474-\u2487\u249c-\u24b5\u3200-\u321e\u3220-\u3243\U0001f110-\U0001f129]")
# Control characters, and what can smuggle an instruction past a human reader: the invisible "tag" copies of ASCII, and
# runs of variation selectors, of which a character has one.
_UNSEEN = re.compile("[\x00-\x08\x0e-\x1f\x7f\U000e0000-\U000e007f]")
_SELECTORS = re.compile("(?<=[\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
_LIKE = {
    **dict.fromkeys("【〔〖〘〚⟦⟬⁅❲⦋⦗", "["),
    **dict.fromkeys("】〕〗〙〛⟧⟭⁆❳⦌⦘", "]"),
    **dict.fromkeys("‹⟨〈❬❮❰˂", "<"),
    **dict.fromkeys("›⟩〉❭❯❱˃", ">"),
    **dict.fromkeys("∣│ǀ❘", "|"),
    **dict.fromkeys("❨❪⟮⦅⸨﴾", "("),
    **dict.fromkeys("❩❫⟯⦆⸩﴿", ")"),
    **dict.fromkeys("❴⦃", "{"),
    **dict.fromkeys("❵⦄", "}"),
    **dict.fromkeys("\u115f\u1160\ufffd", ""),
}


def neutral(
    text: str,
    *,
    control_tokens: Iterable[str] = (),
    letters: bool = False,
    repair: bool = False,
    openings: Iterable[str] = (),
) -> str:
    """`text` as one line that holds no identifier, tag or control token.

    A bracketed identifier gets parentheses, as in the training data of the published listwise rankers: [3] becomes (3).
    A tag or a control token gets a space behind its first character, so that no tokenizer reads it as one.

    Args:
        control_tokens: the texts that the model's tokenizer maps to control tokens.
        letters: whether identifiers are letters; [A] becomes (A) then.
        repair: whether mojibake is repaired first (ftfy), where a published recipe did so.
        openings: what stands before the prompt's own identifiers where that is no square bracket: with "passage",
            "PASSAGE3" becomes "PASSAGE (3)"; with "(", [3] and (3) become {3}.
    """
    if repair:
        text = ftfy.fix_text(text)
    text = " ".join(_SELECTORS.sub("", _UNSEEN.sub("", whole(text))).split())
    others = frozenset(openings)
    if "(" in others:
        text = _PARENTHESIZED.sub(lambda match: unicodedata.normalize("NFKD", match.group()), text)
    pair = next(pair for pair in _HARMLESS if pair[0] not in others)
    text = _in_pair(text, _bracketed(others, letters), pair)
    if words := _behind_words(others, letters):
        text = _set_apart(text, words, pair)
    return _broken(text, _token_pattern(frozenset(control_tokens)))


@lru_cache(maxsize=64)
def _bracketed(openings: frozenset[str], letters: bool) -> re.Pattern[str]:
    """What finds an identifier in square brackets, or in others that the prompt's own stand in."""
    name = r"\s*(?:\d+|[A-Za-z])\s*" if letters else r"\s*\d+\s*"
    ends = {"[": "]"} | {start: end for start, end in _BRACKETS.items() if start in openings}
    return re.compile("|".join(re.escape(start) + name + re.escape(end) for start, end in ends.items()))


@lru_cache(maxsize=64)
def _behind_words(openings: frozenset[str], letters: bool) -> re.Pattern[str] | None:
    """What finds an identifier behind a word that the prompt's own stand behind."""
    words = "|".join(re.escape(word) for word in sorted(openings - _BRACKETS.keys()))
    name = r"\d+|(?-i:[A-Z])" if letters else r"\d+"
    gap = r"[^\w\[\](){}<>]{0,3}"
    return re.compile(rf"(?:{words}){gap}(?P<name>{name})", re.IGNORECASE) if words else None


def _in_pair(text: str, pattern: re.Pattern[str], pair: str) -> str:
    """`text` with a pair of other brackets around what `pattern` finds in its skeleton."""
    skeleton, places = _skeleton(text)
    pieces, done = [], 0
    for match in pattern.finditer(skeleton):
        start, end = places[match.start()], places[match.end() - 1]
        pieces += [text[done:start], pair[0], text[start + 1 : end].strip(), pair[1]]
        done = end + 1
    return "".join((*pieces, text[done:]))


def _set_apart(text: str, pattern: re.Pattern[str], pair: str) -> str:
    """`text` with a space and a pair of brackets around each name that `pattern` finds in its skeleton.

    Not where the word is the end of a longer one, or the name the beginning of one.
    """
    skeleton, places = _skeleton(text)
    pieces, done = [], 0
    for match in pattern.finditer(skeleton):
        word, start, end = places[match.start()], places[match.start("name")], places[match.end() - 1] + 1
        goes_on = match["name"].isalpha() and text[end : end + 1].isalnum()
        if goes_on or (word and text[word - 1].isalnum()):
            continue
        pieces += [text[done:start].rstrip(), " ", pair[0], text[start:end], pair[1]]
        done = end
    return "".join((*pieces, text[done:]))


def _broken(text: str, tokens: re.Pattern[str] | None) -> str:
    """`text` with a space behind the first character of each tag and control token of its skeleton."""
    skeleton, places = _skeleton(text)
    patterns = [_TAG] if tokens is None else [_TAG, tokens]
    cuts = sorted({places[match.start()] + 1 for pattern in patterns for match in pattern.finditer(skeleton)})
    return " ".join(text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True))


@lru_cache(maxsize=16)
def _token_pattern(tokens: frozenset[str]) -> re.Pattern[str] | None:
    """What finds the beginning of every control token, those that overlap included."""
    skeletons = sorted({skeleton for token in tokens if len(skeleton := _skeleton(token)[0]) > 1})
    if not skeletons:
        return None
    return re.compile(f"(?={'|'.join(map(re.escape, skeletons))})", re.IGNORECASE)


def _skeleton(text: str) -> tuple[str, Sequence[int]]:
    """The skeleton of `text`, and the place in `text` that each of its characters comes from."""
    if text.isascii():
        return text, range(len(text))
    parts = [_plain(char) for char in text]
    return "".join(parts), [place for place, part in enumerate(parts) for _ in part]


@lru_cache(maxsize=1 << 14)
def _plain(char: str) -> str:
    """A character's plain form: nothing for an invisible one or an accent, 0 for a number that is no decimal digit."""
    if char.isnumeric() and not char.isdecimal():
        return "0"
    parts = unicodedata.normalize("NFKD", char)
    return "".join(_LIKE.get(part, part) for part in parts if unicodedata.category(part)[0] not in "MC")
