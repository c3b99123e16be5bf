"""Downloads published files once, into a folder where they stay."""

import base64
import os
import pathlib
import re
from collections.abc import Iterator, Mapping

import pooch
import tqdm

from mobilenet.errors import UserError, os_errors_explained

_CHUNK_BYTES = 2**18


class DownloadError(UserError):
    """A file could not be downloaded, or not as its publisher describes it."""


def cache_directory() -> pathlib.Path:
    """Returns the folder of downloaded weights: MOBILENET_CACHE, or ~/.cache/mobilenet."""
    named = os.environ.get("MOBILENET_CACHE")
    return pathlib.Path(named or "~/.cache/mobilenet").expanduser()


def fetch(url: str, name: str, *, sha256: str | None, local_form: str) -> pathlib.Path:
    """Returns the path of a published file, which is downloaded if it is not in the cache.

    The file appears in the cache when it is complete and its hash is right, at once: what a killed
    process leaves has another name. Two processes may fetch one file at a time.

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
    # Slow to import, and of no use where the file is there.
    import requests

    def download(url: str, part: str, _: object) -> None:
        announced = requests.structures.CaseInsensitiveDict()
        label = url.rpartition("/")[2]
        # The total becomes the file's size; a bar without one is no bar to pooch.
        with tqdm.tqdm(desc=label, total=1, unit="B", unit_scale=True) as progress:
            pooch.HTTPDownloader(
                progressbar=progress,
                chunk_size=_CHUNK_BYTES,
                headers={"Accept-Encoding": "identity"},  # the hashes are those of the file
                # Called for redirects too.
                hooks={"response": lambda answer, **_: announced.update(answer.headers)},
            )(url, part, None)
        for algorithm, digits in _hashes(sha256, announced):
            found = pooch.file_hash(part, algorithm)
            if not found.startswith(digits):
                raise _WrongHash(
                    f"its {algorithm} begins with {found[: len(digits)]} and should with {digits}"
                )

    # It would advise users to write the file's hash into their code.
    pooch.get_logger().setLevel("WARNING")
    with os_errors_explained(f"write the cache of weights {path.parent} (MOBILENET_CACHE)"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # pooch knows whole hashes only, so `download` compares what there is of them.
            pooch.retrieve(url, None, path.name, path.parent, downloader=download)
        except (requests.RequestException, _WrongHash) as error:
            raise DownloadError(
                f"Cannot download {url} ({_cause(error)}): save it by other means as {path}, or "
                f"give a copy anywhere by {local_form}."
            ) from error
    return path


class _WrongHash(Exception):
    """The bytes are not those that were announced."""


def _hashes(sha256: str | None, headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields algorithms and leading digits: what we know, or what the answer's headers say."""
    # Hugging Face's hub names the sha256 of a large file so, in the answer that points to it.
    hub = headers.get("X-Linked-ETag", "").strip('"')
    if sha256:
        yield "sha256", sha256
    elif re.fullmatch(r"[0-9a-f]{64}", hub):
        yield "sha256", hub
    # Google's storage names the MD5 of a file so.
    if md5 := re.search(r"\bmd5=([^, ]+)", headers.get("x-goog-hash", "")):
        yield "md5", base64.b64decode(md5[1]).hex()


def _cause(error: BaseException) -> str:
    """Returns the words of the first of a chain of errors, which are the plainest."""
    while error.__context__:
        error = error.__context__
    return str(error).rstrip(".") or type(error).__name__
