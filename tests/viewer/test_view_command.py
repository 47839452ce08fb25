"""`lerf view` as it is started from a shell."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from page_support import wait_for

from lerf.apps.main import main

SUPPORT = Path(__file__).parents[1] / "support"


def start(run, *options):
    """The command in a process of its own that knows the encoders of the tests; and what it says on stdout."""
    found = [str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
    command = [sys.executable, "-m", "lerf", "view", str(run), "--device", "cpu", "--json", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )  # fmt: skip
    return process, json.loads(process.stdout.readline())


def test_the_address_is_printed_the_next_port_taken_and_ctrl_c_is_no_error(drawn_run):
    first, one = start(drawn_run, "--port", "0")
    second, two = start(drawn_run, "--port", str(one["port"]))
    try:
        assert re.fullmatch(rf"http://127.0.0.1:{one['port']}/[A-Za-z0-9_-]{{22}}", one["url"])
        assert two["port"] > one["port"]
        for facts in (one, two):
            body = urllib.request.urlopen(facts["url"]).read()
            assert b"<script" in body
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(facts["url"].rsplit("/", 1)[0])
    finally:
        for process in (first, second):
            process.send_signal(signal.SIGINT)
    messages = [process.communicate(timeout=60)[1] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert f"Port {one['port']} is taken." in messages[1]
    assert all("Stopped." in message for message in messages)


def test_bad_requests_are_one_sentence(drawn_run, tmp_path, capsys):
    for arguments, words in (
        ([str(tmp_path)], "is not a run folder"),
        ([str(drawn_run), "--host", "no such host"], "There is no address"),
        ([str(drawn_run), "--port", "70000"], "--port must be a whole number from 0 to 65535"),
        ([str(drawn_run), "--index", "require"], "lerf bake"),
    ):
        assert main(["view", *arguments, "--device", "cpu"]) == 2
        assert words in " ".join(capsys.readouterr().err.split())


def test_nothing_may_be_shared_from_a_page(drawn_run):
    from viser import _messages

    from lerf.viewer.scene_state import open_scene_state
    from lerf.viewer.server import Viewer

    served = Viewer(open_scene_state(drawn_run, device="cpu"), port=0)
    try:
        assert served.server.get_host() == "127.0.0.1"
        assert _messages.ShareUrlRequest not in served.server._websock_server._incoming_handlers
        wait_for(lambda: not served.scene.preparing, "the preparation")
    finally:
        served.close()
