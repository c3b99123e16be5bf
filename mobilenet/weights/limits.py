"""How much a file of weights may unpack to."""

# Bytes of all tensors, unpacked. The largest published checkpoint, slim's V1 1.0 with its averages
# and the optimizer's slots, has 4 values for each of 4.2 million parameters, 68 MB; a file of
# kilobytes that claims a thousand times its size is an attack or an accident.
MOST_BYTES = 2**30


def check_bytes(count: int) -> None:
    """Raises ValueError if tensors of so many bytes are no weights of ours."""
    if count > MOST_BYTES:
        raise ValueError(f"{count:,} bytes unpacked, and more than {MOST_BYTES:,} are no weights")
