"""The model as a run has trained it so far, served by the recipe's profile: what stages draw from."""

from __future__ import annotations

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.profile import Profile
from trainer.evaluate import serving
from trainer.stages import Work
from trainer.training import base_of


def served(work: Work) -> Profile:
    """The recipe's profile with the run's model.

    Raises:
        SettingsError: what was trained is an adapter still, which no engine would load.
    """
    if "adapter" in work.artifacts:
        raise SettingsError("the adapter is not part of the model yet; put a stage merge in front of this one")
    return serving(work.profile, base_of(work))
