"""What a search asks of the reranker: by `ext.rerank` in its body, by a parameter or header, or by a rule of ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from es_reasonrank.elastic.passages import TextSource
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.fusion import Fusion
from es_reasonrank.service_settings import OnFailure, Rule
from es_reasonrank.validation import Checked, checked, nearest

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m)\s*")
_OFF = frozenset({"false", "off", "no", "0"})
_ON = frozenset({"", "true", "on", "yes", "1"})


def _seconds(value: object) -> object:
    """A duration as Elasticsearch writes them, or a number of seconds."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(match[1]) * _UNITS[match[2]] if match else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]


class Asked(Checked):
    """How one search is to be reranked: the keys of `ext.rerank`."""

    query: str = Field("", description="What the hits are judged by; without it, the text that the search looks for.")
    fields: tuple[str, ...] = Field((), description="Fields that hold a hit's text; without them, title and body.")
    template: str = Field("", description="Text of a hit instead: '{{title}}: {{body}}'.")
    take: Literal["all", "highlights", "best"] = Field("all", description="Part of a long text to read.")
    depth: int | None = Field(None, ge=1, description="Hits to rerank; the profile's depth by default.")
    profile: str = Field("", description="Ranker; the service's by default.")
    deadline: Seconds | None = Field(None, description="Time that reranking may take: 2s, 500ms, or seconds.")
    on_failure: OnFailure | None = Field(None, description="Base order or an error, when reranking fails.")
    explain: bool = Field(False, description="Base rank and score in each hit, outcomes and reasoning beside the hits.")
    score_mode: Literal["replace", "keep", "total", "multiply", "avg", "max", "min"] = Field(
        "replace", description="The ranker's scores, the server's, or both put together as `rescore` does."
    )
    query_weight: float = Field(1.0, description="Factor of the server's score, where both are put together.")
    rescore_query_weight: float = Field(1.0, description="Factor of the ranker's score, where both are put together.")

    @property
    def source(self) -> TextSource:
        """Where a hit's text comes from; without fields or a template, still to be found out.

        Raises:
            SettingsError: fields and a template are given, or the template names no field.
        """
        values = {"fields": self.fields, "template": self.template, "take": self.take}
        return checked(TextSource, values, where="ext.rerank")

    @property
    def fusion(self) -> Fusion | None:
        """How the two scores are put together, None where they are not."""
        if self.score_mode in ("replace", "keep"):
            return None
        return Fusion(
            method="rescore",
            score_mode=self.score_mode,
            query_weight=self.query_weight,
            rescore_query_weight=self.rescore_query_weight,
        )


def from_body(ext: Mapping[str, Any]) -> Asked | None:
    """What `ext` asks for; None where its `rerank` is OpenSearch's own, or is not there.

    Raises:
        SettingsError: `ext.rerank` has a wrong key or value.
    """
    value = ext.get("rerank")
    if value is None or (isinstance(value, dict) and "query_context" in value):
        return None
    if not isinstance(value, dict):
        raise SettingsError(f'ext.rerank must be an object, such as {{"query": "..."}}, not {value!r}')
    asked = checked(Asked, value, where="ext.rerank")
    _ = asked.source  # raises where they are wrong together
    return asked


def from_rules(rules: Sequence[Rule], target: str) -> tuple[Asked, str] | None:
    """What the first rule asks for that fits the indices in a path, and where it finds the query's text."""
    for rule in rules:
        if rule.holds_for(target):
            asked = Asked(
                fields=rule.fields,
                template=rule.template,
                depth=rule.depth,
                profile=rule.profile or "",
                deadline=rule.deadline,
            )
            return asked, rule.query
    return None


def check_rules(rules: Sequence[Rule], profiles: Collection[str]) -> None:
    """Check that rules can be followed.

    Args:
        profiles: the names of those that are served.

    Raises:
        SettingsError: one names no served profile, or its fields and template are wrong together.
    """
    for place, rule in enumerate(rules):
        where = f"service.rules[{place}]"
        checked(TextSource, {"fields": rule.fields, "template": rule.template}, where=where)
        if rule.profile and rule.profile not in profiles:
            raise SettingsError(
                f"{where}: profile {rule.profile!r} is not served here{nearest(rule.profile, profiles)}"
            )


class Switch(Checked):
    """The word of a parameter `rerank` or a header `X-Rerank`: off, on, or a profile's name."""

    off: bool = False
    on: bool = False
    profile: str = ""

    @classmethod
    def of(cls, word: str | None) -> Switch:
        """The switch that the word sets; none at all where there is no word."""
        if word is None:
            return cls()
        if word.strip().lower() in _OFF:
            return cls(off=True)
        return cls(on=True, profile="" if word.strip().lower() in _ON else word.strip())
