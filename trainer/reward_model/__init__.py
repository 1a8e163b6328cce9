"""A reward model out of the model's own chains: those that led to a better ranking rank above those that did not.

Source: self-motivated learning (2404.07017): rationales are sampled on labelled data, the outcome orders them, and a
reward model learns that order. Here an outcome is the verifiable reward of a window's reply, a pair is two replies to
one prompt, and the model is a sequence classifier with one output, trained by trl's RewardTrainer on
-log sigmoid(r+ - r-). It serves to choose the best of n replies, and as an auxiliary reward beside the verifiable one.

    stage     replies to a run's lists, drawn and rewarded, and a model trained on them
    chains    replies with their outcomes, pairs of them, and what choosing one by a score is worth
    training  the model from pairs
    model     its scores, and the same as a reward for RL
    best      a judge whose verdict is the best of n by the model
"""
