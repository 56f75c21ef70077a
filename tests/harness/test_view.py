"""`harness view` as a process: its address, and its end while a page is open."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.day_run import write_day_run

RUN = "20261130-080000_digits_0_view"


def test_ctrl_c_ends_it_quietly_while_pages_follow_a_run(tmp_path: Path) -> None:
    write_day_run(tmp_path / "runs" / RUN, 0.04, output_mb=0.1, has_code=False)
    harness = str(Path(sys.executable).parent / "harness")
    environment = {**os.environ, "HARNESS_HOME": str(tmp_path)}
    server = subprocess.Popen(
        [harness, "view", RUN],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        address = urlsplit(server.stdout.readline().split()[-1])
        assert address.path == f"/run/{RUN}" and parse_qs(address.query)["token"]
        first = http.client.HTTPConnection(address.netloc, timeout=30)
        first.request("GET", f"{address.path}?{address.query}")
        cookie = first.getresponse().headers["set-cookie"].split(";")[0]
        pages = [http.client.HTTPConnection(address.netloc, timeout=30) for _ in range(2)]
        for page, path in zip(pages, ("/live", f"/run/{RUN}/live"), strict=True):
            page.request("GET", path, headers={"Cookie": cookie})
            assert page.getresponse().status == 200
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=30)
        assert (said, server.returncode) == ("", 0)
    finally:
        server.kill()
