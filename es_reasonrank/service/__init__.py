"""The service: a proxy in front of Elasticsearch that reranks, a rerank API, and a page that shows what it does."""
