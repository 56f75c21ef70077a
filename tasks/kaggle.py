"""Kaggle through its own package: a competition's files come down, a submission goes up, its score comes back.

    KaggleError     Kaggle, or the way to it, refuses; the message says what to do next

The package prints when it is imported, leaves by SystemExit, and does not raise when an upload fails; none of that
gets out of this module.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.marked_yaml import TaskError

CREDENTIALS = (
    "No Kaggle credentials were found, or Kaggle does not know them. On kaggle.com, under Settings, create an API "
    "token; save it as ~/.kaggle/access_token, or a legacy key as ~/.kaggle/kaggle.json (mode 0600), or set "
    "KAGGLE_API_TOKEN."
)
_TRIES = 4


class KaggleError(TaskError):
    """Kaggle refuses or cannot be reached; the message says what to do next."""


@dataclass(frozen=True)
class Standing:
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
    """A signed-in Kaggle. `endpoint` is another server that speaks the same requests. Raises `KaggleError`."""

    def __init__(self, endpoint: str | None = None) -> None:
        self._api = _open(endpoint)

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
                with _contained(name):
                    self._api.competition_download_files(name, path=str(beside), quiet=not shows)
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
        with _contained(name):
            answer = self._api.competition_submit(str(file), note, name, quiet=True)
        ref = int(getattr(answer, "ref", 0) or 0)
        if not ref:  # a failed upload does not raise
            said = getattr(answer, "message", "") or "no reason given"
            raise KaggleError(f"{name}: Kaggle did not take the submission ({said}). Try again later.")
        return ref

    def look(self, ref: int) -> Standing:
        """How a submission stands. Raises `KaggleError`."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest

        request = ApiGetSubmissionRequest()
        request.ref = ref
        with _contained(f"submission {ref}"), self._api.build_kaggle_client() as client:
            found = client.competitions.competition_api_client.get_submission(request)
        return Standing(
            ref,
            found.status.name,
            _score(found.public_score),
            _score(found.private_score),
            found.error_description or "",
        )

    def wait(self, ref: int, seconds: float, tell: Callable[[Standing], None], pause: float = 5.0) -> Standing:
        """Look, by its number, until Kaggle has scored a submission or the time is over. Raises `KaggleError`."""
        until = time.monotonic() + seconds
        while True:
            standing = self.look(ref)
            tell(standing)
            if standing.is_over or time.monotonic() + pause > until:
                return standing
            time.sleep(pause)
            pause = min(pause * 1.5, 60.0)


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
        raise KaggleError(_refused(what, answer.status_code, _said(answer, error))) from None


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
    if status == 429 or "quota" in said.lower() or "limit" in said.lower():
        return f"{what}: Kaggle's limit is reached ({said}). It counts by the day in UTC: try again tomorrow."
    if status >= 500:
        return f"{what}: Kaggle is out of order ({status}: {said}). Try again later."
    return f"{what}: Kaggle refuses ({status}: {said})."
