"""Which of the classes is in the image."""
