"""Downloads: complete and right, or nothing; HTTP is served by this machine."""

import hashlib
import http.server
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest

from mobilenet.errors import UserError
from mobilenet.weights import cache
from tests.helpers.waiting import wait_until

_CONTENT = bytes(range(256)) * 4096  # 1 MiB
_HASH = hashlib.sha256(_CONTENT).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/absent":
            self.send_error(404)
            return
        if self.path.startswith("/hub"):
            self.send_response(302)
            self.send_header("Location", "/file")
            self.send_header("X-Linked-ETag", f'"{_HASH if self.path == "/hub" else "0" * 64}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(_CONTENT)))
        if self.path == "/stored":
            self.send_header("x-goog-hash", "crc32c=AAAAAA==,md5=AAAAAAAAAAAAAAAAAAAAAA==")
        self.end_headers()
        if self.path == "/endless":
            self.wfile.write(_CONTENT[: len(_CONTENT) // 2])
            self.server.stop.wait()
            return
        self.wfile.write(_CONTENT if self.path != "/cut" else _CONTENT[:-1])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        running.asked, running.stop = [], threading.Event()
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.stop.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


def _fetch(url, sha256=None):
    return cache.fetch(url, "source/name.pth", sha256=sha256, local_form="--weights=source:FILE")


def _files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("page", "sha256"), [("file", None), ("file", _HASH), ("file", _HASH[:8]), ("hub", None)]
)
def test_a_file_is_downloaded_once_with_a_progress_bar(server, folder, capsys, page, sha256):
    server.asked.clear()
    path = _fetch(f"{server.url}/{page}", sha256)
    assert path == folder / "source" / "name.pth"
    assert path.read_bytes() == _CONTENT
    error = capsys.readouterr().err
    assert f"{page}: 100%" in error
    assert "known_hash" not in error
    assert _fetch(f"{server.url}/{page}", sha256) == path
    assert server.asked == [f"/{page}", "/file"][page == "file" :]
    assert _files(folder) == ["name.pth"]


def test_the_cache_is_in_the_home_folder_without_the_variable(monkeypatch):
    monkeypatch.delenv("MOBILENET_CACHE")
    assert cache.cache_directory() == pathlib.Path.home() / ".cache" / "mobilenet"


@pytest.mark.parametrize(
    ("page", "sha256", "cause"),
    [
        ("file", "0" * 8, f"its sha256 begins with {_HASH[:8]} and should with 00000000"),
        ("hub_other", None, "its sha256 begins with"),
        ("stored", None, "its md5 begins with"),
        ("absent", None, "404 Client Error"),
        ("cut", None, "1 more expected"),
    ],
)
def test_a_wrong_file_is_not_kept(server, folder, page, sha256, cause):
    with pytest.raises(UserError, match=rf"Cannot download .*/{page} \(.*{cause}"):
        _fetch(f"{server.url}/{page}", sha256)
    assert _files(folder) == []


def test_without_a_network_the_sentence_says_what_to_do(folder):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(UserError) as caught:
            _fetch(url)
    path = folder / "source" / "name.pth"
    assert str(caught.value) == (
        f"Cannot download {url} ([Errno 111] Connection refused): save it by other means as "
        f"{path}, or give a copy anywhere by --weights=source:FILE."
    )
    assert _files(folder) == []


def test_a_killed_download_leaves_no_file_of_the_name(server, folder):
    program = (
        "from mobilenet.weights.cache import fetch\n"
        f"fetch('{server.url}/endless', 'source/name.pth', sha256=None, local_form='x')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=pathlib.Path(__file__).parents[2]
    )
    try:
        wait_until(lambda: any(p.stat().st_size for p in folder.rglob("*") if p.is_file()), process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder / "source" / "name.pth").exists()
    assert _fetch(f"{server.url}/file").read_bytes() == _CONTENT


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("MOBILENET_CACHE", str(blocked))
    with pytest.raises(UserError, match=r"Cannot write the cache of weights .*MOBILENET_CACHE"):
        _fetch("http://127.0.0.1:1/file")
