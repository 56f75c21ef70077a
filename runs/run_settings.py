"""The settings of a run: every knob with its default, unit and meaning. Event 0 records all of them by value.

A setting comes, in this order, from its default, `config.toml` in HARNESS_HOME, a HARNESS_* variable, the task file's
`run:` part, and the command line (`harness/settings.py`). A new setting is one field here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

Group = Literal[
    "budget",
    "search",
    "sampling",
    "endpoint",
    "sandbox",
    "evaluation",
    "context",
    "learning",
    "limits",
    "client",
    "notify",
]
TRUSTED_GROUPS: tuple[Group, ...] = ("endpoint", "sandbox", "learning", "notify")
"""Groups that a task file may set only with `--trust-task`: a task file may come from the internet."""


def setting(default: Any, group: Group, text: str, *, unit: str = "", flag: str = "", **bounds: Any) -> Any:
    """A field of `RunSettings`. `flag` is the command-line option of `harness run`, `bounds` are pydantic's."""
    return Field(default, description=text, json_schema_extra={"group": group, "unit": unit, "flag": flag}, **bounds)


class RunSettings(BaseModel):
    """The settings of one run. Times are in seconds unless the name says otherwise."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    hours: float | None = setting(24.0, "budget", "Active time of the run.", unit="hours", flag="--hours", gt=0)
    cost: float | None = setting(None, "budget", "Money for the model's tokens.", unit="dollars", flag="--cost", gt=0)
    attempts: int | None = setting(None, "budget", "Attempts (the demo model's default is 6).", flag="--attempts", gt=0)
    turns: int | None = setting(None, "budget", "Model replies over all attempts.", flag="--turns", gt=0)
    unusable_replies: int = setting(50, "budget", "Replies in a row without a usable call that end the run.", gt=0)
    kept_back_share: float = setting(
        0.05,
        "budget",
        "Share of the run kept for the final selection until the first score; then its length is planned.",
        ge=0,
        le=0.5,
    )
    kept_back_seconds: float = setting(600.0, "budget", "Upper bound of the time kept by that share.", unit="s", ge=0)

    seed: int = setting(0, "search", "Seed of the holdout split.", flag="--seed", ge=0)
    parallel: int | None = setting(
        None,
        "search",
        "Attempts that are played at once (default: 2; the demo model's is 1).",
        flag="--parallel",
        gt=0,
    )
    search: str = setting(
        "tree",
        "search",
        "Who chooses each attempt's move: tree, greedy, or a class of your own as FILE.py:CLASS.",
        flag="--search",
    )
    attempt_hours: float | None = setting(
        None,
        "search",
        "Time of an attempt; ended at 1.5 times it (default: a twentieth of the run, or 4 evaluations).",
        unit="hours",
        gt=0,
    )
    attempt_turns: int = setting(200, "search", "Replies after which an attempt ends.", gt=0)
    finalists: int = setting(5, "search", "Solutions that the final selection considers.", gt=0)

    temperature: float | None = setting(None, "sampling", "Sampling temperature (default: the model's profile).", ge=0)
    top_p: float | None = setting(None, "sampling", "Nucleus sampling (default: the model's profile).", gt=0, le=1)
    top_k: int | None = setting(None, "sampling", "Top-k sampling (default: the model's profile).", gt=0)

    endpoint: str = setting("", "endpoint", "Name of an [endpoints.NAME] table in config.toml.", flag="--endpoint")
    model: str = setting("", "endpoint", "Model to ask (default: the demo model, not an LLM).", flag="--model")
    base_url: str = setting("", "endpoint", "OpenAI-compatible endpoint that serves the model.", flag="--base-url")
    key_variable: str = setting("", "endpoint", "Environment variable that holds the endpoint's key.")
    fallback: str = setting(
        "",
        "endpoint",
        "Name of an [endpoints.NAME] table that takes over when the endpoint has failed for 30 minutes.",
        flag="--fallback",
    )
    accept_lost_thinking: bool = setting(
        False,
        "endpoint",
        "Run although the endpoint drops the model's earlier reasoning.",
        flag="--accept-lost-thinking",
    )

    sandbox: Literal["auto", "docker", "bubblewrap", "local"] = setting(
        "auto", "sandbox", "Where commands run.", flag="--sandbox"
    )
    gpus: Annotated[int, Field(ge=0)] | Literal["all", "none"] = setting(
        "all", "sandbox", "GPUs leased to this run alone: a number, none, or all that are free.", flag="--gpus"
    )
    job_gpus: int = setting(0, "sandbox", "GPUs of one evaluation (0: all of its lane's).", ge=0)
    jobs_at_once: int = setting(
        4, "sandbox", "Jobs among which cores and memory of the machine are divided, at most one a core.", gt=0
    )
    runtime: str = setting("", "sandbox", "Runtime of the Docker daemon: sysbox-runc, runsc, ...", flag="--runtime")
    environment: str = setting(
        "",
        "sandbox",
        "What solutions run in: a venv or conda folder, a requirements.txt, `ml`, or a Docker image.",
        flag="--environment",
    )
    allow_builds: bool = setting(
        False,
        "sandbox",
        "Let requirements be built from source, which runs their code as your user.",
        flag="--allow-builds",
    )
    image: str = setting("", "sandbox", "Docker image (default: the first of the harness's images that exists).")
    models: str = setting("", "sandbox", "Folder of pretrained weights, mounted read-only.", flag="--models")

    evaluation_share: float = setting(0.2, "evaluation", "Largest share of the run for one evaluation.", gt=0, le=1)
    evaluation_seconds: float = setting(
        1800.0, "evaluation", "Default limit of one evaluation, unless a longer one succeeded.", unit="s", gt=0
    )
    evaluation_idle_seconds: float = setting(
        1200.0, "evaluation", "Time without output, CPU, GPU or disk use that ends an evaluation.", unit="s", gt=0
    )
    strict: bool = setting(
        False, "evaluation", "Pause the agent's jobs while evaluations run on other folds.", flag="--strict"
    )
    judge_seconds: float = setting(900.0, "evaluation", "Time to score one submission.", unit="s", gt=0)
    fold_share: float = setting(0.4, "evaluation", "Share of the run for evaluations on other folds.", ge=0, le=1)
    demo_fold_seconds: float = setting(60.0, "evaluation", "The same for the demo model.", unit="s", ge=0)
    expected_evaluations: int = setting(50, "evaluation", "Evaluations expected when folds are planned.", gt=0)
    max_holdout_queries: int = setting(
        100, "evaluation", "Scores shown; later ones show only a verdict unless they are a new best.", gt=0
    )

    window_tokens: int | None = setting(
        None, "context", "Size of the model's window (default: the model's profile).", unit="tokens", gt=0
    )
    output_tokens: int = setting(2_000, "context", "Command output shown to the model.", unit="tokens", gt=0)
    file_tokens: int = setting(8_000, "context", "File content shown by read_file.", unit="tokens", gt=0)
    cache_seconds: float = setting(300.0, "context", "Time after which a prompt cache is cold.", unit="s", gt=0)

    playbook: str = setting(
        "",
        "learning",
        "Prompts and working settings: a hash, a folder or `shipped` (default: the kept version).",
        flag="--playbook",
    )
    ledger: str = setting("", "learning", "File of lessons (default: ledger.sqlite in HARNESS_HOME).", flag="--ledger")
    ledger_snapshot: str = setting(
        "",
        "learning",
        "File of lessons that is read without those of the run's own family, instead of the ledger; none are written.",
    )
    held_out_families: str = setting(
        "",
        "learning",
        "Task families whose runs read lessons and write none: `tabular/rmse`, or a modality; with commas between.",
    )
    no_ledger: bool = setting(False, "learning", "Read and write no lessons of other runs.", flag="--no-ledger")
    no_knowledge: bool = setting(False, "learning", "Leave out the shipped general practices.", flag="--no-knowledge")

    longest_wait_seconds: float = setting(3600.0, "limits", "Longest single wait for a job.", unit="s", gt=0)
    job_output_bytes: int = setting(20_000_000, "limits", "Output after which a job is ended.", unit="bytes", gt=0)
    workspace_bytes: int = setting(
        100_000_000_000, "limits", "Size of the workspace, and of each evaluation's.", unit="bytes", gt=0
    )
    step_cache_bytes: int = setting(
        20_000_000_000, "limits", "Size of the cache of steps' results.", unit="bytes", ge=0
    )
    heartbeat_seconds: float = setting(60.0, "limits", "Interval of heartbeat events in long waits.", unit="s", gt=0)
    stop_seconds: float = setting(8.0, "limits", "Time a stop waits for the current step.", unit="s", gt=0)

    model_patience_seconds: float = setting(21_600.0, "client", "Time a failing endpoint is retried.", unit="s", gt=0)
    model_refused_seconds: float = setting(
        600.0, "client", "Time a refused request (400) is retried by an endpoint that answered before.", unit="s", ge=0
    )
    model_denied_seconds: float = setting(
        1_800.0, "client", "The same for a refused key or address (401, 403, 404).", unit="s", ge=0
    )
    fallback_seconds: float = setting(
        1_800.0, "client", "Time of failure after which the fallback takes over.", unit="s", gt=0
    )
    model_call_seconds: float = setting(1_800.0, "client", "Time limit of one request.", unit="s", gt=0)
    model_stall_seconds: float = setting(300.0, "client", "Silence after which a request is repeated.", unit="s", gt=0)
    model_first_wait_seconds: float = setting(1.0, "client", "First wait between retries.", unit="s", gt=0)
    requests_at_once: int | None = setting(
        None, "client", "Requests in flight to one endpoint, over all runs of this home (default: no limit).", gt=0
    )
    model_longest_wait_seconds: float = setting(120.0, "client", "Longest wait between retries.", unit="s", gt=0)

    on_event: str = setting(
        "", "notify", "Command that gets each important event as JSON on standard input.", flag="--on-event"
    )


def group_of(name: str) -> Group:
    """The group of a setting."""
    group: Group = _extra(name)["group"]
    return group


def unit_of(name: str) -> str:
    """The unit of a setting; empty if it has none."""
    return str(_extra(name)["unit"])


def flag_of(name: str) -> str:
    """The option of `harness run` that sets it; empty where only `--set` does."""
    return str(_extra(name)["flag"])


def choices_of(name: str) -> tuple[str, ...]:
    """The values it can have; empty if any value of its type may be set."""
    annotation = RunSettings.model_fields[name].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _extra(name: str) -> dict[str, Any]:
    extra = RunSettings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    return extra
