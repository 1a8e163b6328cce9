"""From a profile to the parts that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from es_reasonrank import plugins
from es_reasonrank.engines.base import Engine
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.cache import Cache
from es_reasonrank.rerank.judges import Judge
from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.rerank.retries import RetryingJudge
from es_reasonrank.rerank.session import Ranker
from es_reasonrank.validation import checked


def load_engine(profile: Profile) -> Engine:
    """The profile's own engine, not started yet."""
    engine_class, options = _part("engines", "engine", profile.engine, profile.name)
    engine: Engine = engine_class(options)
    return engine


def load_ranker(profile: Profile, engine: Engine, *, cache: Cache | None = None, above: tuple[str, ...] = ()) -> Ranker:
    """The profile's strategy and judge over an engine, with the rankers that its strategy asks besides.

    Args:
        above: the profiles that this one is a stage of.

    Raises:
        SettingsError: a part is unknown or wrong, or the engine lacks what the judge needs.
    """
    if profile.name in above:
        raise SettingsError(f"profile {profile.name} is a stage of itself: {' > '.join((*above, profile.name))}")
    strategy_class, strategy_options = _part("strategies", "strategy", profile.strategy, profile.name)
    judge_class, judge_options = _part("judges", "judge", profile.judge, profile.name)
    judge = judge_class(judge_options, engine)
    if missing := judge.needs - engine.capabilities:
        raise SettingsError(
            f"profile {profile.name}: judge {profile.judge['name']!r} needs an engine with "
            f"{', '.join(sorted(missing))}, and engine {profile.engine['name']!r} has "
            f"{', '.join(sorted(engine.capabilities)) or 'nothing'}"
        )
    if strategy_class.needs_scores and not judge.gives_scores:
        raise SettingsError(
            f"profile {profile.name}: strategy {profile.strategy['name']!r} needs a judge that gives scores, and "
            f"{profile.judge['name']!r} gives an order only"
        )
    stages = {}
    for option in strategy_class.stages:
        below = load_profile(getattr(strategy_options, option))
        shared = engine if below.engine == profile.engine else load_engine(below)
        stages[option] = load_ranker(below, shared, cache=cache, above=(*above, profile.name))
    asking = RetryingJudge(judge, profile.retry, _warmed(profile, judge_class, judge_options, engine))
    return Ranker(strategy_class(strategy_options), judge, engine, asking, stages, cache)


def _warmed(profile: Profile, judge_class: Any, options: Any, engine: Engine) -> Callable[[float], Judge]:
    """Makes the judge with another temperature."""
    if "sampling" not in type(options).model_fields and any(rule.temperature for rule in profile.retry.values()):
        raise SettingsError(
            f"profile {profile.name}: judge {profile.judge['name']!r} draws no tokens; leave out retry's temperature"
        )

    def warmed(temperature: float) -> Judge:
        sampling = options.sampling.model_copy(update={"temperature": temperature})
        judge: Judge = judge_class(options.model_copy(update={"sampling": sampling}), engine)
        return judge

    return warmed


def _part(axis: plugins.Axis, key: str, values: Mapping[str, Any], profile: str) -> tuple[Any, Any]:
    """The class of one axis' member, and its checked options."""
    where = f"profile {profile}, {key}"
    found = plugins.find(axis, values["name"], where=where)
    options = {name: value for name, value in values.items() if name != "name"}
    model = found.options_model.model_fields.get("model")
    if model is not None and model.is_required() and "model" not in options:
        raise SettingsError(f"profile {profile} leaves the model to you; name one with --model (engine.model)")
    return found, checked(found.options_model, options, where=f"{where} {values['name']}")
