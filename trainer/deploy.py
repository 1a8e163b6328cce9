"""Deploy: the profile that `es-reasonrank --profile PATH` serves, written only where the model is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from es_reasonrank.errors import DataError, ReasonRankError, SettingsError
from es_reasonrank.evaluation.measures import paired_p
from es_reasonrank.files import replacing
from es_reasonrank.rerank.profile import profile_from
from es_reasonrank.validation import Checked, nearest
from trainer.evaluate import BASE
from trainer.stages import Made, Work, Written


class Options(Checked):
    """The gate, and what stands behind it."""

    model: str = Field(description="Who is to be deployed, as the evaluation calls it.")
    against: str = Field(BASE, description="Who it must beat, as the evaluation calls it: what is deployed now.")
    level: float = Field(0.05, gt=0, lt=1, description="Least certainty: p of the paired test over all sets' queries.")
    margin: float | None = Field(None, ge=0, description="Or: so much higher nDCG@10, whatever p is.")
    name: str = Field("trained", description="The profile's name.")
    target: Annotated[Path | None, Written()] = Field(None, description="The profile's file; by default in the run.")


class GateError(ReasonRankError):
    """The model is not better than what is deployed; nothing was changed."""

    exit_code = 8


def run(work: Work, options: Options) -> Made:
    """Write the profile, where the model is better.

    Raises:
        GateError: it is not.
        SettingsError: the evaluation knows no such model.
    """
    found = json.loads(work.need("evaluation", "evaluate").read_text(encoding="utf-8"))
    old, new = values_of(found, options.against), values_of(found, options.model)
    if options.model == BASE:
        raise SettingsError("the base order is no model; name one that was trained")
    if options.model not in found["rankers"]:
        raise SettingsError(f"{options.model} needs the reward model beside it, and no profile serves that")
    verdict = gate(old, new, options)
    profile = profile_from(found["rankers"][options.model]["profile"], where="evaluation")
    values = profile.model_dump(mode="json", exclude_defaults=True) | {
        "name": options.name,
        "summary": f"{options.model}, trained from {work.base}: {verdict}.",
    }
    target = options.target or work.folder / f"{options.name}.yaml"
    with replacing(target) as file:
        yaml.safe_dump(values, file, sort_keys=False, allow_unicode=True)
    work.say(f"deployed as {target}: {verdict}")
    return Made({"profile": target}, {"deployed": options.model, "verdict": verdict})


def gate(old: dict[str, float], new: dict[str, float], options: Options) -> str:
    """Why the new one may take the old one's place.

    Args:
        old: nDCG@10 by set and query.
        new: the same queries'.

    Raises:
        GateError: it may not.
    """
    before, after = sum(old.values()) / len(old), sum(new.values()) / len(new)
    p = paired_p(old, new)
    sure = f"p = {p:.4f}" if p >= 0.0001 else "p < 0.0001"
    told = f"nDCG@10 {after:.4f} against {before:.4f} of {options.against} over {len(new)} queries, {sure}"
    certain = after > before and p < options.level
    enough = options.margin is not None and after >= before + options.margin
    if not certain and not enough:
        wanted = f"p < {options.level}" + ("" if options.margin is None else f", or {options.margin} more")
        raise GateError(f"{options.model} is not deployed: {told}; wanted: higher with {wanted}. Nothing was changed")
    return told


def values_of(found: dict[str, Any], model: str) -> dict[str, float]:
    """A ranker's nDCG@10 by set and query.

    Raises:
        SettingsError: the evaluation does not know it.
        DataError: the evaluation holds no rows.
    """
    rows = found.get("rows")
    if not rows:
        raise DataError("holds no rows", path="evaluation")
    values = {
        f"{row['set']}/{query}": value
        for row in rows
        if row["model"] == model
        for query, value in row["by_query"].items()
    }
    if not values:
        raise SettingsError(f"the evaluation knows no {model!r}{nearest(model, {row['model'] for row in rows})}")
    return values
