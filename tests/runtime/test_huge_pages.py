"""A program that starts itself again with huge pages."""

import os
import pathlib
import subprocess
import sys

import pytest

_PROGRAM = """
import os, sys
from mobilenet.runtime.huge_pages import use_huge_pages
print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), "jax" in sys.modules, sys.argv[1:], flush=True)
use_huge_pages()
print("went on")
"""
_SETTING = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
_NEEDED = pytest.mark.skipif(
    not _SETTING.exists() or "[madvise]" not in _SETTING.read_text(),
    reason="this kernel does not give huge pages to those who ask",
)


def _run(*options, tunables=None):
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    if tunables is not None:
        environment["GLIBC_TUNABLES"] = tunables
    command = [sys.executable, *options, "-c", _PROGRAM, "--a b", "c"]
    root = pathlib.Path(__file__).parents[2]
    result = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@_NEEDED
def test_it_starts_again_once_as_it_was_called():
    first, second, end = _run("-X", "faulthandler")
    pid = first.split()[0]
    assert first == f"{pid} None False ['--a b', 'c']"
    assert second == f"{pid} glibc.malloc.hugetlb=1 False ['--a b', 'c']"
    assert end == "went on"


@_NEEDED
def test_other_tunables_are_kept():
    _, second, _ = _run(tunables="glibc.malloc.arena_max=4")
    assert "glibc.malloc.arena_max=4:glibc.malloc.hugetlb=1" in second


def test_a_user_who_said_no_is_left_alone():
    first, end = _run(tunables="glibc.malloc.hugetlb=0")
    assert "hugetlb=0" in first
    assert end == "went on"
