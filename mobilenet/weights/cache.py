"""Downloads published files once, into a folder where they stay."""

import base64
import contextlib
import hashlib
import http.client
import os
import pathlib
import re
import tempfile
import urllib.error
import urllib.request
from typing import Any

import tqdm

from mobilenet.errors import UserError, os_errors_explained

_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 2**18
# Hugging Face's hub names the sha256 of a large file so, in the answer that points to it.
_HUB_HASH = "X-Linked-ETag"
# Google's storage names the MD5 of a file so.
_STORAGE_HASH = "x-goog-hash"


class DownloadError(UserError):
    """A file could not be downloaded, or not as its publisher describes it."""


def cache_directory() -> pathlib.Path:
    """Returns the folder of downloaded weights: MOBILENET_CACHE, or ~/.cache/mobilenet."""
    named = os.environ.get("MOBILENET_CACHE")
    return pathlib.Path(named or "~/.cache/mobilenet").expanduser()


def fetch(url: str, name: str, *, sha256: str | None, local_form: str) -> pathlib.Path:
    """Returns the path of a published file, which is downloaded if it is not in the cache.

    The file appears in the cache when it is complete and its size and hash are right, at once: what
    a killed process leaves has another name. Two processes may fetch one file at a time.

    Args:
      url: where the publisher has it.
      name: its path in the cache, with slashes.
      sha256: the hash's leading hexadecimal digits, where the publisher gives them.
      local_form: how to name a copy on the command line, for messages.

    Raises:
      DownloadError: there is no network, or the file is not what it should be.
      UserError: the cache cannot be written.
    """
    path = cache_directory() / name
    if path.is_file():
        return path
    with os_errors_explained(f"write the cache of weights {path.parent} (MOBILENET_CACHE)"):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                try:
                    _download(url, file, sha256)
                except urllib.error.HTTPError as error:
                    error.close()
                    raise _failure(url, str(error), path, local_form) from error
                except urllib.error.URLError as error:
                    raise _failure(url, str(error.reason), path, local_form) from error
                except (_Wrong, TimeoutError, ConnectionError, http.client.HTTPException) as error:
                    cause = str(error) or type(error).__name__
                    raise _failure(url, cause, path, local_form) from error
            pathlib.Path(part).replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                pathlib.Path(part).unlink()
    return path


class _Wrong(Exception):
    """The bytes are not those that were announced."""


class _HashOfRedirect(urllib.request.HTTPRedirectHandler):
    """Keeps the hash that the hub gives only before it redirects."""

    sha256: str | None = None

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        self.sha256 = _sha256_of(headers) or self.sha256
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, file: Any, sha256: str | None) -> None:
    redirects = _HashOfRedirect()
    request = urllib.request.Request(url, headers={"User-Agent": "mobilenet"})
    with urllib.request.build_opener(redirects).open(request, timeout=_TIMEOUT_SECONDS) as answer:
        length = answer.headers.get("Content-Length")
        size = int(length) if length else None
        sha256 = sha256 or redirects.sha256 or _sha256_of(answer.headers)
        digests = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        done = 0
        name = url.rpartition("/")[2]
        with tqdm.tqdm(total=size, desc=name, unit="B", unit_scale=True) as progress:
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)
                for digest in digests:
                    digest.update(chunk)
                done += len(chunk)
                progress.update(len(chunk))
        if size is not None and done != size:
            raise _Wrong(f"{done:,} of {size:,} bytes came")
        md5 = _md5_of(answer.headers)
    found = digests[0].hexdigest()
    if sha256 and not found.startswith(sha256):
        raise _Wrong(f"its sha256 begins with {found[: len(sha256)]} and should with {sha256}")
    if md5 and digests[1].digest() != md5:
        raise _Wrong("its MD5 is not the publisher's")


def _sha256_of(headers: Any) -> str | None:
    value = (headers.get(_HUB_HASH) or "").strip('"')
    return value if re.fullmatch(r"[0-9a-f]{64}", value) else None


def _md5_of(headers: Any) -> bytes | None:
    for value in headers.get_all(_STORAGE_HASH) or ():
        for part in value.split(","):
            kind, _, text = part.strip().partition("=")
            if kind == "md5":
                return base64.b64decode(text)
    return None


def _failure(url: str, cause: str, path: pathlib.Path, local_form: str) -> DownloadError:
    return DownloadError(
        f"Cannot download {url} ({cause.rstrip('.')}): save it by other means as {path}, or give "
        f"a copy anywhere by {local_form}."
    )
