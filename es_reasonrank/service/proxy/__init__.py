"""The proxy: every request goes to Elasticsearch as it came; searches that ask for it come back reranked."""
