"""Losses over lists of passages. One file a loss, pure: tensors in, tensors out, differentiable.

Shapes are (lists, items). A `mask` is true where an item is there, so that lists of different length share a batch;
what stands under a false is never read. Without a mask all items are there.
"""
