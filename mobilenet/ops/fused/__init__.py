"""TPU kernels for an expansion and the depthwise convolution behind it.

An expansion is six times as wide as its input. XLA writes it once and reads it four times in a
training step, and writes and reads its gradient three times. Here both exist a row of pixels at a
time, in the chip's own memory, and neither is stored: the backward kernel computes the expansion
again from its input.
"""
