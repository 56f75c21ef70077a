"""Which profile an endpoint gets, and what models.toml may say about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.endpoint.prices import priced
from harness.endpoint.profiles import KINDS, MINIMAX, OPENAI, SGLANG, VLLM, ProfileError, profile_for

MINE = "http://gpu.example:9000/v1"
VLLM_URL = "http://localhost:8000/v1"


def written(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("url", "model", "kind"),
    [
        ("https://api.minimax.io/v1", "MiniMax-M2.7", "minimax"),
        ("https://api.minimaxi.com/v1", "MiniMax-M2.7", "minimax"),
        ("http://localhost:8000/v1", "MiniMaxAI/MiniMax-M2.7", "vllm"),
        ("http://10.0.0.3:30000/v1", "tiny", "sglang"),
        (MINE, "MiniMaxAI/MiniMax-M2.7", "vllm"),
        ("http://localhost:11434/v1", "qwen3.6", "ollama"),
        ("http://localhost:1234/v1", "qwen3.6", "lm_studio"),
        ("http://localhost:8080/v1", "gpt-oss", "llama_cpp"),
        ("http://localhost:4000/v1", "x", "litellm"),
        ("https://api.deepseek.com", "deepseek-flash", "deepseek"),
        ("https://api.z.ai/api/paas/v4", "glm-5.3", "zai"),
        ("https://api.moonshot.ai/v1", "kimi-k3", "moonshot"),
        ("https://openrouter.ai/api/v1", "z-ai/glm-5.3", "openrouter"),
        ("https://mine.openai.azure.com/openai/v1", "gpt-oss-120b", "azure"),
        (MINE, "qwen", "openai"),
        ("https://api.openai.com/v1", "gpt", "openai"),
    ],
)
def test_address_suggests_the_kind(url: str, model: str, kind: str) -> None:
    profile = profile_for(url, model, None)
    assert (profile.kind, profile.model) == (kind, model)


def test_each_kind_names_its_reasoning_fields() -> None:
    assert MINIMAX.thinking_back == "reasoning_details"
    assert (VLLM.thinking_back, SGLANG.thinking_back) == ("reasoning", "reasoning_content")
    assert OPENAI.sampling() == VLLM.sampling() == {}
    assert set(KINDS) >= {"minimax", "vllm", "sglang", "openai", "demo"}


LOCAL = "http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("url", "model", "dialect", "sampling", "body", "context"),
    [
        ("https://api.minimax.io/v1", "MiniMax-M2.7", "minimax_m2", (1.0, 0.95, 40),
         {"reasoning_split": True}, 204_800),
        ("https://api.minimax.io/v1", "MiniMax-M3.1-Flash", "minimax_m3", (1.0, 0.95, 40),
         {"reasoning_split": True, "reasoning_effort": "high"}, 1_000_000),
        (LOCAL, "MiniMaxAI/MiniMax-M3", "minimax_m3", (1.0, 0.95, 40),
         {"chat_template_kwargs": {"thinking_mode": "enabled"}}, 511_000),
        (LOCAL, "zai-org/GLM-4.7", "glm", (1.0, None, None),
         {"chat_template_kwargs": {"enable_thinking": True, "clear_thinking": False}}, 202_752),
        ("https://openrouter.ai/api/v1", "minimax/minimax-m3.1-flash", "minimax_m3", (1.0, 0.95, 40),
         {"usage": {"include": True}, "reasoning_effort": "high"}, 524_288),
        ("https://api.z.ai/api/paas/v4", "glm-5.3", "glm", (1.0, None, None),
         {"thinking": {"type": "enabled", "clear_thinking": False}, "reasoning_effort": "high"}, 1_048_576),
        (LOCAL, "deepseek-ai/DeepSeek-V4-Flash-0731", "dsml", (1.0, 0.95, None),
         {"chat_template_kwargs": {"thinking": True, "reasoning_effort": "high"}}, 1_000_000),
        ("https://api.deepseek.com", "deepseek-flash", "dsml", (None, None, None),
         {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, 1_000_000),
        (LOCAL, "deepseek-ai/DeepSeek-V3.1", "deepseek_v3", (None, None, None), {}, 163_840),
        ("https://api.moonshot.ai/v1", "kimi-k3", "kimi_k3", (None, None, None),
         {"reasoning_effort": "high"}, 1_048_576),
        (LOCAL, "moonshotai/Kimi-K2.7-Code", "kimi_k2", (1.0, 0.95, None),
         {"chat_template_kwargs": {"preserve_thinking": True}}, 262_144),
        (LOCAL, "openai/gpt-oss-120b", "harmony", (None, None, None), {"reasoning_effort": "high"}, 131_072),
        (LOCAL, "Qwen/Qwen3.8-27B-FP8", "qwen_xml", (1.0, 0.95, 20),
         {"chat_template_kwargs": {"preserve_thinking": True}}, 262_144),
        (LOCAL, "nvidia/Nemotron-3-Ultra", "qwen_xml", (None, None, None),
         {"chat_template_kwargs": {"enable_thinking": True, "truncate_history_thinking": False}}, 262_144),
        (LOCAL, "some-model", "", (None, None, None), {}, 131_072),
    ],
)  # fmt: skip
def test_model_comes_first_and_its_server_second(
    url: str, model: str, dialect: str, sampling: tuple[float | None, ...], body: dict[str, object], context: int
) -> None:
    profile = profile_for(url, model, None)
    assert (profile.temperature, profile.top_p, profile.top_k) == sampling
    assert (profile.dialect, profile.extra_body, profile.context_tokens) == (dialect, body, context)
    assert profile.replays_empty == (dialect == "dsml")


@pytest.mark.parametrize(
    ("url", "model", "prices"),
    [
        ("https://api.minimax.io/v1", "MiniMax-M2.7", (0.30, 0.06, 1.20)),
        ("https://api.minimax.io/v1", "MiniMax-M3.1-Flash", (0.15, 0.015, 0.60)),
        ("https://api.moonshot.ai/v1", "kimi-k3", (3.0, 0.3, 15.0)),
        ("http://10.1.2.3:8000/v1", "MiniMaxAI/MiniMax-M2.7", (0.0, 0.0, 0.0)),
        ("http://gpu-node-3:8000/v1", "anything", (0.0, 0.0, 0.0)),
    ],
)
def test_hosted_models_are_priced_and_self_hosted_ones_are_free(
    url: str, model: str, prices: tuple[float, float, float]
) -> None:
    found = priced(profile_for(url, model, None), url).prices
    assert (found.input, found.cached, found.output) == prices
    assert found.is_known and found.source


def test_prices_of_an_unknown_host_are_unknown() -> None:
    url = "https://llm.example.com/v1"
    assert not priced(profile_for(url, "MiniMax-M2.7", None), url).prices.is_known


def test_own_prices_win(tmp_path: Path) -> None:
    path = written(tmp_path, "[m]\nprices = {input = 0.0, output = 0.0}\n")
    assert priced(profile_for("https://x.example.com/v1", "m", path), "https://x.example.com/v1").prices.is_known


def test_missing_file_changes_nothing(tmp_path: Path) -> None:
    assert profile_for(MINE, "m", tmp_path / "models.toml") == profile_for(MINE, "m", None)


def test_entry_overrides_fields_for_its_endpoint_only(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"""
        [gpu]
        base_url = "{MINE}/"
        kind = "sglang"
        temperature = 0.6
        top_p = 0.95
        top_p_range = [0.1, 0.9]
        [gpu.prices]
        output = 2
        """,
    )
    profile = profile_for(MINE, "m", path)
    assert (profile.kind, profile.model, profile.temperature, profile.top_k) == ("sglang", "m", 0.6, None)
    assert profile.prices.output == 2.0 and profile.sampling()["top_p"] == 0.9
    assert profile_for("http://other.example/v1", "m", path).kind == "openai"


def test_most_specific_entry_wins(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"""
        [all]
        context_tokens = 1000
        [box]
        base_url = "{MINE}"
        context_tokens = 2000
        [exact]
        base_url = "{MINE}"
        model = "m"
        context_tokens = 3000
        """,
    )
    assert profile_for(MINE, "m", path).context_tokens == 3000
    assert profile_for(MINE, "n", path).context_tokens == 2000
    assert profile_for("http://x.example/v1", "n", path).context_tokens == 1000


def test_entry_name_can_be_the_model(tmp_path: Path) -> None:
    path = written(tmp_path, '[big]\nmodel = "MiniMaxAI/MiniMax-M2.7"\nkind = "vllm"\n')
    profile = profile_for(MINE, "big", path)
    assert (profile.model, profile.kind) == ("MiniMaxAI/MiniMax-M2.7", "vllm")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[gpu]\ntemprature = 1\n", [":2", "temprature", "did you mean `temperature`?"]),
        ("[gpu]\nzzz = 1\n", [":2", "zzz", "known keys", "thinking_back"]),
        ("[a]\ntop_k = 1\n[gpu]\n\ntop_k = 'many'\n", [":5", "top_k", "[gpu]", "many"]),
        ('[gpu]\nthinking_back = "thoughts"\n', [":2", "thinking_back", "reasoning_details"]),
        ('[gpu]\nkind = "llama"\n', [":2", "llama", "sglang"]),
        ("[gpu.prices]\nimput = 1\n", [":2", "imput", "input, cached, output"]),
        ("[gpu\n", ["TOML", "line 1"]),
        ("temperature = 1\n", [":1", "temperature", "[my-server]"]),
    ],
)
def test_error_names_file_line_and_key(tmp_path: Path, text: str, says: list[str]) -> None:
    with pytest.raises(ProfileError) as caught:
        profile_for(MINE, "gpu", written(tmp_path, text))
    assert [word for word in ["models.toml", *says] if word not in str(caught.value)] == []


def test_file_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_bytes(b"[a]\nmodel = '\xff'\n")
    with pytest.raises(ProfileError, match="UTF-8"):
        profile_for(MINE, "m", path)


@pytest.mark.parametrize(
    ("url", "model", "quality"),
    [
        ("https://api.minimax.io/v1", "MiniMax-M3.1-Flash", 400_000),
        ("http://127.0.0.1:8000/v1", "MiniMaxAI/MiniMax-M3.1-Flash", 209_715),
        ("https://api.deepseek.com", "deepseek-flash", 400_000),
        ("https://api.minimax.io/v1", "MiniMax-M2.7", 120_000),
        ("http://127.0.0.1:8000/v1", "Qwen/Qwen3.5-397B", 120_000),
        (MINE, "unknown", 120_000),
    ],
)
def test_quality_is_assumed_for_two_fifths_of_a_long_context(url: str, model: str, quality: int) -> None:
    assert profile_for(url, model, None).quality_tokens == quality


def test_measured_quality_overrides_the_assumed_one(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text("[deepseek-flash]\nquality_tokens = 250_000\n")
    assert profile_for("https://api.deepseek.com", "deepseek-flash", path).quality_tokens == 250_000


@pytest.mark.parametrize(
    ("url", "model", "effort", "where"),
    [
        ("https://api.minimax.io/v1", "MiniMax-M3.1-Flash", "max", {"reasoning_effort": "max"}),
        ("https://api.moonshot.ai/v1", "kimi-k3", "low", {"reasoning_effort": "low"}),
        (VLLM_URL, "moonshotai/Kimi-K3", "max", {"chat_template_kwargs": {"thinking_effort": "max"}}),
        (VLLM_URL, "deepseek-ai/DeepSeek-V4-Flash", "max", {"chat_template_kwargs": {"reasoning_effort": "max"}}),
        (VLLM_URL, "openai/gpt-oss-120b", "low", {"reasoning_effort": "low"}),
        ("https://openrouter.ai/api/v1", "z-ai/glm-5.3", "max", {"reasoning_effort": "max"}),
        (VLLM_URL, "a-model-of-its-own", "deep", {"reasoning_effort": "deep"}),
    ],
)
def test_effort_is_asked_for_where_model_and_server_read_it(
    tmp_path: Path, url: str, model: str, effort: str, where: dict[str, Any]
) -> None:
    plain = profile_for(url, model, None)
    asked = profile_for(url, model, written(tmp_path, f'[one]\neffort = "{effort}"\n'))
    template = asked.extra_body.get("chat_template_kwargs", {})
    for key, value in where.items():
        assert asked.extra_body[key] == value if key != "chat_template_kwargs" else value.items() <= template.items()
    assert set(plain.extra_body.get("chat_template_kwargs", {})) <= set(template), "other switches stay"


@pytest.mark.parametrize(
    ("model", "effort", "known"), [("gpt-oss-120b", "hihg", "low, medium, high"), ("glm-5.2", "low", "high, max")]
)
def test_effort_that_a_model_does_not_know_is_refused(tmp_path: Path, model: str, effort: str, known: str) -> None:
    with pytest.raises(ProfileError, match=f": {known}$"):
        profile_for(VLLM_URL, model, written(tmp_path, f'[one]\neffort = "{effort}"\n'))


@pytest.mark.parametrize("url", [VLLM_URL, "https://api.z.ai/api/paas/v4"])
def test_empty_effort_leaves_thinking_to_the_model(tmp_path: Path, url: str) -> None:
    plain = profile_for(url, "glm-5.3", written(tmp_path, '[one]\neffort = ""\n'))
    assert "effort" not in str(plain.extra_body) and "clear_thinking" in str(plain.extra_body)


def test_own_body_is_sent_as_it_is_unless_an_effort_is_given(tmp_path: Path) -> None:
    body = 'extra_body = {reasoning_effort = "max"}'
    url, model = "https://api.minimax.io/v1", "MiniMax-M3.1-Flash"
    assert profile_for(url, model, written(tmp_path, f"[one]\n{body}\n")).extra_body == {"reasoning_effort": "max"}
    both = profile_for(url, model, written(tmp_path, f'[one]\n{body}\neffort = "low"\n'))
    assert both.extra_body == {"reasoning_effort": "low"}
