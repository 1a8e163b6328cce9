"""The project's own indices: templates and single indices are made of the same JSON."""

from __future__ import annotations

import pytest

from es_reasonrank.elastic.mappings import Kind, check_name, component_templates, index_body, index_templates
from es_reasonrank.errors import SearchError
from es_reasonrank.types import Outcome


def test_index_templates_are_composed_of_templates_that_exist() -> None:
    components = component_templates()
    for kind, (name, body) in zip(Kind, index_templates().items(), strict=True):
        assert name == f"es-reasonrank-{kind}"
        assert body["index_patterns"] == [f"es-reasonrank-{kind}-*"]
        assert set(body["composed_of"]) <= components.keys()


@pytest.mark.parametrize("kind", Kind)
def test_an_index_gets_settings_and_mappings_and_takes_any_document(kind: Kind) -> None:
    body = index_body(kind)
    assert body["settings"]["index"] == {"auto_expand_replicas": "0-1"}
    assert body["mappings"]["dynamic"] is False


def test_every_outcome_can_be_counted() -> None:
    properties = index_body(Kind.RESULTS)["mappings"]["properties"]
    assert set(properties["outcomes"]["properties"]) == set(Outcome)


def test_the_order_and_the_reasoning_are_stored_only() -> None:
    properties = index_body(Kind.RESULTS)["mappings"]["properties"]
    assert [name for name, field in properties.items() if field.get("enabled") is False] == ["order", "reasoning"]


@pytest.mark.parametrize("name", ["", "*", "logs-*", "a,b", "_all", "-a", "+a", "a b", "a/b", "a#b", "<a-{now}>"])
def test_a_pattern_or_a_list_is_no_name(name: str) -> None:
    with pytest.raises(SearchError, match=r"cannot be the name of one index"):
        check_name(name)


@pytest.mark.parametrize("name", ["docs", "es-reasonrank-passages-1", "ö", ".hidden", "2024.01"])
def test_other_names_are_left_to_the_server(name: str) -> None:
    check_name(name)
