"""`vllm_permutation` for vLLM's second model runner, which newer releases use on GPUs: an interface of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor

from es_reasonrank.engines.logits import keep
from es_reasonrank.engines.permutation import Permutation

if TYPE_CHECKING:
    import torch
    from vllm import SamplingParams


class PermutationLogitsV2(LogitsProcessor):  # type: ignore[misc]
    """Masks every token that would leave the permutation, for requests that ask for one.

    A request lives in a slot of the runner; the tokens that it has so far are read from the slot's row on the device.
    """

    def __init__(self, vllm_config: Any, req_states: Any) -> None:
        self._states = req_states
        self._paths: dict[int, Permutation] = {}

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Take over the slot; whether its request asks for a permutation."""
        asked = (sampling_params.extra_args or {}).get("permutation")
        self._paths.pop(req_idx, None)
        if asked is not None:
            self._paths[req_idx] = Permutation(*asked)
        return asked is not None

    def apply(self, logits: torch.Tensor, ctx: Any) -> torch.Tensor:
        """Mask the rows, one a request: without speculative decoding, rows stand in the order of the batch."""
        for row, slot in enumerate(ctx.idx_mapping_np.tolist()):
            path = self._paths.get(slot)
            if path is not None:
                begin, end = int(self._states.prompt_len.np[slot]), int(ctx.seq_lens_upper_bound_np[row])
                generated = self._states.all_token_ids.gpu[slot, begin:end].tolist() if end > begin else []
                keep(logits[row], path.allowed(generated), path.end)
        return logits
