"""The profile of an endpoint: by the model first, by the kind of server second. The user's tables override all of it.

Errors::

    ProfileError     models.toml is invalid; the message names file, line and key
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from harness.endpoint.model_families import ModelFamily, family_of

ThinkingField = Literal["reasoning_details", "reasoning_content", "reasoning", "content", "none"]
"""The field of a message that carries the reasoning; `content` means between `<think>` tags in the text."""


QUALITY_TOKENS, QUALITY_SHARE = 120_000, 0.4
"""Tokens, or the share of a known model's context, up to which its quality is assumed to hold: the larger one. No maker
publishes where it ends, and all tested models get worse with length."""


class ProfileError(Exception):
    """models.toml is invalid; the message says where, and what to write instead."""


@dataclass(frozen=True)
class Prices:
    """Dollars per million tokens: uncached prompt tokens, cached ones, and output tokens.

    `source` says where they come from; without it, and without a price, they are unknown.
    """

    input: float = 0.0
    cached: float = 0.0
    output: float = 0.0
    source: str = ""

    @property
    def is_known(self) -> bool:
        """Whether tokens can be priced; a price of zero counts if it has a source."""
        return bool(self.source or self.input or self.output)


@dataclass(frozen=True)
class Profile:
    """How the client treats one kind of endpoint.

    `thinking_from` is the field a reply carries its reasoning in, `thinking_back` the one it is sent back in (`none`:
    it is not sent back). Sampling values of None are not sent; the ranges are what the endpoint accepts.
    `context_tokens` bounds prompt and reply together, `quality_tokens` is up to where the model's quality holds
    (assumed unless given), `output_tokens` is asked for in `output_field`. `extra_body` is merged into every request.
    `asks_usage` asks for a last chunk with usage. `stream` says whether a chunk adds to the text (`delta`) or repeats
    it (`cumulative`); `auto` detects it. `dialect` is the syntax of the model's tool calls. `effort` is how much the
    model is asked to think, in the field of the request that it is read from.
    `replays_empty`: a turn with calls carries its reasoning field even if that is empty.
    """

    kind: str
    model: str = ""
    thinking_from: ThinkingField = "reasoning_content"
    thinking_back: ThinkingField = "reasoning_content"
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    temperature_range: tuple[float, float] = (0.0, 2.0)
    top_p_range: tuple[float, float] = (0.0, 1.0)
    context_tokens: int = 131_072
    quality_tokens: int = QUALITY_TOKENS
    output_tokens: int = 16_384
    output_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    asks_usage: bool = True
    stream: Literal["auto", "delta", "cumulative"] = "auto"
    dialect: str = ""
    effort: str = ""
    replays_empty: bool = False
    prices: Prices = Prices()

    def sampling(self) -> dict[str, float | int]:
        """The sampling values to send, clamped to the ranges this endpoint accepts."""
        values: dict[str, float | int] = {}
        if self.temperature is not None:
            values["temperature"] = _within(self.temperature, self.temperature_range)
        if self.top_p is not None:
            values["top_p"] = _within(self.top_p, self.top_p_range)
        if self.top_k is not None:
            values["top_k"] = self.top_k
        return values


MINIMAX = Profile(
    kind="minimax",
    thinking_from="reasoning_details",
    thinking_back="reasoning_details",
    # The vendor's pages disagree about the limit (2,048 or 131,072); the client drops one that is refused.
    output_tokens=32_768,
    output_field="max_completion_tokens",
)
VLLM = Profile(kind="vllm", thinking_from="reasoning", thinking_back="reasoning", output_tokens=32_768)
SGLANG = replace(VLLM, kind="sglang", thinking_from="reasoning_content", thinking_back="reasoning_content")
LLAMA_CPP = replace(SGLANG, kind="llama_cpp", output_tokens=16_384)
OPENAI = Profile(kind="openai")
OLLAMA = Profile(kind="ollama", thinking_from="reasoning", thinking_back="reasoning", context_tokens=32_768)
LM_STUDIO = replace(OLLAMA, kind="lm_studio")
LITELLM = Profile(kind="litellm", output_tokens=32_768)
OPENROUTER = Profile(
    kind="openrouter",
    thinking_from="reasoning_details",
    thinking_back="reasoning_details",
    output_tokens=32_768,
    extra_body={"usage": {"include": True}},
)
DEEPSEEK = Profile(kind="deepseek", output_tokens=32_768)
ZAI = Profile(kind="zai", output_tokens=32_768)
MOONSHOT = Profile(kind="moonshot", output_tokens=32_768)
AZURE = Profile(kind="azure", output_field="max_completion_tokens")
DEMO = Profile(kind="demo", model="demo", context_tokens=65_536, output_tokens=8_192, prices=Prices(source="demo"))

KINDS: Mapping[str, Profile] = {
    profile.kind: profile
    for profile in (
        MINIMAX, DEEPSEEK, ZAI, MOONSHOT, OPENROUTER, AZURE, VLLM, SGLANG, LLAMA_CPP, OLLAMA, LM_STUDIO, LITELLM,
        OPENAI, DEMO,
    )
}  # fmt: skip
"""The profiles of the kinds of servers, by the value of `kind`."""

_HOSTS = {
    "minimax": ("minimax.io", "minimaxi.com", "minimax.chat"),
    "deepseek": ("deepseek.com",),
    "zai": ("z.ai", "bigmodel.cn"),
    "moonshot": ("moonshot.ai", "moonshot.cn", "kimi.com"),
    "openrouter": ("openrouter.ai",),
    "azure": ("azure.com",),
}
_PORTS = {8_000: "vllm", 30_000: "sglang", 11_434: "ollama", 1_234: "lm_studio", 8_080: "llama_cpp", 4_000: "litellm"}
"""The default ports of these servers; anything else is left to the user's tables and the probe."""

