"""Who teaches: judgments alone, or a language model, and what it may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.settings import EngineSettings, load
from es_reasonrank.validation import Checked
from trainer.lists import SIZE
from trainer.stages import Written
from trainer.synthesis.cost import Prices


class QrelsTeacher(Checked):
    """No model: the order is by grade, then by similarity, and there is no chain."""

    kind: Literal["qrels"] = "qrels"


class ModelTeacher(Checked):
    """A language model, asked as a profile says."""

    kind: Literal["model"]
    profile: str = Field(description="A profile with judge listwise: its name, or a YAML file.")
    engine: EngineSettings = Field(EngineSettings(), description="What replaces the profile's engine.")
    assign: tuple[str, ...] = Field((), description="Changes to the profile: judge.passage_tokens=100.")
    replay: Path | None = Field(None, description="A recording that answers in place of the model.")
    record: bool = Field(False, description="Whether replies are recorded, to be replayed.")
    answers: Annotated[Path | None, Written] = Field(
        None, description="File of its answers, to be shared by runs; by default in the stage's folder."
    )
    samples: int = Field(1, ge=1, description="Orders of a list, of which the best counts.")
    temperature: float | None = Field(None, ge=0, description="How they are drawn; the profile's own by default.")
    misleading: bool = Field(True, description="Whether it also selects hard negatives.")
    round_trip: int = Field(10, ge=1, description="Place that a document must reach in the search for its made query.")
    at_once: int = Field(16, ge=1, description="Lists worked on side by side.")
    prices: Prices | None = Field(None, description="What its tokens cost.")
    limit: float | None = Field(None, ge=0, description="Money above which it is not asked without `yes`.")
    yes: bool = Field(False, description="Whether it is asked without asking first.")

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.limit is not None and self.prices is None:
            raise ValueError("a limit needs prices; give both, or neither")
        return self

    def profiled(self) -> Profile:
        """The profile that it is asked by: a whole list at once.

        Raises:
            SettingsError: the profile is unknown, orders no whole lists, or all samples would be the same.
        """
        profile = load_profile(self.profile).assigned(self.assign).served_by(self.engine)
        if profile.judge["name"] != "listwise":
            raise SettingsError(
                f"teacher: profile {profile.name} has judge {profile.judge['name']!r}; a teacher orders whole lists, "
                "so choose one with judge listwise"
            )
        if self.replay is not None:
            profile = profile.model_copy(update={"engine": {"name": "replay", "recording": str(self.replay)}})
        elif profile.engine["name"] == "openai" and not profile.engine.get("api_key"):
            engine = {**profile.engine, "api_key": load().settings.engine.api_key}
            profile = profile.model_copy(update={"engine": engine})
        sampling = dict(profile.judge.get("sampling") or {})
        if self.temperature is not None:
            sampling["temperature"] = self.temperature
        if self.samples > 1 and not sampling.get("temperature"):
            raise SettingsError(f"teacher: {self.samples} samples at temperature 0 are the same; set its temperature")
        judge = {**profile.judge, "sampling": sampling}
        return profile.model_copy(update={"strategy": {"name": "single"}, "depth": SIZE, "judge": judge})


AnyTeacher = Annotated[QrelsTeacher | ModelTeacher, Field(discriminator="kind")]
