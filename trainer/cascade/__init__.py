"""The LCRON experiment (2503.09492): two small scorers in a row, trained jointly or each by itself.

    candidates (100) -> pre-ranker on cheap features -> 20 -> ranker on all features -> 10

It is about scorers with a gradient; a model that writes its order as text has none to pass on.
"""
