"""A small world to make lists from: facts by topic, two questions about each, and who answers them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from es_reasonrank.rerank.profile import load_profile
from trainer.stages import Work

FACTS = {
    "sky": [
        "Air scatters blue light far more than red light.",
        "Seen from the Moon the sky is black even by day.",
        "At sunset light crosses more air and looks red.",
        "Clouds are white since their drops scatter all colours alike.",
    ],
    "cats": [
        "Cats sleep for most of the day and hunt at dusk.",
        "A cat's whiskers tell it whether it fits through a gap.",
        "Kittens open their eyes about ten days after birth.",
        "Cats cannot taste anything sweet.",
    ],
    "bread": [
        "Yeast eats sugar and gives off gas which makes dough rise.",
        "Salt slows yeast down and tightens gluten.",
        "A sourdough starter holds wild yeast and bacteria.",
        "The crust browns where sugars and proteins react in the heat.",
    ],
    "rivers": [
        "Rivers carry sand to the sea and build deltas there.",
        "A meander grows since water is faster on its outer bank.",
        "Dams hold back the mud that once fed the fields below.",
        "Spring floods come from snow that melts in the mountains.",
    ],
    "bees": [
        "Bees dance to tell where flowers stand.",
        "A queen bee lays up to two thousand eggs a day.",
        "Honey keeps for years since it holds little water.",
        "Drones leave the hive only to mate.",
    ],
    "iron": [
        "Iron rusts where water and oxygen reach it.",
        "Steel is iron with a little carbon.",
        "A magnet loses its force when it glows red.",
        "Zinc on iron rusts first and so protects it.",
    ],
}
QUESTIONS = {
    "sky": ("why does light from the sky look blue by day", "what colour has the sky on the Moon"),
    "cats": ("how long do cats sleep each day", "can a cat taste sugar"),
    "bread": ("what makes the dough of bread rise", "why does a crust turn brown"),
    "rivers": ("how do rivers build a delta at the sea", "where do floods in spring come from"),
    "bees": ("how does a bee tell others where flowers are", "why does honey keep for so long"),
    "iron": ("when does iron begin to rust", "how does zinc protect iron"),
}
_ANSWERED = {"sky": (0, 1), "cats": (0, 3), "bread": (0, 3), "rivers": (0, 3), "bees": (0, 2), "iron": (0, 3)}
DOCUMENTS = {f"{topic}-{place}": text for topic, texts in FACTS.items() for place, text in enumerate(texts)}
QUERIES = {f"{topic}?{place}": text for topic, texts in QUESTIONS.items() for place, text in enumerate(texts)}
QRELS = {
    f"{topic}?{place}": {f"{topic}-{answer}": 1}
    for topic, answers in _ANSWERED.items()
    for place, answer in enumerate(answers)
}


def lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """A JSON Lines file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def beir(
    folder: Path,
    *,
    documents: Mapping[str, str] = DOCUMENTS,
    queries: Mapping[str, str] = QUERIES,
    qrels: Mapping[str, Mapping[str, int]] = QRELS,
    split: str = "train",
) -> Path:
    """A set in BEIR's layout."""
    lines(folder / "corpus.jsonl", ({"_id": name, "title": "", "text": text} for name, text in documents.items()))
    lines(folder / "queries.jsonl", ({"_id": name, "text": text} for name, text in queries.items()))
    (folder / "qrels").mkdir(exist_ok=True)
    rows = [f"{query}\t{name}\t{grade}" for query, grades in qrels.items() for name, grade in grades.items()]
    (folder / "qrels" / f"{split}.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")
    return folder


def working(folder: Path, said: list[str] | None = None) -> Work:
    """What a stage is given here."""
    folder.mkdir(parents=True, exist_ok=True)
    say = (lambda sentence: None) if said is None else said.append
    return Work(folder, {}, base="", profile=load_profile("identity"), seed=0, say=say)
