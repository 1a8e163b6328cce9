"""Documents out of files: every row becomes a passage to index, or is rejected with its reason. None is dropped."""

from es_reasonrank.elastic.readers.passages import Fields, Passage, Rejected
from es_reasonrank.elastic.readers.rows import Place
from es_reasonrank.elastic.readers.source import Source, open_source

__all__ = ["Fields", "Passage", "Place", "Rejected", "Source", "open_source"]
