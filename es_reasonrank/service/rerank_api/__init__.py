"""The rerank API: documents in, scores out, in the shapes that search engines and client libraries already speak."""
