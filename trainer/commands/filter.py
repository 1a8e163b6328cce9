"""`trainer filter`: keep the training lists that their own judgments agree with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.errors import DataError
from es_reasonrank.files import json_lines, replacing, write_json_lines
from es_reasonrank.rerank.profile import load_profile
from trainer.filtering import ALPHA, CHAIN_TOKENS, PROMPT_TOKENS, Filtered, Lengths, Options, filtered, lengths_of
from trainer.synthesis.near import LEAST


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--output", "target", required=True, type=click.Path(path_type=Path), help="Where the kept records go.")
@click.option("--dropped", type=click.Path(path_type=Path), help="Where the others go, each with its reason.")
@click.option("--report", type=click.Path(path_type=Path), help="Where a report for each source goes, as JSON.")
@click.option(
    "--alpha", default=ALPHA, show_default=True, type=click.FloatRange(0, 1), help="Least nDCG@10 of an order."
)
@click.option(
    "--near",
    default=LEAST,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Similarity from which two queries are one; 0: never.",
)
@click.option("--model", metavar="NAME", help="Model that learns from them; without it, lengths are not looked at.")
@click.option(
    "--profile", default="reasonrank", show_default=True, metavar="NAME", help="How that model is asked about a list."
)
@click.option(
    "--chain-tokens",
    default=CHAIN_TOKENS,
    show_default=True,
    type=click.IntRange(min=1),
    help="Tokens of a chain at most.",
)
@click.option(
    "--prompt-tokens",
    default=PROMPT_TOKENS,
    show_default=True,
    type=click.IntRange(min=1),
    help="Tokens of a prompt at most.",
)
@as_json
def command(
    data: Path,
    target: Path,
    dropped: Path | None,
    report: Path | None,
    model: str | None,
    profile: str,
    as_json: bool,
    **rules: Any,
) -> None:
    """Keep the training lists that their own judgments agree with.

    DATA is JSON Lines in the form of ReasonRank's released data: initial_list, final_list and relevant_docids. Dropped
    is also a chain that would not be read back as it was written, a query that is nearly another's, and what is too
    long for the model.
    """
    records = [record for _, record in json_lines(data)]
    if not records:
        raise DataError("holds no records", path=str(data))
    options = Options(**rules | {"near": rules["near"] or None})
    result = filtered(records, options, _lengths(model, profile))
    write_json_lines(target, (dict(record) for record in result.kept))
    if dropped is not None:
        write_json_lines(dropped, ({**record, "dropped": reason} for record, reason in result.dropped))
    if report is not None:
        with replacing(report) as file:
            json.dump(result.report(), file, indent=2)
    if as_json:
        output.emit_json({"kept": len(result.kept), "dropped": len(result.dropped), "datasets": result.report()})
        return
    _print(result, len(records), target)


def _lengths(model: str | None, profile: str) -> Lengths | None:
    return lengths_of(load_profile(profile), model) if model else None


def _print(result: Filtered, size: int, target: Path) -> None:
    rows = [
        (dataset or "-", reason, count)
        for dataset, counts in result.counts.items()
        for reason, count in counts.most_common()
    ]
    output.out.print(output.table(["dataset", "outcome", "records"], rows, right=["records"]))
    output.out.print(f"{len(result.kept)} of {size} records kept in {target}")
