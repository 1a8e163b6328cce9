"""Routes of the service's own whose every error is one sentence."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from es_reasonrank.errors import ReasonRankError


class Problem(BaseModel):
    """What went wrong, in one sentence."""

    error: str


def one_sentence(status_of: Callable[[ReasonRankError], int]) -> type[APIRoute]:
    """A class of routes, for a router.

    Args:
        status_of: the HTTP status of an error of ours.
    """

    class Route(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def answer(request: Request) -> Response:
                try:
                    return await handler(request)
                except ReasonRankError as error:
                    return _problem(status_of(error), str(error))
                except HTTPException as error:
                    return _problem(error.status_code, str(error.detail), error.headers)
                except RequestValidationError as error:
                    first = error.errors()[0]
                    where = ".".join(str(part) for part in first["loc"][1:])
                    return _problem(422, f"{where or 'the request'}: {first['msg']}")

            return answer

    return Route


def _problem(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(Problem(error=sentence).model_dump(), status, headers)
