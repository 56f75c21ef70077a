"""The server of the pages: which address shows what. Everything is read from run folders; nothing is written there."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from runs.control.ask import ControlRefused, ask
from runs.control.requests import Request as ControlRequest
from runs.journal import EVENTS, is_driven
from runs.page.facts.all_runs import COLUMNS, AllRuns
from runs.page.facts.attempt import attempt_facts
from runs.page.facts.compare import compare
from runs.page.facts.find import find_text
from runs.page.facts.kept import Standing, keep_facts, kept_facts, page_facts
from runs.page.facts.logs import PAGE_BYTES, LogPage, read_log
from runs.page.facts.run_view import RunView
from runs.page.facts.turn import text_of, turn_facts
from runs.page.facts.window import window_facts
from runs.page.facts.winning_code import winning_code
from runs.page.live import live_of_all, live_of_run
from runs.page.render import STATIC, make_environment
from runs.page.security import MAX_BODY, Access, Guard, is_same
from runs.page.sources import Sources
from runs.page.steer import request_of, steering
from runs.serialization import JournalError
from runs.views.format import printable_lines

OPEN_VIEWS = 3
"""Runs that are kept in memory."""
MOST_SAID = 50
"""Answers to forms that are kept, to be shown once more when a page is opened again."""
READING_SECONDS = 0.3
"""A page waits so long for a journal to be read; then what is kept of it is painted, and the rest when that is done."""


PAGE_SECONDS = 1.0
AGAIN = {"Refresh": "1"}
"""A page that takes longer than `PAGE_SECONDS`, because a journal is read, is asked for again after a second."""
NO_FORMS = {"actions": [], "note": "The forms come when the journal is read."}


class Pages:
    """The pages of all runs. The methods that take a request answer one address each."""

    def __init__(self, sources: Sources, access: Access) -> None:
        self.sources = sources
        self.access = access
        self.all_runs = AllRuns(sources.runs, sources.grades)
        self.templates = make_environment()
        self.is_over: Callable[[], bool] = lambda: False
        """Whether the server ends; who runs it sets this, and pages that follow a run are let go."""
        # In memory: reading a file takes turns with the thread that reads a journal.
        self._files = {path.relative_to(STATIC).as_posix(): path.read_bytes() for path in STATIC.rglob("*.*")}
        self._views: OrderedDict[str, RunView] = OrderedDict()
        self._rendered: dict[str, tuple[Hashable, Markup]] = {}
        self._readers: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._said: OrderedDict[str, str] = OrderedDict()

    # ------------------------------------------------------------------------------------------------- runs in memory

    def folder(self, name: str) -> Path:
        """The folder of a run. Raises `HTTPException`."""
        folder = self.sources.others.get(name) or self.sources.runs / name
        if name.startswith(".") or "/" in name or not (folder / EVENTS).is_file():
            raise HTTPException(404, f"There is no run {name}.")
        return folder

    def view(self, name: str, seconds: float | None = None) -> RunView | None:
        """The view of a run, up to date; None if its journal was not read within `seconds`."""
        folder = self.folder(name)
        with self._lock:
            view = self._views.get(name) or RunView(folder)
            self._views[name] = view
            self._views.move_to_end(name)
            while len(self._views) > OPEN_VIEWS:
                self._rendered.pop(self._views.popitem(last=False)[0], None)
            reader = self._readers.get(name)
            if reader is None or not reader.is_alive():
                reader = threading.Thread(target=_read, args=(view,), name=f"read {name}", daemon=True)
                self._readers[name] = reader
                reader.start()
        reader.join(seconds)
        if reader.is_alive():
            return None
        if not view.journal.count and not view.journal.damage:
            view.refresh()  # raises what is wrong
        return view

    def ready(self, name: str, seconds: float | None = None) -> RunView:
        """The view of a run, up to date, however long that takes; a browser that is to wait no longer than `seconds`
        asks again."""
        view = self.view(name, seconds)
        if view is None:
            raise HTTPException(503, f"The journal of {name} is being read. This page follows by itself.", AGAIN)
        return view

    # ------------------------------------------------------------------------------------------------------ rendering

    def render(self, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
        """A page from a template."""
        text = self.templates.get_template(template).render(csrf=self.access.csrf, **facts)
        return HTMLResponse(text.encode("utf-8", "replace"), status)

    def runs(self, request: Request) -> Response:
        return self.render("runs.html", rows=self.all_runs.rows(), columns=COLUMNS, sweeps=self.sources.sweeps())

    def sweep(self, request: Request) -> Response:
        facts = self.sources.sweep(request.path_params["sweep"])
        if facts is None:
            raise HTTPException(404, "There is no sweep of this name.")
        return self.render("sweep.html", sweep=facts, known=set(self.all_runs.names()))

    def run_rows(self, request: Request) -> Response:
        return self.render("run_rows.html", rows=self.all_runs.rows())

    def run(self, request: Request) -> Response:
        name = request.path_params["run"]
        folder = self.folder(name)
        kept = None if self._is_read(name) else kept_facts(folder, self._standing(name, folder))
        view = None if kept and kept.is_current else self.view(name, READING_SECONDS)
        is_reading = view is None and not (kept and kept.is_current)
        if view is None and kept:
            sections = self._fill(name, kept.facts if kept.is_current else {**kept.facts, "steering": NO_FORMS})
        else:
            sections = self._sections(name, view) if view else Markup()
        row = self.all_runs.preview(folder) if is_reading and not kept else None
        said = self._said.get(request.query_params.get("said", ""), "")
        figures_of = kept.facts["head"]["last"] if kept else row["last"] if row else ""
        return self.render(
            "run.html", run_id=name, sections=sections, row=row, is_reading=is_reading, figures_of=figures_of, said=said
        )

    def _is_read(self, name: str) -> bool:
        reader = self._readers.get(name)
        return name in self._views and reader is not None and not reader.is_alive()

    def sections(self, request: Request) -> Response:
        name = request.path_params["run"]
        view = self.view(name, 5.0)
        if view is None:
            return HTMLResponse('<p id="reading"></p>')
        return HTMLResponse(self._sections(name, view).encode("utf-8", "replace"))

    def _sections(self, name: str, view: RunView) -> Markup:
        """All sections of the page of a run; made once as long as nothing changes."""
        standing = self._standing(name, view.folder)
        key = (view.journal.count, view.journal.damage, str(standing))
        known = self._rendered.get(name)
        if known is None or known[0] != key:
            facts = page_facts(view, standing)
            if known is None or not standing.is_live:
                keep_facts(view, standing, facts)
            known = self._rendered[name] = (key, self._fill(name, facts))
        return known[1]

    def _fill(self, name: str, facts: dict[str, Any]) -> Markup:
        template = self.templates.get_template("sections.html")
        return Markup(template.render(run_id=name, facts=facts, is_file=False, csrf=self.access.csrf))

    def _standing(self, name: str, folder: Path) -> Standing:
        return Standing(is_driven(folder), self._is_graded(name), self.all_runs.grade(name))

    def _steering(self, name: str, view: RunView) -> dict[str, Any]:
        with view.lock:
            return steering(view.state, is_live=is_driven(view.folder), is_graded=self._is_graded(name))

    def _is_graded(self, name: str) -> bool:
        return any((self.sources.grades / f"{name}{kind}").exists() for kind in (".json", ".kaggle.json"))

    async def ask(self, request: Request) -> Response:
        """Ask a run for something, and show what became of it on its page."""
        name, body = request.path_params["run"], b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY:
                raise HTTPException(413, "That is too long.")
        wanted, token = request_of(body)
        if not is_same(token, self.access.csrf):
            raise HTTPException(403, "This form is from another session: open the page again.")
        said = await run_in_threadpool(self._ask, self.folder(name), name, wanted)
        key = secrets.token_urlsafe(8)
        self._said[key] = said
        while len(self._said) > MOST_SAID:
            self._said.popitem(last=False)
        return RedirectResponse(f"/run/{name}?said={key}", 303)

    def _ask(self, folder: Path, name: str, wanted: ControlRequest | str) -> str:
        if isinstance(wanted, str):
            return f"Not done: {wanted}."
        try:
            return f"Done: {ask(folder, wanted, is_graded=self._is_graded(name))}."
        except (ControlRefused, JournalError) as error:
            return f"Not done: {error}."

    def turns(self, request: Request) -> Response:
        name = request.path_params["run"]
        number = int(request.path_params.get("turn", 0))
        view = self.ready(name, None if request.query_params.get("part") else PAGE_SECONDS)
        turn = turn_facts(view, number) if number else None
        if request.query_params.get("part"):
            return self.render("turn.html", run_id=name, turn=turn, count=view.turns)
        attempts = [(attempt.number, attempt.move) for attempt in view.state.attempts]
        return self.render("turns.html", run_id=name, turn=turn, count=view.turns, attempts=attempts)

    def rows(self, request: Request) -> Response:
        view = self.ready(request.path_params["run"])
        return Response(view.rows_json().encode("utf-8", "replace"), media_type="application/json")

    def window(self, request: Request) -> Response:
        name, number = request.path_params["run"], int(request.path_params["turn"])
        window = window_facts(self.ready(name, PAGE_SECONDS), number, self.sources.window_of)
        return self.render("window.html", run_id=name, number=number, window=window)

    def attempt(self, request: Request) -> Response:
        name = request.path_params["run"]
        view = self.ready(name, PAGE_SECONDS)
        facts = attempt_facts(view, int(request.path_params["attempt"]))
        can_steer = "steer" in self._steering(name, view)["actions"]
        can_fork = not self._is_graded(name) and not is_driven(view.folder)
        return self.render("attempt.html", run_id=name, a=facts, can_steer=can_steer, can_fork=can_fork)

    def code(self, request: Request) -> Response:
        name = request.path_params["run"]
        return self.render("code.html", run_id=name, members=winning_code(self.ready(name, PAGE_SECONDS)))

    def search(self, request: Request) -> Response:
        words = request.query_params.get("q", "").strip()[:200]
        if not words:
            return JSONResponse({"hits": [], "more": False, "unread": 0})
        return JSONResponse(find_text(self.ready(request.path_params["run"]), words))

    def event(self, request: Request) -> Response:
        name, seq = request.path_params["run"], int(request.path_params["seq"])
        field = request.query_params.get("field", "")[:200]
        content = text_of(self.ready(name, PAGE_SECONDS).journal.read(seq), field).encode("utf-8", "replace")
        first = min(max(0, _number(request, "from")), len(content))
        part = content[first : first + PAGE_BYTES]
        page = LogPage(part.decode("utf-8", "replace"), first, first + len(part), len(content))
        return self._text(name, f"Event {seq}: {field}", page, f"field={field}&")

    def job(self, request: Request) -> Response:
        name, job = request.path_params["run"], request.path_params["job"]
        page = read_log(self.folder(name), job, max(0, _number(request, "from")))
        if page is None:
            raise HTTPException(404, f"There is no output of job {job}.")
        return self._text(name, f"Output of job {job}", page, "")

    def _text(self, name: str, title: str, page: LogPage, query: str) -> Response:
        return self.render(
            "text.html", run_id=name, title=title, text=printable_lines(page.text), first=page.first, last=page.last,
            size=page.size, query=query, before=max(0, page.first - PAGE_BYTES), end=max(0, page.size - PAGE_BYTES),
        )  # fmt: skip

    def compare(self, request: Request) -> Response:
        names = request.query_params.getlist("run")
        if len(names) != 2:
            raise HTTPException(400, "Choose two runs to compare.")
        return self.render("compare.html", **compare(*(self.ready(name, PAGE_SECONDS) for name in names)))

    async def live_run(self, request: Request) -> Response:
        name = request.path_params["run"]
        rows = request.headers.get("last-event-id") or request.query_params.get("rows")
        first = int(rows) if rows and rows.isdigit() else None
        return live_of_run(self.folder(name), lambda: self.ready(name), first, self.is_over)

    async def live_all(self, request: Request) -> Response:
        return live_of_all(self.all_runs.stamp, self.is_over)

    async def live_sweep(self, request: Request) -> Response:
        name = request.path_params["sweep"]
        return live_of_all(lambda: self.sources.sweep(name), self.is_over)

    async def static(self, request: Request) -> Response:
        name = request.path_params["path"]
        if name not in self._files:
            raise HTTPException(404, f"There is no file {name}.")
        return Response(self._files[name], media_type=guess_type(name)[0])

    def failed(self, request: Request, error: Exception) -> Response:
        """The page of something that cannot be shown."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        text = error.detail if isinstance(error, HTTPException) else str(error)
        title = "Reading" if status == 503 else "This cannot be shown"
        page = self.render("message.html", status, title=title, text=text, back="/")
        page.headers.update((error.headers if isinstance(error, HTTPException) else None) or {})
        return page


