"""Profiles: a ranker as a short YAML file that names a strategy, a judge and an engine with their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator

from es_reasonrank import plugins
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.fusion import Fusion
from es_reasonrank.rerank.orders import Orders
from es_reasonrank.rerank.prompts.template import load_template
from es_reasonrank.rerank.retries import FINAL, Retry
from es_reasonrank.settings import EngineSettings
from es_reasonrank.types import Outcome
from es_reasonrank.validation import Checked, assigned_value, checked, put, read_yaml, yaml_files, yaml_path

_AXES = ("strategy", "judge", "engine")
_PARTS = (*_AXES, "retry", "orders", "fusion")


class Profile(Checked):
    """One ranker. The three axes each hold a `name` and that member's own options."""

    name: str = Field(description="What traces and files call it.")
    summary: str = Field("", description="What it is, in a sentence.")
    source: str = Field("", description="The paper it comes from.")
    needs: str = Field("", description="What a model or a machine must offer.")
    depth: int = Field(100, ge=0, description="Candidates that are reranked; those behind keep their order.")
    strategy: dict[str, Any] = Field(description="How the list is cut into windows: its name and its options.")
    judge: dict[str, Any] = Field(description="What is asked about a window: its name and its options.")
    engine: dict[str, Any] = Field(description="Who generates the tokens: its name and its options.")
    retry: dict[Outcome, Retry] = Field({}, description="Outcomes after which a window is asked again, and how.")
    orders: Orders = Field(Orders(), description="Incoming orders: shuffled, or several.")
    fusion: Fusion = Field(Fusion(), description="How the first stage's order is joined in at the end.")

    @field_validator("retry")
    @classmethod
    def _retried(cls, value: dict[Outcome, Retry]) -> dict[Outcome, Retry]:
        for outcome in value.keys() & FINAL:
            raise ValueError(f"outcome {str(outcome)!r} is never asked about again")
        return value

    @field_validator("strategy", "judge", "engine")
    @classmethod
    def _named(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(value.get("name"), str):
            raise ValueError("key 'name' is missing")
        return value

    def served_by(self, engine: EngineSettings) -> Profile:
        """The same ranker with its engine replaced by what `engine` sets.

        Options that the new engine does not know are left behind with the old one.

        Raises:
            SettingsError: the new engine is unknown.
        """
        given = engine.model_dump(exclude_none=True)
        if not given:
            return self
        if "base_url" in given:
            given.setdefault("name", "openai")
        name = given.get("name", self.engine["name"])
        known = plugins.find("engines", name, where="settings, engine").options_model.model_fields
        kept = {key: value for key, value in self.engine.items() if key in known}
        return self.model_copy(update={"engine": {**kept, **given, "name": name}})

    def public(self) -> dict[str, Any]:
        """Everything but secrets, for traces and files."""
        return self.model_dump(mode="json") | {
            "engine": {key: value for key, value in self.engine.items() if not isinstance(value, SecretStr)}
        }

    def assigned(self, assignments: Sequence[str]) -> Profile:
        """The same ranker with single values changed: "strategy.window=10". Values are written as in YAML.

        Raises:
            SettingsError: an assignment has no such form, or names a key that is not there.
        """
        values = self.model_dump()
        for assignment in assignments:
            key, equals, _ = assignment.partition("=")
            axis, dot, option = key.strip().partition(".")
            if not equals or (dot and axis not in _PARTS):
                raise SettingsError(
                    f"{assignment!r} is no assignment; write strategy.KEY=VALUE, judge.KEY=VALUE or engine.KEY=VALUE"
                )
            value = assigned_value(assignment)
            put(values[axis] if dot else values, option if dot else axis, value)
        if not assignments:
            return self
        return profile_from(_with_template(values, Path()), where=f"profile {self.name}")


def profile_names() -> list[str]:
    """The names of the profiles that come with the package."""
    return sorted(yaml_files("es_reasonrank.profiles"))


def load_profile(name: str | Path) -> Profile:
    """A profile by its name, or by the path of a YAML file.

    Raises:
        SettingsError: no such profile, or its content is wrong.
    """
    path = yaml_path(str(name), yaml_files("es_reasonrank.profiles"), what="profile")
    return profile_from(_with_template(read_yaml(path, what="profile"), path.parent), where=f"profile {name}")


def profile_from(values: Mapping[str, Any], *, where: str) -> Profile:
    """A profile from its keys and values."""
    return checked(Profile, values, where=where)


def _with_template(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The values with a template's file, named relative to `folder`, replaced by its content.

    A profile is whole then: a run's metadata hold the prompt, and a changed prompt is another profile.
    """
    judge = values.get("judge")
    template = judge.get("template") if isinstance(judge, dict) else None
    if not isinstance(template, str) or Path(template).suffix not in (".yaml", ".yml"):
        return values
    content = load_template(str(folder / template)).model_dump(exclude_defaults=True)
    return {**values, "judge": {**values["judge"], "template": content}}
