"""Training lists made from what there is: sources, leak checks, candidates, a teacher, and what it will cost.

    source -> queries and documents -> leak check -> candidates (BM25, embeddings) -> list of at most 20
           -> teacher: which passages help (it sees the answer), which order, and why (it does not) -> lists.jsonl

Source: ReasonRank (2508.07050, section 4.1 and appendix B.1).
"""
