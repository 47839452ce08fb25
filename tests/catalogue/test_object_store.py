"""A catalogue in an object store, and runs that are read from one."""

import os
import socket
import subprocess
import sys
import urllib.request

import fsspec
import pytest
from page_support import wait_for

import lerf
from lerf.catalogue.catalogue import Catalogue
from lerf.catalogue.run_files import files_of, key_of
from lerf.catalogue.search import Searcher
from lerf.errors import CatalogueError

pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lerf[catalogue]'")


def answers(catalogue, encoder):
    return [scene.answer for scene in Searcher(catalogue, encoder).search("red").phrases[0].scenes]


def test_a_run_is_read_from_an_address(lifted_run, tmp_path):
    system = fsspec.filesystem("memory")
    system.put(str(lifted_run), "/runs/room", recursive=True)
    catalogue = Catalogue(tmp_path / "catalogue")
    assert catalogue.add("memory://runs/room/") == "added"
    assert catalogue.add("memory://runs/room") == "present"
    (entry,) = catalogue.entries()
    assert (entry.name, entry.state) == ("memory://runs/room", "elsewhere")
    assert entry.key == key_of(files_of(lifted_run), 1)
    model = lerf.load(lifted_run, device="cpu")
    assert answers(catalogue, model.encoder) == [model.query("red").queries[0]]
    with pytest.raises(CatalogueError, match="nosuch://runs/room cannot be read"):
        catalogue.add("nosuch://runs/room")


@pytest.fixture
def bucket(monkeypatch):
    """The address of an S3 server of this machine."""
    server = os.environ.get("LERF_TEST_MOTO")
    if not server:
        pytest.skip("needs a local S3 server: make test-s3")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    started = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": server}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    endpoint = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    def made():
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/rooms", method="PUT"), timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    wait_for(made, "the bucket")
    yield "s3://rooms/catalogue"
    started.terminate()
    started.wait()


def test_a_catalogue_in_a_bucket_answers_as_one_in_a_folder(lifted_run, bucket):
    catalogue = Catalogue(bucket)
    assert catalogue.add(lifted_run) == "added"
    assert Catalogue(bucket).add(lifted_run) == "present"
    model = lerf.load(lifted_run, device="cpu")
    assert answers(Catalogue(bucket), model.encoder) == [model.query("red").queries[0]]
    assert Catalogue(bucket).check().damaged == ()
    assert Catalogue(bucket).remove(lifted_run)
    assert Catalogue(bucket).entries() == []
    assert Catalogue(bucket).store.count("cells") == 0
