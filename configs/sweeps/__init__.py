"""Rows of overrides for scripts/sweep.py: `get_rows(base)` of each file works on any base."""
