"""`trainer run`: run a recipe, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress
from rich.text import Text

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.errors import MissingError


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--folder", type=click.Path(path_type=Path), metavar="DIR", help="Where it runs; in the data folder.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change the recipe: sft.learning_rate=1e-5."
)
@click.option("--until", default="", metavar="STAGE", help="End with this stage.")
@click.option("--from", "start", default="", metavar="STAGE", help="Begin anew here; take what is before as it is.")
@click.option("--ignore-memory", is_flag=True, help="Start even where the estimate says that the memory will not do.")
@click.option("--dry-run", is_flag=True, help="Say what would run, why, and in how much memory.")
@as_json
def command(
    recipe: str,
    folder: Path | None,
    assignments: tuple[str, ...],
    until: str,
    start: str,
    ignore_memory: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a recipe, stage by stage; what is finished and unchanged is kept.

    RECIPE is the name of a recipe that comes with the package, or a YAML file. Run it again after an error or a kill:
    it goes on where it was.
    """
    from trainer.recipe import load_recipe
    from trainer.runner import Runner, default_folder

    chosen = load_recipe(recipe).assigned(assignments)
    place = folder or default_folder(chosen)
    with display() as watch:
        runner = Runner(chosen, place, watch=watch)
        if not dry_run:
            manifest = runner.run(start=start, until=until, check_memory=not ignore_memory)
    if dry_run:
        _show_plan(runner, start, until, as_json=as_json)
    elif as_json:
        output.emit_json(manifest.model_dump(mode="json"))
    else:
        show_result(manifest, runner.folder)


def _show_plan(runner: Any, start: str, until: str, *, as_json: bool) -> None:
    planned = runner.plan(start=start, until=until)
    needs, sentences = _memory(runner, planned)
    if as_json:
        stages = [
            {"stage": each.step.label, "todo": each.todo, "why": each.why, "bytes": needs.get(each.step.label)}
            for each in planned
        ]
        output.emit_json({"folder": str(runner.folder), "stages": stages, "memory": sentences})
        return
    from trainer.memory import gib

    rows = [
        (each.step.label, each.todo, each.why, gib(needs[each.step.label]) if each.step.label in needs else "-")
        for each in planned
    ]
    output.out.print(output.table(["stage", "todo", "why", "memory"], rows, right=["memory"]))
    output.out.print(Text(f"in {runner.folder}"))
    for sentence in sentences:
        output.err.print(Text(sentence, style="yellow"))


def _memory(runner: Any, planned: Sequence[Any]) -> tuple[dict[str, int], list[str]]:
    """The bytes that stages take to train, by label, and what there is to say of them."""
    from trainer.memory import available, shortage

    try:
        needs = runner.plans.needs(planned)
    except MissingError as error:
        return {}, [f"the memory that training takes is not known: {error}"]
    if not needs:
        return {}, []
    free = available()
    lacking = {label: shortage(need, free, training) for label, (need, training) in needs.items()}
    sentences = [f"stage {label}: {sentence}" for label, sentence in lacking.items() if sentence]
    return {label: need.total for label, (need, _) in needs.items()}, sentences


def show_result(manifest: Any, folder: Path) -> None:
    """Print the stages of a finished run, and where its report is."""
    from trainer.report import FILE
    from trainer.report.markup import duration

    rows = [(record.label, record.status, duration(record.seconds)) for record in manifest.records]
    output.out.print(output.table(["stage", "status", "time"], rows, right=["time"]))
    output.out.print(Text(f"report: {folder / FILE}"))


def display() -> AbstractContextManager[Any]:
    """Who watches a run on the command line."""
    return _Display().watching()


class _Display:
    """What whoever waits sees: a bar on a terminal, else a line now and then."""

    _SECONDS = 10.0
    """Between two lines of metrics where there is no terminal."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._label = ""
        self._told = 0.0

    @contextmanager
    def watching(self) -> Iterator[Any]:
        """Who watches a run, as long as it lasts."""
        from trainer.runner import Watch

        with output.progress("", None) as self._bar:
            self._bar.update(self._bar.task_ids[0], visible=False)
            yield Watch(self._say, self._begin, self._move)

    def _say(self, sentence: str) -> None:
        output.err.print(Text(sentence))

    def _begin(self, label: str) -> None:
        self._label, self._told = label, 0.0
        if self._bar is not None:
            self._bar.reset(self._bar.task_ids[0], total=None, description=label, note="", visible=True)

    def _move(self, done: int, total: int | None, metrics: Mapping[str, float]) -> None:
        note = ", ".join(f"{name} {metrics[name]:.4g}" for name in _headline(list(metrics)))
        if self._bar is not None and output.err.is_terminal:
            change: dict[str, Any] = {} if total is None else {"total": total}
            self._bar.update(self._bar.task_ids[0], completed=done, **(change | ({"note": note} if note else {})))
        elif time.monotonic() - self._told >= self._SECONDS:
            self._told = time.monotonic()
            of = f" of {total}" if total else ""
            output.err.print(Text(f"{self._label}: step {done}{of}" + (f", {note}" if note else "")))


def _headline(names: Sequence[str]) -> list[str]:
    """The metrics that a line has room for."""
    return [name for name in ("loss", "reward", "kl", "completions/mean_length") if name in names]
