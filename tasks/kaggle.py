"""Download competition files from Kaggle, submit, and poll scores, through Kaggle's own package.

    KaggleError     Kaggle refuses or cannot be reached; the message says what to do next

The package prints on import, exits by SystemExit, and does not raise when an upload fails; this module hides all that.
"""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tasks.errors import TaskError

CREDENTIALS = (
    "No Kaggle credentials were found, or Kaggle rejects them. On kaggle.com, under Settings, create an API "
    "token; save it as ~/.kaggle/access_token, or a legacy key as ~/.kaggle/kaggle.json (mode 0600), or set "
    "KAGGLE_API_TOKEN."
)
RATE_LIMIT_SECONDS = 300.0
"""The longest total wait of one request for rate limits."""
_DOWNLOAD_TRIES = 4
_DEFAULT_PAUSE = 30.0
_DAILY_LIMIT = re.compile(r"\b(daily|today|tomorrow|per day|allowance)\b", re.IGNORECASE)
_QUOTA = re.compile(r"quota|submissions?\b.*\blimit|\blimit\b.*submission", re.IGNORECASE)
_T = TypeVar("_T")


class KaggleError(TaskError):
    """Kaggle refuses or cannot be reached; the message says what to do next."""


@dataclass(frozen=True)
class SubmissionStatus:
    """The status of a submission. Scores are None until Kaggle reports them; `problem` says why it failed."""

    ref: int
    status: str
    public_score: float | None
    private_score: float | None
    problem: str

    @property
    def is_over(self) -> bool:
        """Whether the status is final."""
        return self.status in ("COMPLETE", "ERROR")


@dataclass(frozen=True)
class LiveCompetition:
    """What Kaggle tells of a competition. `takes_code_only`: submissions are notebooks, not files."""

    name: str
    title: str
    description: str
    metric: str
    takes_code_only: bool


class Kaggle:
    """An authenticated Kaggle client. `endpoint` is another server with the same API. Raises `KaggleError`.

    Short rate limits are waited for and reported to `say`.
    """

    def __init__(self, endpoint: str | None = None, say: Callable[[str], None] = lambda _: None) -> None:
        self._api = _open(endpoint)
        self._say = say

    def competition(self, name: str) -> LiveCompetition | None:
        """What Kaggle tells of a competition; None if its search does not find it. Raises `KaggleError`."""
        answer = self._ask(name, lambda: self._api.competitions_list(search=name, page=1))
        for one in getattr(answer, "competitions", None) or []:
            if str(one.ref).rstrip("/").rpartition("/")[2] == name:
                only_code = bool(one.is_kernels_submissions_only)
                return LiveCompetition(name, one.title or name, one.description, one.evaluation_metric, only_code)
        return None

    def download(self, name: str, folder: Path, shows: bool = False) -> Path:
        """Download the zip of a competition's files into `folder`, unless it is there; a partial download resumes.

        Raises `KaggleError`.
        """
        target = folder / f"{name}.zip"
        # A separate folder: a leaderboard would be saved under the same name as the data.
        download = folder / "download"
        if target.is_file() and zipfile.is_zipfile(target):
            return target
        download.mkdir(parents=True, exist_ok=True)
        for left in range(_DOWNLOAD_TRIES - 1, -1, -1):
            try:
                get = partial(self._api.competition_download_files, name, path=str(download), quiet=not shows)
                self._ask(name, get)
                break
            except _Broken as broken:
                if not left:
                    raise KaggleError(f"{broken}; run the same command again to resume the download") from None
                time.sleep(0.5)
        files = [path for path in download.iterdir() if path.suffix != ".kaggle-partial" and path.is_file()]
        if len(files) != 1 or not zipfile.is_zipfile(files[0]):
            names = ", ".join(path.name for path in files) or "nothing"
            shutil.rmtree(download)
            raise KaggleError(f"{name}: Kaggle sent {names} instead of a zip archive; it was deleted. Try again.")
        files[0].replace(target)
        shutil.rmtree(download)
        return target

    def submit(self, name: str, file: Path, note: str) -> int:
        """Submit a CSV file; returns Kaggle's number for the submission. Raises `KaggleError`."""
        answer = self._ask(name, lambda: self._api.competition_submit(str(file), note, name, quiet=True))
        ref = int(getattr(answer, "ref", 0) or 0)
        if not ref:  # a failed upload does not raise
            reason = getattr(answer, "message", "") or "no reason given"
            raise KaggleError(f"{name}: Kaggle did not accept the submission ({reason}). Try again later.")
        return ref

    def status(self, ref: int) -> SubmissionStatus:
        """The status of a submission. Raises `KaggleError`."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest

        request = ApiGetSubmissionRequest()
        request.ref = ref

        def get() -> Any:
            with self._api.build_kaggle_client() as client:
                return client.competitions.competition_api_client.get_submission(request)

        answer = self._ask(f"submission {ref}", get)
        return SubmissionStatus(
            ref,
            answer.status.name,
            _score(answer.public_score),
            _score(answer.private_score),
            answer.error_description or "",
        )

    def wait(
        self, ref: int, seconds: float, report: Callable[[SubmissionStatus], None], pause: float = 5.0
    ) -> SubmissionStatus:
        """Poll a submission until its status is final or `seconds` are over. Raises `KaggleError`."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.status(ref)
            report(status)
            if status.is_over or time.monotonic() + pause > deadline:
                return status
            time.sleep(pause)
            pause = min(pause * 1.5, 60.0)

    def _ask(self, what: str, request: Callable[[], _T]) -> _T:
        deadline = time.monotonic() + RATE_LIMIT_SECONDS
        while True:
            try:
                with _kaggle_errors(what):
                    return request()
            except _Busy as busy:
                if time.monotonic() + busy.seconds > deadline:
                    raise
                self._say(f"{what}: Kaggle limits the request rate, waiting {_duration(busy.seconds)}")
                time.sleep(busy.seconds)


