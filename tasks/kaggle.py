"""Kaggle through its own package: a competition's files come down, a submission goes up, its score comes back.

    KaggleError     Kaggle, or the way to it, refuses; the message says what to do next

The package prints when it is imported, leaves by SystemExit, and does not raise when an upload fails; none of that
gets out of this module.
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

from tasks.config.yaml_with_lines import TaskError

CREDENTIALS = (
    "No Kaggle credentials were found, or Kaggle does not know them. On kaggle.com, under Settings, create an API "
    "token; save it as ~/.kaggle/access_token, or a legacy key as ~/.kaggle/kaggle.json (mode 0600), or set "
    "KAGGLE_API_TOKEN."
)
PATIENCE_SECONDS = 300.0
"""How long one request is waited for in all where Kaggle asks for fewer of them."""
_TRIES = 4
_PAUSE_UNTOLD = 30.0
_BY_THE_DAY = re.compile(r"\b(daily|today|tomorrow|per day|allowance)\b", re.IGNORECASE)
_USED_UP = re.compile(r"quota|submissions?\b.*\blimit|\blimit\b.*submission", re.IGNORECASE)
_T = TypeVar("_T")


class KaggleError(TaskError):
    """Kaggle refuses or cannot be reached; the message says what to do next."""


@dataclass(frozen=True)
class SubmissionStatus:
    """How a submission stands. Scores are None until Kaggle has told them; `problem` says why it failed."""

    ref: int
    status: str
    public_score: float | None
    private_score: float | None
    problem: str

    @property
    def is_over(self) -> bool:
        """Whether Kaggle will say no more."""
        return self.status in ("COMPLETE", "ERROR")


class Kaggle:
    """A signed-in Kaggle. `endpoint` is another server that speaks the same requests. Raises `KaggleError`.

    A short rate limit is waited for; `say` is told of it.
    """

    def __init__(self, endpoint: str | None = None, say: Callable[[str], None] = lambda _: None) -> None:
        self._api = _open(endpoint)
        self._say = say

    def download(self, name: str, folder: Path, shows: bool = False) -> Path:
        """The zip of a competition's files, in `folder`; what is there is taken, a broken download goes on.

        Raises `KaggleError`.
        """
        target = folder / f"{name}.zip"
        # Apart: a leaderboard would be saved under the same name as the data.
        beside = folder / "download"
        if target.is_file() and zipfile.is_zipfile(target):
            return target
        beside.mkdir(parents=True, exist_ok=True)
        for left in range(_TRIES - 1, -1, -1):
            try:
                get = partial(self._api.competition_download_files, name, path=str(beside), quiet=not shows)
                self._ask(name, get)
                break
            except _Broken as broken:
                if not left:
                    raise KaggleError(f"{broken}; what came is kept, the same command goes on with it") from None
                time.sleep(0.5)
        got = [path for path in beside.iterdir() if path.suffix != ".kaggle-partial" and path.is_file()]
        if len(got) != 1 or not zipfile.is_zipfile(got[0]):
            told = ", ".join(path.name for path in got) or "nothing"
            shutil.rmtree(beside)
            raise KaggleError(f"{name}: Kaggle sent {told}, which is no zip archive; it was deleted. Try again.")
        got[0].replace(target)
        shutil.rmtree(beside)
        return target

    def submit(self, name: str, file: Path, note: str) -> int:
        """Hand in a CSV file; the number Kaggle gives it. Raises `KaggleError`."""
        answer = self._ask(name, lambda: self._api.competition_submit(str(file), note, name, quiet=True))
        ref = int(getattr(answer, "ref", 0) or 0)
        if not ref:  # a failed upload does not raise
            said = getattr(answer, "message", "") or "no reason given"
            raise KaggleError(f"{name}: Kaggle did not take the submission ({said}). Try again later.")
        return ref

    def status(self, ref: int) -> SubmissionStatus:
        """How a submission stands. Raises `KaggleError`."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest

        request = ApiGetSubmissionRequest()
        request.ref = ref

        def get() -> Any:
            with self._api.build_kaggle_client() as client:
                return client.competitions.competition_api_client.get_submission(request)

        found = self._ask(f"submission {ref}", get)
        return SubmissionStatus(
            ref,
            found.status.name,
            _score(found.public_score),
            _score(found.private_score),
            found.error_description or "",
        )

    def wait(
        self, ref: int, seconds: float, tell: Callable[[SubmissionStatus], None], pause: float = 5.0
    ) -> SubmissionStatus:
        """Look, by its number, until Kaggle has scored a submission or the time is over. Raises `KaggleError`."""
        until = time.monotonic() + seconds
        while True:
            standing = self.status(ref)
            tell(standing)
            if standing.is_over or time.monotonic() + pause > until:
                return standing
            time.sleep(pause)
            pause = min(pause * 1.5, 60.0)

    def _ask(self, what: str, request: Callable[[], _T]) -> _T:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with _contained(what):
                    return request()
            except _Busy as busy:
                if time.monotonic() + busy.seconds > until:
                    raise
                self._say(f"{what}: Kaggle asks for fewer requests, waiting {_lasting(busy.seconds)}")
                time.sleep(busy.seconds)