_OWN_TEMPLATE = ("vllm", "sglang", "llama_cpp")
"""Servers that render the model's own template and take `chat_template_kwargs`."""
_VENDORS = ("minimax", "deepseek", "zai", "moonshot")


def profile_for(base_url: str, model: str, models_toml: Path | None) -> Profile:
    """The profile for `model` at `base_url`: guessed from the address, then overridden by models.toml.

    Each table of models.toml is one entry. Its `base_url` and `model` select what it applies to (the entry's name may
    also be the model); `kind` picks the profile it starts from; every other key overrides a field of `Profile`. Of
    several matching entries the most specific one wins. A missing file changes nothing. Raises `ProfileError`.
    """
    guessed = _guess(base_url, model)
    if models_toml is None or not models_toml.exists():
        return guessed
    chosen: tuple[int, str, dict[str, Any]] | None = None
    for name, entry in _read(models_toml).items():
        fit = _fit(name, entry, base_url, model)
        if fit is not None and (chosen is None or fit > chosen[0]):
            chosen = (fit, name, entry)
    return guessed if chosen is None else override(guessed, chosen[1], chosen[2], models_toml)


def _guess(base_url: str, model: str) -> Profile:
    address = urlsplit(base_url)
    host = address.hostname or ""
    if host == "api.openai.com":
        return _of_model(replace(OPENAI, output_field="max_completion_tokens"), model)
    hosted = (kind for kind, names in _HOSTS.items() if any(f".{host}".endswith(f".{name}") for name in names))
    kind = next(hosted, "") or _PORTS.get(address.port or 0, "")
    family = family_of(model)
    if not kind and family and family.name.startswith("MiniMax"):
        kind = "vllm"
    return _of_model(KINDS[kind or "openai"], model)


def _of_model(server: Profile, model: str, *, asks_effort: bool = True) -> Profile:
    """The profile of a kind of server for this model. Without `asks_effort` it thinks as much as it does by itself."""
    family = family_of(model)
    if family is None:
        return replace(server, model=model)
    is_vendor = server.kind in _VENDORS
    body = {**server.extra_body, **(family.hosted if is_vendor else {})}
    if server.kind in _OWN_TEMPLATE and family.template:
        body["chat_template_kwargs"] = dict(family.template)
    # Other servers get it only where they were seen to take it.
    takes_effort = is_vendor or server.kind == "openrouter" or family.name == "gpt-oss"
    has_effort = takes_effort or (server.kind in _OWN_TEMPLATE and family.template_effort)
    effort = family.effort if has_effort and asks_effort else ""
    sampling = {} if is_vendor and not family.hosted_sampling else dict(family.sampling)
    context = _context(server, family, is_vendor=is_vendor)
    return replace(
        server,
        model=model,
        context_tokens=context,
        quality_tokens=max(QUALITY_TOKENS, int(QUALITY_SHARE * context)),
        dialect=family.dialect,
        replays_empty=family.replays_empty,
        effort=effort,
        extra_body=_with_effort(body, server.kind, family, effort),
        **sampling,
    )


