"""ReasonRank's released data: lists with an order and a chain, whose texts stand in other files.

PATH is the file of lists; beside it, `id_query/` and `id_doc/` hold the texts, a JSON object of id and text for each
dataset. Which file belongs to a dataset follows from its name: the one that is called as the dataset is, or whose name
begins so. The released data hold more than passed the paper's filter, so that the filter is to be applied to them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.runs import Text
from trainer.synthesis.material import Material, Query
from trainer.synthesis.sources.base import Connect, FileSource, rows, values


class ReleasedSource(FileSource):
    """Finished lists, or such lists to be ordered anew."""

    kind: Literal["released"]
    ordered: bool = Field(True, description="Whether the orders and chains that came along are kept.")

    async def load(self, connect: Connect) -> Material:
        """Lists joined with their texts; ids get their dataset in front, since datasets may share them.

        Raises:
            DataError: a text is missing, or a row is no list.
        """
        texts = _Texts(self.path.parent)
        corpus, queries = dict[str, Text](), []
        for number, row in enumerate(rows(self.path), start=1):
            dataset, name = values(row, ("dataset", "qid"), path=self.path, number=number)
            shown, order, relevant = (_ids(row, key, dataset, self.path, number) for key in _LISTS)
            for document in row["initial_list"]:
                corpus[f"{dataset}/{document}"] = Text("", texts.found("id_doc", dataset, str(document)))
            query = Query(
                id=f"{dataset}/{name}",
                text=texts.found("id_query", dataset, name),
                grades=dict.fromkeys(relevant, 1),
                pool=shown,
                order=order if self.ordered else (),
                reasoning=_chain(row) if self.ordered else "",
            )
            queries.append(query)
        return Material(tuple(queries), corpus)


_LISTS = ("initial_list", "final_list", "relevant_docids")


def _ids(row: Mapping[str, Any], key: str, dataset: str, path: Path, number: int) -> tuple[str, ...]:
    found = row.get(key)
    if not isinstance(found, list):
        raise DataError(f"row {number} has no list {key!r}", path=str(path))
    return tuple(f"{dataset}/{name}" for name in found)


def _chain(row: Mapping[str, Any]) -> str:
    """The reasoning: a text, or a list of one."""
    reasoning = row.get("reasoning") or ""
    return str(reasoning[0]) if isinstance(reasoning, list) else str(reasoning)


class _Texts:
    """The texts beside a file of lists, each file read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[tuple[str, str], tuple[Path, dict[str, Any]]] = {}

    def found(self, kind: str, dataset: str, name: str) -> str:
        """The text of an id.

        Raises:
            DataError: it is not there.
        """
        if (kind, dataset) not in self._read:
            path = self._file(kind, dataset)
            self._read[kind, dataset] = path, _object(path)
        path, texts = self._read[kind, dataset]
        if not isinstance(texts.get(name), str):
            raise DataError(f"holds no text of {name!r}, which a list of {dataset} names", path=str(path))
        return str(texts[name])

    def _file(self, kind: str, dataset: str) -> Path:
        found = sorted((self._folder / kind).glob("*.json"))
        named = [path for path in found if path.stem == dataset] or [
            path for path in found if path.stem.startswith((f"{dataset}_", f"{dataset}-", f"{dataset}."))
        ]
        if len(named) != 1:
            raise DataError(
                f"{len(named)} of its {len(found)} JSON files belong to dataset {dataset!r}; one must be called so",
                path=str(self._folder / kind),
            )
        return named[0]


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read as JSON: {error}", path=str(path)) from error
    if not isinstance(content, dict):
        raise DataError("must be a JSON object of ids and texts", path=str(path))
    return content
