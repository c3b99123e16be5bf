"""How good is it: a whole split, every image once."""
