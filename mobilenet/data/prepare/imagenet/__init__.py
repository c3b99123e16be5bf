"""Turns ImageNet 2012, as people have it, into TFDS's `imagenet2012` without TensorFlow."""
