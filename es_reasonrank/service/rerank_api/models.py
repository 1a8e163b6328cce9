"""The list of what can be named as a request's model, in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from es_reasonrank.rerank.profile import Profile


class Model(BaseModel):
    """A ranker."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "es-reasonrank"
    summary: str
    strategy: str
    judge: str
    engine: str


class Models(BaseModel):
    """The rankers, the default first."""

    object: str = "list"
    data: list[Model]


def models(profiles: Mapping[str, Profile]) -> Models:
    """The rankers that may be named."""
    return Models(
        data=[
            Model(
                id=profile.name,
                summary=profile.summary,
                strategy=profile.strategy["name"],
                judge=profile.judge["name"],
                engine=profile.engine["name"],
            )
            for profile in profiles.values()
        ]
    )


MODELS_EXAMPLE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": Models(
                    data=[
                        Model(
                            id="encoder",
                            summary="The cheap ranker.",
                            strategy="pointwise",
                            judge="encoder",
                            engine="sentence_transformers",
                        )
                    ]
                ).model_dump()
            }
        }
    }
}
