"""vLLM's side of replies that must be permutations: a logits processor, loaded by vLLM's own engine process.

This is the interface of vLLM's first model runner; `vllm_permutation_v2` speaks to the second one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from es_reasonrank.engines.logits import keep
from es_reasonrank.engines.permutation import Permutation

if TYPE_CHECKING:
    import torch
    from vllm import SamplingParams


class PermutationLogits(AdapterLogitsProcessor):  # type: ignore[misc]
    """Masks every token that would leave the permutation, for requests that ask for one."""

    def is_argmax_invariant(self) -> bool:
        """It changes which token is the likeliest."""
        return False

    def new_req_logits_processor(self, params: SamplingParams) -> Any:
        """The mask of one request, or none."""
        asked = (params.extra_args or {}).get("permutation")
        if asked is None:
            return None
        path = Permutation(*asked)

        def mask(generated: list[int], logits: torch.Tensor) -> torch.Tensor:
            keep(logits, path.allowed(generated), path.end)
            return logits

        return mask
