"""Facts about current open models: dialect, context, sampling, thinking switches, and what must be replayed to them.

A family is found by the name of the model. Its values come from the makers' pages and the vllm-project recipes; a
profile takes these values first, then those of the endpoint. A new model is one entry of `FAMILIES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelFamily:
    """One family of models.

    `pattern` is searched in the lower-case name of the model. `dialect` names the syntax of its tool calls (see
    `parsing/dialects`), `parser` the tool call parser of vLLM and SGLang. `sampling` holds fields of a profile;
    `hosted_sampling` is false where the vendor's API takes none. `template` is sent as `chat_template_kwargs` to
    servers that render the model's own template, `hosted` is merged into requests to the vendor. `effort` is how much
    the model is asked to think (empty: as much as it does by itself), `efforts` what it can be asked for (empty: not
    known), `template_effort` the key of its template for it, if it has one. `replays_empty`: every turn with calls
    needs its reasoning field, also an empty one.
    """

    name: str
    pattern: re.Pattern[str]
    dialect: str
    parser: str
    context_tokens: int
    hosted_context: int = 0
    sampling: Mapping[str, Any] = field(default_factory=dict)
    hosted_sampling: bool = True
    template: Mapping[str, Any] = field(default_factory=dict)
    effort: str = ""
    efforts: tuple[str, ...] = ()
    template_effort: str = ""
    hosted: Mapping[str, Any] = field(default_factory=dict)
    replays_empty: bool = False


def _family(name: str, pattern: str, dialect: str, parser: str, context_tokens: int, **more: Any) -> ModelFamily:
    return ModelFamily(name, re.compile(pattern), dialect, parser, context_tokens, **more)


_MINIMAX: dict[str, Any] = {"temperature": 1.0, "top_p": 0.95, "top_k": 40}
_MINIMAX |= {"temperature_range": (0.01, 1.0), "top_p_range": (0.01, 1.0)}
_WARM = {"temperature": 1.0, "top_p": 0.95}
_QWEN = {"temperature": 1.0, "top_p": 0.95, "top_k": 20}
_SPLIT = {"reasoning_split": True}
_Z_THINKING = {"thinking": {"type": "enabled", "clear_thinking": False}}
_DEEPSEEK_THINKING = {"thinking": {"type": "enabled"}}
_GLM_TEMPLATE = {"enable_thinking": True, "clear_thinking": False}

FAMILIES: tuple[ModelFamily, ...] = (
    _family(
        "MiniMax M3.1", r"minimax-?m3\.1", "minimax_m3", "minimax_m3", 524_288, sampling=_MINIMAX,
        hosted_context=1_000_000, template={"thinking_mode": "enabled"}, hosted=_SPLIT,
        effort="high", efforts=("low", "medium", "high", "xhigh", "max"),
    ),
    _family(
        # Advertised with a million tokens; requests above 511,647 were refused.
        "MiniMax M3", r"minimax-?m3", "minimax_m3", "minimax_m3", 511_000, sampling=_MINIMAX,
        template={"thinking_mode": "enabled"}, hosted=_SPLIT | {"thinking": {"type": "adaptive"}},
    ),
    _family(
        "MiniMax M2", r"minimax-?m2|minimax(?!-?m1)", "minimax_m2", "minimax_m2", 196_608, sampling=_MINIMAX,
        hosted_context=204_800, hosted=_SPLIT,
    ),
    _family("MiniMax M1", r"minimax-?m1", "minimax_m1", "minimax", 1_000_000, sampling=_WARM),
    _family(
        "DeepSeek V4", r"deepseek-?v4|deepseek-flash", "dsml", "deepseek_v4", 1_000_000, sampling=_WARM,
        hosted_sampling=False, template={"thinking": True}, hosted=_DEEPSEEK_THINKING, replays_empty=True,
        effort="high", efforts=("low", "high", "max"), template_effort="reasoning_effort",
    ),
    _family(
        "DeepSeek V3.2", r"deepseek-?v3\.2|deepseek-(?:chat|reasoner)", "dsml", "deepseek_v32", 163_840,
        sampling=_WARM, hosted_sampling=False, template={"thinking": True}, hosted=_DEEPSEEK_THINKING,
        replays_empty=True,
    ),
    _family("DeepSeek V3", r"deepseek-?(?:v3|r1)", "deepseek_v3", "deepseek_v3", 163_840),
    _family(
        "GLM 5.3", r"glm-?5\.[3-9]", "glm", "glm47", 1_048_576, sampling={"temperature": 1.0},
        template=_GLM_TEMPLATE, hosted=_Z_THINKING,
        effort="high", efforts=("low", "high", "max"), template_effort="reasoning_effort",
    ),
    _family(
        "GLM 5.2", r"glm-?5\.2", "glm", "glm47", 1_048_576, sampling={"temperature": 1.0},
        template=_GLM_TEMPLATE, hosted=_Z_THINKING,
        effort="high", efforts=("high", "max"), template_effort="reasoning_effort",
    ),
    _family(
        "GLM 4.7", r"glm-?(?:4\.7|5)", "glm", "glm47", 202_752, sampling={"temperature": 1.0},
        template=_GLM_TEMPLATE, hosted=_Z_THINKING,
    ),
    _family("GLM 4.5", r"glm-?4", "glm", "glm45", 131_072, sampling={"temperature": 1.0}, hosted=_Z_THINKING),
    _family(
        "Kimi K3", r"kimi-?k3", "kimi_k3", "kimi_k3", 1_048_576, sampling=_WARM, hosted_sampling=False,
        effort="high", efforts=("low", "medium", "high", "max"), template_effort="thinking_effort",
    ),
    _family(
        "Kimi K2", r"kimi", "kimi_k2", "kimi_k2", 262_144, sampling=_WARM, hosted_sampling=False,
        template={"preserve_thinking": True},
    ),
    _family("gpt-oss", r"gpt-oss", "harmony", "openai", 131_072, effort="high", efforts=("low", "medium", "high")),
    _family("Qwen3-coder", r"qwen3-coder", "qwen_xml", "qwen3_coder", 262_144),
    _family(
        "Qwen3.8", r"qwen-?3\.8", "qwen_xml", "qwen3_coder", 262_144, sampling=_QWEN,
        template={"preserve_thinking": True}, efforts=("low", "medium", "xhigh"), template_effort="reasoning_effort",
    ),
    _family(
        "Qwen3.5", r"qwen-?3\.[5-9]", "qwen_xml", "qwen3_coder", 262_144, sampling=_QWEN,
        template={"preserve_thinking": True},
    ),
    _family("Qwen3", r"qwen", "hermes", "hermes", 131_072),
    _family("MiMo", r"mimo", "qwen_xml", "mimo", 1_000_000, template={"enable_thinking": True}),
    _family("Step 3.5", r"step-?3\.[5-9]", "qwen_xml", "step3p5", 262_144, template={"preserve_thinking": True}),
    _family("Step3", r"step-?3", "step3", "step3", 65_536),
    _family(
        "Nemotron 3", r"nemotron-?3", "qwen_xml", "qwen3_coder", 262_144,
        template={"enable_thinking": True, "truncate_history_thinking": False},
    ),
    _family("Nemotron", r"nemotron", "nemotron_json", "nemotron_json", 131_072),
    _family("Mistral", r"mistral|ministral|magistral|devstral", "mistral", "mistral", 131_072),
    _family("Granite", r"granite", "granite", "granite", 131_072),
    _family("Llama", r"llama-?4", "pythonic", "llama4_pythonic", 131_072),
    _family("Llama 3", r"llama", "json", "llama3_json", 131_072),
)  # fmt: skip
"""The first family whose pattern fits counts."""


def family_of(model: str) -> ModelFamily | None:
    """The family of a model by its name, with or without an organisation; None if it is unknown."""
    name = model.rstrip("/").rpartition("/")[2].lower().replace("_", "-")
    # Hosts write versions as `m2p7` or `v4-1`.
    spelled = re.sub(r"(?<=\d)p(?=\d)", ".", name)
    return next((family for family in FAMILIES if family.pattern.search(spelled)), None)


def parser_of(dialect: str) -> str:
    """The tool call parser of vLLM and SGLang that reads a dialect; empty if none is known."""
    return next((family.parser for family in FAMILIES if family.dialect == dialect), "")
