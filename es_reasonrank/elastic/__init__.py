"""Everything that speaks to Elasticsearch: candidates in, order out, results written back, documents indexed."""
