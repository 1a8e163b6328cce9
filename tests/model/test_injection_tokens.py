"""No text becomes a control token: the injection suite in real prompts, read by tokenizers.

SmolLM2's tokenizer is a real one. The other families' are built here, with a vocabulary of bytes and the family's
control tokens; what is tested is what a tokenizer does with the text of a control token, which the vocabulary is not
part of.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from es_reasonrank.engines.base import Request
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.tokens import ChatTokenizer
from es_reasonrank.rerank.judges.listwise import ListwiseJudge, ListwiseOptions
from es_reasonrank.types import Candidate
from tests.model.contract import MODEL
from tests.unit.fakes import ScriptedEngine
from tests.unit.test_injection import HARMLESS, PLACES, TEXTS, window

FAMILIES: dict[str, tuple[str, ...]] = {
    "ChatML": ("<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|endoftext|>", "<|endofprompt|>"),
    "Qwen": (
        *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|object_ref_start|>", "<|box_end|>", "<|vision_start|>"),
        *("<|image_pad|>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
        *("<|fim_prefix|>", "<|repo_name|>", "<|file_sep|>"),
    ),
    "Llama 2": ("<s>", "</s>", "<unk>", "<pad>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    "Llama 3": (
        *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        *(
            "<|eom_id|>",
            "<|python_tag|>",
            "<|finetune_right_pad_id|>",
            *(f"<|reserved_special_token_{n}|>" for n in range(9)),
        ),
    ),
    "Gemma": (
        *("<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>"),
        *("<image_soft_token>", *(f"<unused{n}>" for n in range(9))),
    ),
    "Mistral": (
        *(
            "<s>",
            "</s>",
            "<unk>",
            "<pad>",
            "[INST]",
            "[/INST]",
            "[TOOL_CALLS]",
            "[AVAILABLE_TOOLS]",
            "[/AVAILABLE_TOOLS]",
        ),
        *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CONTENT]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[THINK]"),
        *("[/THINK]", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[ARGS]", "[CALL_ID]"),
        *("[AUDIO]", "[BEGIN_AUDIO]", "[TRANSCRIBE]", "[MODEL_SETTINGS]", "[/MODEL_SETTINGS]", "<SPECIAL_20>"),
    ),
    "Phi": ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>", "<|placeholder1|>", "<|im_sep|>"),
    "DeepSeek": (
        *(
            "<｜begin▁of▁sentence｜>",
            "<｜end▁of▁sentence｜>",
            "<｜▁pad▁｜>",
            "<｜User｜>",
            "<｜Assistant｜>",
            "<｜fim▁hole｜>",
        ),
        *("<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>", "<think>", "</think>", "<|EOT|>"),
    ),
    "Cohere": (
        *("<PAD>", "<UNK>", "<BOS_TOKEN>", "<EOS_TOKEN>", "<EOP_TOKEN>", "<MASK_TOKEN>", "<|START_OF_TURN_TOKEN|>"),
        *("<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|START_THINKING|>"),
    ),
    "Granite": (
        "<|start_of_role|>",
        "<|end_of_role|>",
        "<|end_of_text|>",
        "<|tool_call|>",
        "<fim_prefix>",
        "<reponame>",
    ),
    "GLM": ("[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    "EXAONE": ("[|system|]", "[|user|]", "[|assistant|]", "[|endofturn|]", "[|tool|]"),
    "gpt-oss": (
        "<|start|>",
        "<|channel|>",
        "<|message|>",
        "<|return|>",
        "<|call|>",
        "<|constrain|>",
        "<|endofprompt|>",
    ),
    "T5 and Nemotron": ("</s>", "<unk>", "<pad>", "<extra_id_0>", "<extra_id_1>", "<extra_id_99>"),
    "Kimi": ("◁think▷", "◁/think▷", "[BOS]", "[EOS]", "<|im_user|>", "<|im_assistant|>", "<|im_middle|>"),
    "Seed": ("<seed:bos>", "<seed:eos>", "<seed:think>", "</seed:think>", "<seed:cot_budget_reflect>"),
    "StarCoder": (
        "<fim_prefix>",
        "<fim_suffix>",
        "<repo_name>",
        "<file_sep>",
        "<issue_start>",
        "<jupyter_code>",
        "<gh_stars>",
    ),
}
ORDER = "[1]"


class Reading(ScriptedEngine):
    """A script behind a tokenizer."""

    def __init__(self, tokenizer: ChatTokenizer, *, tells: bool) -> None:
        super().__init__(lambda request: ORDER, context=1_000_000)
        self.tokenizer = tokenizer
        self.tells = tells

    async def control_tokens(self) -> frozenset[str]:
        return self.tokenizer.control_tokens if self.tells else frozenset()

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        return self.tokenizer.cut(texts, limit)

    async def count(self, request: Request) -> int:
        return len(self.tokenizer.encode(request))

    async def specials(self, query: str, passages: Sequence[Candidate]) -> int:
        """How many control tokens the real prompt over a window has."""
        await ListwiseJudge(ListwiseOptions(template="listwise", thinking=False), self).judge(query, passages)
        return special(self.tokenizer, self.requests.pop())


def special(tokenizer: ChatTokenizer, request: Request) -> int:
    """How many of a prompt's tokens are control tokens."""
    control = set(tokenizer.inner.added_tokens_decoder)
    return sum(token in control for token in tokenizer.encode(request))


