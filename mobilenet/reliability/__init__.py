"""Trials of what must not go wrong: runs that are killed, and files that are damaged."""
