"""Names of files: those to pass over, and long lists of them in a sentence."""

from collections.abc import Sequence

# Written by desktops, like every name that begins with a dot.
_SYSTEM_NAMES = ("__MACOSX", "Thumbs.db", "desktop.ini")
_SHOWN = 5


def is_litter(name: str) -> bool:
    """Whether the name of a file or folder is hidden or a desktop's."""
    return name.startswith(".") or name in _SYSTEM_NAMES


def some(names: Sequence[str]) -> str:
    """Returns the first names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