def _score(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _open(endpoint: str | None) -> Any:
    with _kaggle_errors("Kaggle"):
        try:
            from kaggle.api.kaggle_api_extended import KaggleApi
            from kagglesdk.kaggle_client import KaggleClient
            from kagglesdk.kaggle_env import KaggleEnv
        except ImportError as error:
            raise KaggleError(f"The package kaggle cannot be loaded ({error}): pip install 'kaggle>=2.2' six") from None

        class OtherServer(KaggleApi):  # type: ignore[misc]
            """The same API at another server."""

            def build_kaggle_client(self) -> Any:
                config = self.config_values
                client = KaggleClient(
                    env=KaggleEnv.LOCAL,
                    username=config.get(self.CONFIG_NAME_USER),
                    password=config.get(self.CONFIG_NAME_KEY),
                    api_token=config.get(self.CONFIG_NAME_TOKEN),
                )
                client.http_client()._endpoint = endpoint
                return client

        api = OtherServer() if endpoint else KaggleApi()
        try:
            api.authenticate()
        except SystemExit:
            raise KaggleError(CREDENTIALS) from None
        return api


class _Broken(KaggleError):
    """The connection broke; a retry may help."""


class _Busy(KaggleError):
    """A rate limit; the request can be repeated after `seconds`."""

    def __init__(self, what: str, reason: str, retry_after: str | None) -> None:
        self.seconds = _pause(retry_after)
        again = f"try again in {_duration(self.seconds)}"
        super().__init__(f"{what}: Kaggle limits the request rate ({reason}): {again}.")


def _pause(retry_after: str | None) -> float:
    """The seconds that a Retry-After header (seconds or a date) asks for; half a minute if it is neither."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        try:
            when = parsedate_to_datetime(retry_after or "")
        except ValueError:
            return _DEFAULT_PAUSE
        seconds = (when.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.5) if math.isfinite(seconds) else _DEFAULT_PAUSE


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} minutes" if seconds < 6000 else f"{math.ceil(seconds / 3600)} hours"


@contextmanager
def _kaggle_errors(what: str) -> Iterator[None]:
    """Keep the package's output off stdout, and convert its exceptions. Raises `KaggleError`."""
    try:
        with contextlib.redirect_stdout(_NullStream()):
            yield
    except KaggleError:
        raise
    except SystemExit:
        raise KaggleError(f"{what}: the package kaggle exited without a reason; check `kaggle --help`") from None
    except Exception as error:
        import requests

        if not isinstance(error, (requests.RequestException, OSError)):
            raise KaggleError(f"{what}: Kaggle sent an unexpected answer ({_clip(error)}). Try again later.") from None
        answer = getattr(error, "response", None)
        if answer is None:
            if isinstance(error, requests.RequestException):
                raise _Broken(f"{what}: the connection to Kaggle broke ({_clip(error)})") from None
            raise
        reason = _reason(answer, error)
        if answer.status_code == 429 and not _DAILY_LIMIT.search(reason):
            raise _Busy(what, reason, answer.headers.get("Retry-After")) from None
        raise KaggleError(_refusal(what, answer.status_code, reason)) from None


class _NullStream:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _reason(answer: Any, error: Exception) -> str:
    try:
        return str(answer.json()["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return _clip(error)


def _clip(error: object) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _refusal(what: str, status: int, reason: str) -> str:
    if status == 401:
        return f"{what}: {CREDENTIALS}"
    if status == 403:
        return (
            f"{what}: Kaggle refuses ({reason}). Sign in and accept the rules of the competition at "
            f"kaggle.com/c/{what}/rules; some old competitions no longer allow this."
        )
    if status == 404:
        return (
            f"{what}: Kaggle has no competition of that name ({reason}). "
            "The name is the last part of the competition's address."
        )
    if _DAILY_LIMIT.search(reason) or _QUOTA.search(reason):
        return f"{what}: Kaggle's limit is reached ({reason}). Days are counted in UTC: try again tomorrow."
    if status >= 500:
        return f"{what}: Kaggle has a server error ({status}: {reason}). Try again later."
    return f"{what}: Kaggle refuses ({status}: {reason})."