def _number(request: Request, name: str) -> int:
    value = request.query_params.get(name, "0")
    return int(value) if value.isdigit() and len(value) < 16 else 0


def _read(view: RunView) -> None:
    try:
        view.refresh()
    except JournalError:
        return  # the page reads again, and shows it


def make_app(sources: Sources, access: Access) -> Starlette:
    """The whole server as an ASGI application."""
    pages = Pages(sources, access)
    run = "/run/{run}"
    routes = [
        Route("/", pages.runs),
        Route("/runs/rows", pages.run_rows),
        Route("/live", pages.live_all),
        Route("/compare", pages.compare),
        Route("/sweep/{sweep}", pages.sweep),
        Route("/sweep/{sweep}/live", pages.live_sweep),
        Route(run, pages.run),
        Route(f"{run}/sections", pages.sections),
        Route(f"{run}/live", pages.live_run),
        Route(f"{run}/ask", pages.ask, methods=["POST"]),
        Route(f"{run}/turns", pages.turns),
        Route(f"{run}/turn/{{turn:int}}", pages.turns),
        Route(f"{run}/turn/{{turn:int}}/window", pages.window),
        Route(f"{run}/rows", pages.rows),
        Route(f"{run}/search", pages.search),
        Route(f"{run}/code", pages.code),
        Route(f"{run}/event/{{seq:int}}", pages.event),
        Route(f"{run}/job/{{job}}", pages.job),
        Route(f"{run}/attempt/{{attempt:int}}", pages.attempt),
        Route("/favicon.ico", lambda _: RedirectResponse("/static/icon.svg")),
        Route("/static/{path:path}", pages.static),
    ]
    handlers: Any = {HTTPException: pages.failed, JournalError: pages.failed}
    app = Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(Guard, access=access)])
    app.state.pages = pages
    return app
