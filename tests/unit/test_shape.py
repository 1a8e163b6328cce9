"""The project's own shape: what it exports, which way its arrows point, how soon it answers."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import subprocess
import sys
import time
from pathlib import Path

import click
import elastic_transport
import elasticsearch
import pytest

import es_reasonrank
from es_reasonrank import errors
from es_reasonrank.cli import COMMANDS, root
from es_reasonrank.elastic.failures import explained

ROOT = Path(__file__).parents[2]
HEAVY = ["torch", "transformers", "vllm", "sentence_transformers", "elasticsearch", "scipy", "numpy", "ir_measures"]
START = "from es_reasonrank.cli import main; main()"


def test_all_that_is_promised_is_there_and_nothing_else() -> None:
    """The names for type checkers, those that are loaded lazily, and `__all__` are the same."""
    tree = ast.parse(inspect.getsource(es_reasonrank))
    typed = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(es_reasonrank.__all__) == (typed - {"annotations", "import_module", "TYPE_CHECKING", "Any"}) | {
        "__version__"
    }
    for name in es_reasonrank.__all__:
        assert getattr(es_reasonrank, name) is not None
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'"):
        _ = es_reasonrank.nothing


def test_importing_brings_nothing_heavy() -> None:
    assert imported("es_reasonrank, es_reasonrank.cli", [*HEAVY, "pydantic", "rich", "yaml"]) == "[]\n"


def test_no_commands_help_needs_anything_heavy() -> None:
    modules = ", ".join(f"es_reasonrank.cli.{module}" for module, _ in COMMANDS.values())
    assert imported(modules, HEAVY) == "[]\n"


def imported(modules: str, names: list[str]) -> str:
    """Which of these names importing these modules brings along."""
    code = f"import sys, {modules}; print([name for name in {names} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_help_answers_at_once() -> None:
    """In a third of a second, says the design; the best of five runs, for other work on the machine."""
    times = []
    for _ in range(5):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", START, "--help"], capture_output=True, check=True)
        times.append(time.monotonic() - started)
    assert min(times) < 0.33


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_line_of_help(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert command.name == "command"
    assert (command.help or "").splitlines()[0] == COMMANDS[name][1]


def test_the_reference_is_what_the_code_says() -> None:
    """`make docs` writes it again."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.PAGE.read_text(encoding="utf-8") == generate.page()


def test_arrows_point_one_way() -> None:
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = {line.split("+ ")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "+ " in line}
    kinds = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__}
    assert drawn == kinds - {"ReasonRankError"}


def _exceptions(*modules: object) -> set[type[Exception]]:
    found = {kind for module in modules for _, kind in inspect.getmembers(module, inspect.isclass)}
    return {kind for kind in found if issubclass(kind, Exception) and not issubclass(kind, Warning)}


@pytest.mark.parametrize("kind", sorted(_exceptions(elasticsearch, elastic_transport), key=lambda kind: kind.__name__))
def test_every_exception_of_the_client_is_mapped(kind: type[Exception]) -> None:
    assert issubclass(kind, (elastic_transport.ApiError, elastic_transport.TransportError))
    if issubclass(kind, elastic_transport.ApiError):
        meta = elastic_transport.ApiResponseMeta(500, "1.1", elastic_transport.HttpHeaders(), 0.1, None)  # type: ignore[arg-type]
        error: Exception = kind("broken", meta, {"error": {"type": "x", "reason": "y"}})  # type: ignore[call-arg]
    else:
        error = kind("broken")
    mapped = explained(error, "an-index")  # type: ignore[arg-type]
    assert isinstance(mapped, errors.ReasonRankError)
    assert str(mapped)
