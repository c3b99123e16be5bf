"""Which of the classes is in the image."""

BEST = "top1"  # the score that says which checkpoint is best
