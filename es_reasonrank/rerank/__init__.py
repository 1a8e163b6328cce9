"""Ranking itself: strategy x judge over an engine. Pure of HTTP and of Elasticsearch."""