def _score(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _open(endpoint: str | None) -> Any:
    with _contained("Kaggle"):
        try:
            from kaggle.api.kaggle_api_extended import KaggleApi
            from kagglesdk.kaggle_client import KaggleClient
            from kagglesdk.kaggle_env import KaggleEnv
        except ImportError as error:
            raise KaggleError(f"The package kaggle cannot be loaded ({error}): pip install 'kaggle>=2.2' six") from None

        class Elsewhere(KaggleApi):  # type: ignore[misc]
            """The same requests to another server."""

            def build_kaggle_client(self) -> Any:
                known = self.config_values
                client = KaggleClient(
                    env=KaggleEnv.LOCAL,
                    username=known.get(self.CONFIG_NAME_USER),
                    password=known.get(self.CONFIG_NAME_KEY),
                    api_token=known.get(self.CONFIG_NAME_TOKEN),
                )
                client.http_client()._endpoint = endpoint
                return client

        api = Elsewhere() if endpoint else KaggleApi()
        try:
            api.authenticate()
        except SystemExit:
            raise KaggleError(CREDENTIALS) from None
        return api


class _Broken(KaggleError):
    """The connection broke; trying again may help."""


class _Busy(KaggleError):
    """Too many requests for now; the same one may be made again after `seconds`."""

    def __init__(self, what: str, said: str, retry_after: str | None) -> None:
        self.seconds = _pause(retry_after)
        again = f"try again in {_lasting(self.seconds)}"
        super().__init__(f"{what}: Kaggle asks for fewer requests ({said}): {again}.")


def _pause(retry_after: str | None) -> float:
    """What a Retry-After header asks for, as seconds or as a date; half a minute where it says neither."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        try:
            when = parsedate_to_datetime(retry_after or "")
        except ValueError:
            return _PAUSE_UNTOLD
        seconds = (when.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.5) if math.isfinite(seconds) else _PAUSE_UNTOLD


def _lasting(seconds: float) -> str:
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} minutes" if seconds < 6000 else f"{math.ceil(seconds / 3600)} hours"


@contextmanager
def _contained(what: str) -> Iterator[None]:
    """Keep the package's prints off stdout, and turn what it raises into words. Raises `KaggleError`."""
    try:
        with contextlib.redirect_stdout(_Nowhere()):
            yield
    except KaggleError:
        raise
    except SystemExit:
        raise KaggleError(f"{what}: the package kaggle gave up without a reason; see `kaggle --help`") from None
    except Exception as error:
        import requests

        if not isinstance(error, (requests.RequestException, OSError)):
            raise KaggleError(
                f"{what}: Kaggle's answer was not understood ({_clip(error)}). Try again later."
            ) from None
        answer = getattr(error, "response", None)
        if answer is None:
            if isinstance(error, requests.RequestException):
                raise _told_broken(what, error) from None
            raise
        said = _said(answer, error)
        if answer.status_code == 429 and not _BY_THE_DAY.search(said):
            raise _Busy(what, said, answer.headers.get("Retry-After")) from None
        raise KaggleError(_refused(what, answer.status_code, said)) from None


def _told_broken(what: str, error: Exception) -> Exception:
    return _Broken(f"{what}: the connection to Kaggle broke ({_clip(error)})")


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _said(answer: Any, error: Exception) -> str:
    try:
        return str(answer.json()["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return _clip(error)


def _clip(error: object) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _refused(what: str, status: int, said: str) -> str:
    if status == 401:
        return f"{what}: {CREDENTIALS}"
    if status == 403:
        return (
            f"{what}: Kaggle refuses ({said}). Accept the rules of the competition, signed in, on its page at "
            f"kaggle.com/c/{what}/rules; some old competitions no longer let every account do so."
        )
    if status == 404:
        return (
            f"{what}: Kaggle knows nothing of that name ({said}). Look at the last part of the competition's address."
        )
    if _BY_THE_DAY.search(said) or _USED_UP.search(said):
        return f"{what}: Kaggle's limit is reached ({said}). It counts by the day in UTC: try again tomorrow."
    if status >= 500:
        return f"{what}: Kaggle is out of order ({status}: {said}). Try again later."
    return f"{what}: Kaggle refuses ({status}: {said})."
