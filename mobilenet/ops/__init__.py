"""How is a tensor computed fast."""
