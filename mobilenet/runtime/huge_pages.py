"""Memory in huge pages, for programs that compute on CPU.

XLA allocates the memory of a step anew for each step, gigabytes of it, and in pages of 4 KiB the
kernel then spends a third of the step's time on handing them out. glibc asks for huge pages only
if its environment says so when the process starts.
"""

import os
import pathlib
import platform
import sys

_TUNABLES = "GLIBC_TUNABLES"
# glibc manual, section "Memory Allocation Tunables"; since glibc 2.35, older ones ignore it.
_HUGE_PAGES = "glibc.malloc.hugetlb"
_KERNEL_SETTING = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


def use_huge_pages() -> None:
    """Starts this program again, as it was called, with huge pages; does nothing if it has them.

    To be called before anything else, in particular before the imports that take seconds. Does
    nothing either where the kernel gives huge pages to all or to nobody, without glibc, or if
    GLIBC_TUNABLES says something about them: glibc.malloc.hugetlb=0 turns this off.
    """
    tunables = os.environ.get(_TUNABLES, "")
    if _HUGE_PAGES in tunables or platform.libc_ver()[0] != "glibc":
        return
    if not _KERNEL_SETTING.exists() or "[madvise]" not in _KERNEL_SETTING.read_text():
        return
    os.environ[_TUNABLES] = ":".join(filter(None, (tunables, f"{_HUGE_PAGES}=1")))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
