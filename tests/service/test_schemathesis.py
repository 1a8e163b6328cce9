"""Requests that nobody thought of, made from our own OpenAPI: none breaks the service."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.conftest import Serve

pytestmark = pytest.mark.one_version

SEED = "2508"
INFERENCE = "/_inference/rerank/{profile}"
"""Its profile may be any text; those that are none are Elasticsearch's to answer."""


async def schemathesis(url: str, folder: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of a run."""
    program = Path(sys.executable).with_name("schemathesis")
    process = await asyncio.create_subprocess_exec(
        program,
        *("run", f"{url}/openapi.json", "--seed", SEED, "--max-examples", "40"),
        *("--warnings", "off", "--continue-on-failure", "--request-timeout", "20"),
        *options,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_the_openapi_lists_only_our_own_routes_with_examples(serve: Serve) -> None:
    async with serve() as url, httpx.AsyncClient(base_url=url) as client:
        schema: dict[str, Any] = (await client.get("/openapi.json")).json()
    rerank = {path: what["post"] for path, what in schema["paths"].items() if "rerank" in path or "score" in path}
    assert len(rerank) == 6
    for operation in rerank.values():
        content = operation["requestBody"]["content"]["application/json"]
        assert content["schema"]
        assert all(
            example["value"]["query" if "query" in example["value"] else "text_1"]
            for example in content["examples"].values()
        )
        assert {"200", "401", "404", "413", "422", "429", "503"} <= operation["responses"].keys()
    assert not [path for path in schema["paths"] if "_search" in path or "{path" in path]


async def test_no_request_breaks_the_service(serve: Serve, tmp_path: Path) -> None:
    """Whatever is sent, no route answers 5xx."""
    async with serve() as url:
        code, output = await schemathesis(url, tmp_path, "--checks", "not_a_server_error")
    assert code == 0, output


async def test_the_rerank_api_answers_as_its_openapi_says(serve: Serve, tmp_path: Path) -> None:
    """Statuses, content types and bodies are those that are written down."""
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    async with serve() as url:
        code, output = await schemathesis(
            url, tmp_path, "--checks", checks, "--include-tag", "rerank", "--exclude-path", INFERENCE
        )
    assert code == 0, output
