"""Padding rules of one spatial axis: TensorFlow's SAME and the symmetric padding of PyTorch models.

Weights trained under one rule lose accuracy under the other: at stride 2 and an even size, SAME
pads one pixel less before than after, so the two sample grids lie one pixel apart.
"""

SAME = "same"
SYMMETRIC = "symmetric"
PADDINGS = (SAME, SYMMETRIC)


def explicit_padding(
    size: int, kernel_size: int, stride: int, dilation: int, padding: str
) -> tuple[int, int]:
    """Returns the zeros (before, after) that a convolution adds to an axis of `size` pixels.

    `same` is TensorFlow's rule: ceil(size / stride) outputs, and an odd number of zeros puts the
    extra one after (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).
    `symmetric` is dilation * (kernel_size - 1) // 2 on both sides, whatever the size and the stride
    (torchvision, ops/misc.py, ConvNormActivation).

    Raises:
        ValueError: if `padding` is neither, or a number is below 1.
    """
    _check(size, kernel_size, stride, dilation, padding)
    if padding == SYMMETRIC:
        side = dilation * (kernel_size - 1) // 2
        return side, side
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + _extent(kernel_size, dilation) - size, 0)
    return total // 2, total - total // 2


def output_size(size: int, kernel_size: int, stride: int, dilation: int, padding: str) -> int:
    """Returns the pixels that a convolution leaves of an axis of `size` pixels.

    Raises:
        ValueError: as `explicit_padding`, or if the padded axis is shorter than the kernel.
    """
    before, after = explicit_padding(size, kernel_size, stride, dilation, padding)
    room = before + size + after - _extent(kernel_size, dilation)
    if room < 0:
        raise ValueError(
            f"A kernel of {kernel_size} with dilation {dilation} does not fit on {size} pixels "
            f"with padding {padding!r}: use a larger input, a smaller kernel or padding 'same'."
        )
    return room // stride + 1


def _extent(kernel_size: int, dilation: int) -> int:
    return dilation * (kernel_size - 1) + 1


def _check(size: int, kernel_size: int, stride: int, dilation: int, padding: str) -> None:
    if padding not in PADDINGS:
        raise ValueError(f"padding is {padding!r}; it must be one of {', '.join(PADDINGS)}.")
    numbers = {"size": size, "kernel_size": kernel_size, "stride": stride, "dilation": dilation}
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} is {number}; a convolution needs at least 1.")
