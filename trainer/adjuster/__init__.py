"""CoRanking's order adjuster: it learns in which order the large ranker reads the head of a list best.

Source: CoRanking (2503.23427): what the small ranker puts ahead is shown to the large one in an order that a model,
trained by reinforcement learning on the large one's results, has adjusted to it. Here the model is a small scorer, and
of two orders that were tried the one is preferred after which the large ranker's nDCG@10 was higher.

    stage     heads of a run's lists, an adjuster trained on them, and the profile that serves it
    trying    heads shown to the large ranker in several orders, and the pairs that come of it
    training  the scorer from the pairs

The adjuster itself is `es_reasonrank.rerank.adjuster`: serving has no torch.
"""
