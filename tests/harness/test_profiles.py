"""Which profile an endpoint gets, and what models.toml may say about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.endpoint.profiles import KINDS, MINIMAX, OPENAI, SGLANG, VLLM, ProfileError, profile_for

MINE = "http://gpu.example:9000/v1"


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
        (MINE, "qwen", "openai"),
        ("https://api.openai.com/v1", "gpt", "openai"),
    ],
)
def test_address_suggests_the_kind(url: str, model: str, kind: str) -> None:
    profile = profile_for(url, model, None)
    assert (profile.kind, profile.model) == (kind, model)


def test_each_kind_names_its_reasoning_fields() -> None:
    assert MINIMAX.thinking_back == "reasoning_details" and MINIMAX.extra_body == {"reasoning_split": True}
    assert (VLLM.thinking_back, SGLANG.thinking_back) == ("reasoning", "reasoning_content")
    assert (MINIMAX.temperature, MINIMAX.top_p, MINIMAX.top_k) == (1.0, 0.95, 40)
    assert (MINIMAX.prices.input, MINIMAX.prices.cached, MINIMAX.prices.output) == (0.30, 0.06, 1.20)
    assert OPENAI.sampling() == {}
    assert set(KINDS) >= {"minimax", "vllm", "sglang", "openai", "demo"}


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
        top_p_range = [0.1, 0.9]
        [gpu.prices]
        output = 2
        """,
    )
    profile = profile_for(MINE, "m", path)
    assert (profile.kind, profile.model, profile.temperature, profile.top_k) == ("sglang", "m", 0.6, 40)
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
