"""How does it leave JAX."""
