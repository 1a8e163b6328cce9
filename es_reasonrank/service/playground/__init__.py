"""The playground: a page that shows a search before and after reranking, and takes ratings."""
