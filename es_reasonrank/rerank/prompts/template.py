"""Prompt templates: YAML files in rank_llm's format, so that released weights get the prompt they were trained with.

A template has a method and sections with placeholders:

    singleturn_listwise   system_message, prefix, body, suffix
    multiturn_listwise    system_message, prefix_user, prefix_assistant, body_user, body_assistant, suffix_user
    setwise, groupwise    as singleturn_listwise: one passage is asked for, or a grade for each
    pointwise             system_message, body

A body knows {rank}, {candidate} and {score}; a prefix or suffix knows {query}, {num} and {psg_ids}; a pointwise body
knows {query}, {candidate} (rank_llm: {doc_content}) and {score}. Judges bring words of their own: {select} is the
"most" or "least" of a setwise question, {highest} the highest grade.

and two patterns: `output_validation_regex`, the whole of a well-formed answer, and `output_extraction_regex`, one
identifier in it.

A template's own words say what a text and a reply must not pass for: the shape of its identifiers ([1], (1), PASSAGE1),
and an answer that it shows as an example.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from string import Formatter
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from es_reasonrank.engines.base import Message
from es_reasonrank.rerank.parse import AnswerForm, shown_in
from es_reasonrank.validation import Checked, checked, read_yaml, yaml_files, yaml_path

Method = Literal["singleturn_listwise", "multiturn_listwise", "setwise", "groupwise", "pointwise"]
LISTWISE: tuple[Method, ...] = ("singleturn_listwise", "multiturn_listwise")

_FRAME = {"query", "num", "psg_ids"}
_ROW = {"rank", "candidate", "score"}
_PLACEHOLDERS: Mapping[Method, Mapping[str, set[str]]] = {
    "singleturn_listwise": {"prefix": _FRAME, "body": _ROW, "suffix": _FRAME},
    "multiturn_listwise": {
        "prefix_user": _FRAME,
        "prefix_assistant": _FRAME,
        "body_user": _ROW,
        "body_assistant": {"rank"},
        "suffix_user": _FRAME,
    },
    "setwise": {"prefix": _FRAME | {"select"}, "body": _ROW, "suffix": _FRAME | {"select"}},
    "groupwise": {"prefix": _FRAME | {"highest"}, "body": _ROW, "suffix": _FRAME | {"highest"}},
    "pointwise": {"body": {"query", "candidate", "doc_content", "score", "highest"}},
}
_SECTIONS = tuple(dict.fromkeys(name for sections in _PLACEHOLDERS.values() for name in sections))
_WORDS = {"select", "highest"}
_OPENING = re.compile(r"(?:([^\W\d]+)[^\w\[\](){}<>]{0,3}|([({])\s?)\Z")
"""What stands right before an identifier: a word, or a bracket other than a square one."""


class Template(Checked):
    """One prompt. Sections that the method does not use are an error."""

    method: Method
    system_message: str = ""
    prefix: str = ""
    body: str = ""
    suffix: str = ""
    prefix_user: str = ""
    prefix_assistant: str = ""
    body_user: str = ""
    body_assistant: str = ""
    suffix_user: str = ""
    output_validation_regex: str = Field(r"\[\d+\]( > \[\d+\])*")
    output_extraction_regex: str = Field(r"\[(\d+)\]")

    @field_validator("output_validation_regex", "output_extraction_regex")
    @classmethod
    def _pattern(cls, value: str) -> str:
        """A pattern, also where it is written as a Python literal: r"^…$"."""
        text = value.strip()
        if re.fullmatch(r"""r?(["']).*\1""", text, re.DOTALL):
            text = ast.literal_eval(text)
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(f"no valid regular expression ({error})") from error
        return text

    @field_validator("output_extraction_regex")
    @classmethod
    def _one_group(cls, value: str) -> str:
        if re.compile(value).groups != 1:
            raise ValueError("must have one group, around the bare identifier")
        try:
            _ = AnswerForm(("1", "2"), identifier=value).chain
        except re.error as error:
            raise ValueError(f"cannot be repeated in a longer pattern ({error})") from error
        return value

    @model_validator(mode="after")
    def _sections(self) -> Self:
        known = _PLACEHOLDERS[self.method]
        for name in _SECTIONS:
            if getattr(self, name) and name not in known:
                raise ValueError(f"section {name!r} does not belong to method {self.method!r}")
        for name, allowed in known.items():
            _check_placeholders(name, getattr(self, name), allowed)
        body = "body_user" if self.method == "multiturn_listwise" else "body"
        held = _placeholders(getattr(self, body))
        if self.method == "pointwise" and not held & {"candidate", "doc_content"}:
            raise ValueError("section 'body' must hold {candidate}")
        if self.method != "pointwise" and not {"rank", "candidate"} <= held:
            raise ValueError(f"section {body!r} must hold {{rank}} and {{candidate}}")
        if not any("query" in _placeholders(getattr(self, name)) for name in known):
            raise ValueError("no section holds {query}")
        return self

    @property
    def words(self) -> set[str]:
        """The words that it leaves to a judge."""
        return _WORDS & {word for name in _PLACEHOLDERS[self.method] for word in _placeholders(getattr(self, name))}

    @property
    def openings(self) -> frozenset[str]:
        """What stands before an identifier in the prompt, where that is no square bracket: "(", or "passage", say."""
        texts = [text for name in _SECTIONS for text, slot in _pieces(getattr(self, name)) if slot == "rank"]
        found = [match for match in map(_OPENING.search, texts) if match]
        listed = {"passage"} if any("psg_ids" in _placeholders(getattr(self, name)) for name in _SECTIONS) else set()
        return frozenset({(match[1] or match[2]).casefold() for match in found} | listed)

    def form(self, identifiers: tuple[str, ...]) -> AnswerForm:
        """The form of an answer over a window's identifiers, and what would only echo the prompt."""
        own = (text for name in _SECTIONS for text, _ in _pieces(getattr(self, name)))
        examples = shown_in("\0".join([self.system_message, *own]), self.output_extraction_regex)
        return AnswerForm(identifiers, self.output_validation_regex, self.output_extraction_regex, examples)

    def render(
        self,
        query: str,
        passages: Sequence[str],
        identifiers: Sequence[str],
        scores: Sequence[float | None],
        words: Mapping[str, str] | None = None,
    ) -> tuple[Message, ...]:
        """The chat that asks about `passages`; a pointwise template takes one.

        Args:
            query: the query, already neutral.
            passages: the passages as they are shown, already neutral and cut.
            identifiers: one for each passage.
            scores: the first stage's, for templates that show them ({score}, three decimals).
            words: the judge's own, by placeholder.
        """
        frame: dict[str, Any] = {"query": query, "num": len(passages), **(words or {})}
        frame["psg_ids"] = "[" + ", ".join(f"PASSAGE{identifier}" for identifier in identifiers) + "]"
        rows = [
            {"rank": rank, "candidate": text, "doc_content": text, "score": "" if score is None else f"{score:.3f}"}
            for rank, text, score in zip(identifiers, passages, scores, strict=True)
        ]
        system: list[Message] = [{"role": "system", "content": self.system_message}] if self.system_message else []
        turns = self._multi(frame, rows) if self.method == "multiturn_listwise" else self._single(frame, rows)
        return (*system, *turns)

    def _single(self, frame: dict[str, Any], rows: list[dict[str, str]]) -> Iterator[Message]:
        body = "".join(self.body.format(**frame, **row) for row in rows)
        yield {"role": "user", "content": self.prefix.format(**frame) + body + self.suffix.format(**frame)}

    def _multi(self, frame: dict[str, Any], rows: list[dict[str, str]]) -> Iterator[Message]:
        if self.prefix_user:
            yield {"role": "user", "content": self.prefix_user.format(**frame)}
            yield {"role": "assistant", "content": self.prefix_assistant.format(**frame)}
        suffix = self.suffix_user.format(**frame)
        if not self.body_assistant:
            body = "".join(self.body_user.format(**row) for row in rows)
            yield {"role": "user", "content": body + suffix}
            return
        for row in rows:
            yield {"role": "user", "content": self.body_user.format(**row)}
            yield {"role": "assistant", "content": self.body_assistant.format(rank=row["rank"])}
        if suffix:
            yield {"role": "user", "content": suffix}


def _check_placeholders(name: str, section: str, allowed: set[str]) -> None:
    try:
        unknown = _placeholders(section) - allowed
    except ValueError as error:
        raise ValueError(f"section {name!r} has a stray brace ({error}); write {{{{ for a brace") from error
    if unknown:
        raise ValueError(f"section {name!r} has an unknown placeholder {{{min(unknown)}}}; known: {sorted(allowed)}")


def _placeholders(section: str) -> set[str]:
    return {placeholder for _, placeholder, _, _ in Formatter().parse(section) if placeholder is not None}


def _pieces(section: str) -> Iterator[tuple[str, str]]:
    """A section's own words, each piece with the placeholder behind it; the last one has none."""
    text = ""
    for literal, placeholder, _, _ in Formatter().parse(section):
        text += literal
        if placeholder is not None:
            yield text, placeholder
            text = ""
    yield text, ""


def load_template(name: str | Mapping[str, Any]) -> Template:
    """A template by the name of one of ours, by the path of a YAML file, or by its content.

    Raises:
        SettingsError: no such template, or its content is wrong.
    """
    if not isinstance(name, str):
        return checked(Template, name, where="judge.template")
    path = yaml_path(name, yaml_files(__package__), what="template")
    return checked(Template, read_yaml(path, what="template"), where=f"template {name}")
