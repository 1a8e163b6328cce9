"""`trainer filter`: keep the training lists that their own judgments agree with."""

from __future__ import annotations

from pathlib import Path

import click

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.errors import DataError
from es_reasonrank.files import json_lines, write_json_lines
from trainer.filtering import ALPHA, self_consistent


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--output", "target", required=True, type=click.Path(path_type=Path), help="Where the kept records go.")
@click.option("--dropped", type=click.Path(path_type=Path), help="Where the others go, each with its reason.")
@click.option(
    "--alpha", default=ALPHA, show_default=True, type=click.FloatRange(0, 1), help="Least nDCG@10 of an order."
)
@as_json
def command(data: Path, target: Path, dropped: Path | None, alpha: float, as_json: bool) -> None:
    """Keep the training lists that their own judgments agree with.

    DATA is JSON Lines in the form of ReasonRank's released data: initial_list, final_list and relevant_docids.
    """
    records = [record for _, record in json_lines(data)]
    if not records:
        raise DataError("holds no records", path=str(data))
    result = self_consistent(records, alpha=alpha)
    write_json_lines(target, (dict(record) for record in result.kept))
    if dropped is not None:
        write_json_lines(dropped, ({**record, "dropped": reason} for record, reason in result.dropped))
    if as_json:
        output.emit_json({"kept": len(result.kept), "dropped": len(result.dropped), "datasets": result.counts})
        return
    rows = [
        (dataset or "-", reason, count)
        for dataset, counts in result.counts.items()
        for reason, count in counts.most_common()
    ]
    output.out.print(output.table(["dataset", "outcome", "records"], rows, right=["records"]))
    output.out.print(f"{len(result.kept)} of {len(records)} records kept in {target}")