def together(texts: Sequence[str]) -> tuple[str, list[Candidate]]:
    """A window with the texts in the query, a text for each passage and for its title."""
    return " ".join(texts), [Candidate(str(number), text, text) for number, text in enumerate(texts)]


def built(tokens: Sequence[str], folder: Path, *, eager: bool = False) -> ChatTokenizer:
    """A tokenizer of bytes and control tokens, with a chat template that uses the first two.

    Args:
        eager: whether it looks for control tokens after it has folded the text, as far as tokenizers ever do: wide and
            styled characters, case, accents, and characters that cannot be seen.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({char: number for number, char in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if eager:
        fold = [normalizers.NFKD(), normalizers.Replace(Regex(r"[^\P{C}\n]"), ""), normalizers.StripAccents()]
        inner.normalizer = normalizers.Sequence([*fold, normalizers.Lowercase()])
    inner.add_special_tokens([AddedToken(token, normalized=eager, special=True) for token in tokens])
    whole: Any = PreTrainedTokenizerFast(tokenizer_object=inner)
    first, second = tokens[:2]
    whole.chat_template = (
        "{% for message in messages %}"
        + first
        + "{{ message.role + '\n' + message.content }}"
        + second
        + "{% endfor %}"
        "{% if add_generation_prompt %}" + first + "assistant{% endif %}"
    )
    whole.save_pretrained(folder)
    return ChatTokenizer(str(folder))


@pytest.fixture(scope="module")
def smollm2() -> ChatTokenizer:
    return ChatTokenizer(resolve(MODEL))


@pytest.mark.parametrize("place", PLACES)
async def test_smollm2_sees_the_control_tokens_of_its_chat_template_alone(smollm2: ChatTokenizer, place: str) -> None:
    for tells in (True, False):
        engine = Reading(smollm2, tells=tells)
        expected = await engine.specials(*window(HARMLESS, place))
        found = {each.text: await engine.specials(*window(each.text, place)) for each in TEXTS}
        assert {text: count for text, count in found.items() if count != expected} == {}


def test_smollm2_would_see_those_of_the_texts(smollm2: ChatTokenizer) -> None:
    """Without what makes them harmless, the suite's texts reach this very tokenizer as control tokens."""

    def count(text: str) -> int:
        return special(smollm2, Request(({"role": "user", "content": text},), max_tokens=1))

    assert sum(count(each.text) > count(HARMLESS) for each in TEXTS if "\ud83d" not in each.text) >= 5


@pytest.mark.parametrize("eager", [False, True], ids=["as it comes", "folds texts first"])
@pytest.mark.parametrize("family", FAMILIES)
async def test_no_family_sees_a_control_token_in_a_text(family: str, eager: bool, tmp_path: Path) -> None:
    """Whether the engine tells its control tokens, or not, as over HTTP."""
    tokenizer = built(FAMILIES[family], tmp_path, eager=eager)
    tokens = FAMILIES[family]
    hostile = [each.text for each in TEXTS if each.kind != "repetition"]
    hostile += ["".join(tokens), "x".join(tokens), *map(disguised, tokens)]
    for tells in (True, False):
        engine = Reading(tokenizer, tells=tells)
        expected = await engine.specials(*together([HARMLESS]))
        assert expected == 2 * 2 + 1
        for start in range(0, len(hostile), 10):
            assert await engine.specials(*together(hostile[start : start + 10])) == expected


@pytest.mark.parametrize("eager", [False, True], ids=["as it comes", "folds texts first"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_would_see_its_control_tokens(family: str, eager: bool, tmp_path: Path) -> None:
    """The tokenizers that are built here find them where nothing makes the texts harmless."""
    tokenizer = built(FAMILIES[family], tmp_path, eager=eager)
    for token in FAMILIES[family]:
        for text in (token, *([disguised(token)] if eager else [])):
            request = Request(({"role": "user", "content": f"a{text}b"},), max_tokens=1)
            assert special(tokenizer, request) == 4


def disguised(token: str) -> str:
    """A control token that only a tokenizer sees which folds texts first: wide, in capitals, with unseen characters."""
    wide = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in token.upper())
    return "\u200b".join(wide)
