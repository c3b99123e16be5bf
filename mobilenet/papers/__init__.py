"""What did the papers print, and ours beside it."""
