"""Damage to files: by chance, as of a bad disk, and of the kinds that find faults in readers."""

import random

# Numbers at which lengths, counts and offsets go wrong.
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**63 - 1)
_SIZES = (1, 2, 4, 8)
# Two mutations most often: more of them hide each other.
_MOST = 6


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Returns a file with one to six kinds of damage."""
    mutated = bytearray(data)
    for _ in range(min(1 + int(rng.expovariate(0.7)), _MOST)):
        if not mutated:
            break
        rng.choice(_MUTATIONS)(mutated, rng)
    return bytes(mutated)


def _flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def _number(data: bytearray, rng: random.Random) -> None:
    size = rng.choice(_SIZES)
    value = rng.choice(_EXTREMES) & (1 << 8 * size) - 1
    start = rng.randrange(len(data))
    data[start : start + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    start, stop = _range(data, rng)
    del data[start:stop]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start, stop = _range(data, rng)
    data[start:start] = data[start:stop] * rng.choice((1, 2, 50))


def _move(data: bytearray, rng: random.Random) -> None:
    start, stop = _range(data, rng)
    place = rng.randrange(len(data))
    data[place : place + stop - start] = data[start:stop]


def _clear(data: bytearray, rng: random.Random) -> None:
    start, stop = _range(data, rng)
    data[start:stop] = bytes([rng.choice((0, 0xFF))]) * (stop - start)


def _range(data: bytearray, rng: random.Random) -> tuple[int, int]:
    """A piece of the file, a short one most often."""
    start = rng.randrange(len(data))
    return start, min(start + 1 + int(rng.expovariate(1 / 16)), len(data))


_MUTATIONS = (_flip, _byte, _number, _number, _cut, _remove, _repeat, _move, _clear)
