"""Training: state, step and loop, and what they are made of."""