def _with_effort(body: Mapping[str, Any], kind: str, family: ModelFamily | None, effort: str) -> dict[str, Any]:
    """The body that asks for an effort: a key of the model's template if it has one, else a field of the request."""
    if not effort:
        return dict(body)
    if family is not None and family.template_effort and kind in _OWN_TEMPLATE:
        template = {**body.get("chat_template_kwargs", {}), family.template_effort: effort}
        return {**body, "chat_template_kwargs": template}
    return {**body, "reasoning_effort": effort}


def _context(server: Profile, family: ModelFamily, *, is_vendor: bool) -> int:
    if server.kind in ("ollama", "lm_studio"):  # they load a model with a small window unless told otherwise
        return min(server.context_tokens, family.context_tokens)
    return family.hosted_context if is_vendor and family.hosted_context else family.context_tokens


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def _read(path: Path) -> dict[str, dict[str, Any]]:
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: cannot be read ({error}); make it a readable UTF-8 file") from None
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{path}: not valid TOML: {error}") from None
    for name, entry in document.items():
        if not isinstance(entry, dict):
            raise ProfileError(
                f"{_place(path, name)}: `{name}` is outside an entry; write it below a line like [my-server]"
            )
        for key in entry:
            _check_key(path, name, key)
        if entry.get("kind", "openai") not in KINDS:
            raise ProfileError(
                f"{_place(path, 'kind', name)}: kind {entry['kind']!r} in [{name}] is unknown; "
                f"write one of: {', '.join(KINDS)}"
            )
    return cast(dict[str, dict[str, Any]], document)


def _check_key(path: Path, entry: str, key: str) -> None:
    import difflib

    known = [item.name for item in fields(Profile)] + ["base_url"]
    if key in known:
        return
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(sorted(known))}"
    raise ProfileError(f"{_place(path, key, entry)}: unknown key `{key}` in [{entry}]; {hint}")


def _fit(name: str, entry: Mapping[str, Any], base_url: str, model: str) -> int | None:
    """How specifically an entry matches (None: it does not)."""
    points = 0
    if "base_url" in entry:
        if str(entry["base_url"]).rstrip("/") != base_url.rstrip("/"):
            return None
        points += 1
    if name == model:
        return points + 4
    if "model" in entry:
        return points + 2 if entry["model"] == model else None
    return points


def override(guessed: Profile, name: str, entry: dict[str, Any], path: Path) -> Profile:
    """A profile with the fields of an entry `name` in `path`, which error messages name. Raises `ProfileError`."""
    from pydantic import TypeAdapter, ValidationError

    model = str(entry.get("model", guessed.model))
    start = _of_model(KINDS[entry["kind"]], model) if "kind" in entry else guessed
    values = asdict(start)
    for key, value in entry.items():
        if key == "prices" and isinstance(value, dict):
            unknown = [key for key in value if key not in ("input", "cached", "output")]
            if unknown:
                raise ProfileError(
                    f"{_place(path, unknown[0])}: unknown key `{unknown[0]}` in [{name}.prices]; "
                    "known keys: input, cached, output (dollars per million tokens)"
                )
            value = {**values["prices"], **value, "source": "your settings"}
        if key != "base_url":
            values[key] = value
    if "extra_body" in entry and "effort" not in entry:
        values["effort"] = ""  # the body given is sent as it is
    if effort := values["effort"]:
        family = family_of(model)
        if family is not None and family.efforts and effort not in family.efforts:
            raise ProfileError(
                f"{_place(path, 'effort', name)}: `effort` in [{name}]: {family.name} knows no effort {effort!r}; "
                f"write one of: {', '.join(family.efforts)}"
            )
        values["extra_body"] = _with_effort(values["extra_body"], values["kind"], family, effort)
    elif "extra_body" not in entry:
        values["extra_body"] = _of_model(KINDS[values["kind"]], model, asks_effort=False).extra_body
    try:
        return TypeAdapter(Profile).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        where = _place(path, str(first["loc"][-1]) if isinstance(first["loc"][-1], str) else key, name)
        raise ProfileError(f"{where}: `{key}` in [{name}]: {first['msg']} (found {first['input']!r})") from None


def _place(path: Path, key: str, entry: str = "") -> str:
    """`file:line` of a key, found by searching the text."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    start = next(
        (n for n, line in enumerate(lines) if entry and re.match(rf"\s*\[\"?{re.escape(entry)}\"?\]", line)), 0
    )
    for number, line in enumerate(lines[start:], start + 1):
        if re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", line):
            return f"{path}:{number}"
    return str(path)
