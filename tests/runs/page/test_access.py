"""The pages are for the person who started them: no token, another host or another page gets nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.day_run import write_day_run
from tests.page_server import PageServer, serve

RUN = "20261130-080000_digits_0_tiny"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    home = tmp_path_factory.mktemp("home")
    write_day_run(home / "runs" / RUN, 0.04, output_mb=0.1)
    with serve(home) as server:
        yield server


def test_the_token_is_exchanged_for_a_cookie_that_no_script_and_no_other_site_gets(server: PageServer) -> None:
    answer = server.ask("GET", f"/run/{RUN}?token={server.access.token}", "", {})
    assert (answer.status, answer.headers["location"]) == (303, f"/run/{RUN}")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert server.access.token not in answer.headers["set-cookie"]


@pytest.mark.parametrize("path", ["/", f"/run/{RUN}", "/static/page.css", "/?token=guess", "/live"])
def test_without_token_or_cookie_nothing_is_shown(server: PageServer, path: str) -> None:
    answer = server.ask("GET", path, "", {"Cookie": f"{server.access.cookie}=guess"})
    assert answer.status == 403 and "digits" not in answer.text


def test_another_host_name_is_refused_even_with_the_cookie(server: PageServer) -> None:
    assert server.get("/", Host="evil.example").status == 421
    assert server.get("/", Host=f"evil.example:{server.access.port}").status == 421


@pytest.mark.parametrize("origin", ["", "http://evil.example", "null"])
def test_a_change_from_another_page_is_refused(server: PageServer, origin: str) -> None:
    headers = {"Cookie": f"{server.access.cookie}={server.access.session}"} | ({"Origin": origin} if origin else {})
    assert server.ask("POST", f"/run/{RUN}/ask", "action=stop", headers).status == 403


def test_every_answer_bounds_what_a_page_can_do(server: PageServer) -> None:
    for path in ("/", f"/run/{RUN}", f"/run/{RUN}/turn/1", "/static/page.css", "/run/none"):
        headers = server.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert (headers["referrer-policy"], headers["x-content-type-options"]) == ("no-referrer", "nosniff")


@pytest.mark.parametrize(
    "path",
    [
        "/run/..%2f..%2fetc",
        "/run/.hidden",
        f"/run/{RUN}/job/..%2f..%2fevents.jsonl",
        f"/run/{RUN}/job/..",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
    ],
)
def test_paths_stay_inside_the_runs(server: PageServer, path: str) -> None:
    assert server.get(path).status == 404
