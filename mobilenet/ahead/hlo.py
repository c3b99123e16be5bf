"""Reads the text of a compiled XLA program: what it executes, what goes between devices, and HBM.

The text is that of `jax.stages.Compiled.as_text()`: computations, each a list of instructions
`name = shape operator(operands), attributes`, of which ENTRY is executed, and others as often as it
says.
"""

import collections
import dataclasses
import re
from collections.abc import Iterator, Mapping

_COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "all-to-all",
    "reduce-scatter",
    "collective-permute",
    "collective-broadcast",
    "ragged-all-to-all",
)
# XLA's primitive types (xla_data.proto) by their size in bytes; smaller ones are not used here.
_SIZES = {
    **dict.fromkeys(("pred", "s8", "u8", "f8e4m3fn", "f8e5m2"), 1),
    **dict.fromkeys(("s16", "u16", "f16", "bf16"), 2),
    **dict.fromkeys(("s32", "u32", "f32"), 4),
    **dict.fromkeys(("s64", "u64", "f64", "c64"), 8),
}
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) (?:\(.*)?\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")
_NAME = re.compile(r"%([\w.\-]+)")
_CALLED = re.compile(
    r"(?:to_apply|calls|body|condition|true_computation|false_computation)=%?([\w.\-]+)"
    r"|(?:branch_computations|called_computations)=\{([^}]*)\}"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
# These move nothing: they name what others have made, or run what is counted where it stands.
_NAMES = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all")
_CALLERS = ("while", "conditional", "call", "async-start")
_CONCATENATION_IN_PLACE = 'custom_call_target="ConcatBitcast"'


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation; sizes in bytes of each array, and whether it lies in HBM."""

    name: str
    operator: str
    results: tuple[tuple[int, bool], ...]
    operands: tuple[str, ...]
    called: tuple[str, ...]
    trips: int  # of a `while`; 1 where XLA does not know
    moves: bool  # whether it reads or writes anything itself


@dataclasses.dataclass(frozen=True)
class Collective:
    """All collective operations of a kind: how many a device executes, and what it puts in."""

    count: int
    bytes: int


class Program:
    """The computations of a program, by name."""

    def __init__(self, text: str):
        self._computations: dict[str, list[Instruction]] = {}
        self._entry = ""
        current: list[Instruction] = []
        for line in text.splitlines():
            if found := _COMPUTATION.match(line):
                current = self._computations[found[2]] = []
                self._entry = found[2] if found[1] else self._entry
            elif found := _INSTRUCTION.match(line):
                current.append(_instruction(*found.groups()))
        if not self._entry:
            raise ValueError("This is not the text of an XLA program: it has no ENTRY.")

    def collectives(self) -> Mapping[str, Collective]:
        """Returns the collectives that one device executes, by kind.

        A combined operation counts once, with the bytes of all its arrays. One that is split into
        start and done counts once. Both branches of a conditional count.
        """
        counts: collections.Counter[str] = collections.Counter()
        sizes: collections.Counter[str] = collections.Counter()
        for times, instruction, operands in self._executed():
            kind = instruction.operator.removesuffix("-start")
            if kind in _COLLECTIVES:
                counts[kind] += times
                sizes[kind] += times * sum(size for size, _ in operands)
        return {kind: Collective(counts[kind], sizes[kind]) for kind in sorted(counts)}

    def hbm_traffic(self) -> int:
        """Returns the bytes that one device reads from and writes to HBM.

        An instruction reads its operands and writes its results once each, as far as they are not
        in the chip's own memory, which XLA writes as memory space 1. What a fusion computes within
        itself never reaches memory.
        """
        total = 0
        for times, instruction, operands in self._executed():
            if not instruction.moves:
                continue
            results = list(instruction.results)
            if instruction.operator == "copy-start":
                # The result names the source as well.
                results = results[:1]
            elif instruction.operator == "slice-start":
                results = results[1:2]
            if instruction.operator in ("slice", "dynamic-slice", "slice-start"):
                # Only what comes out is read.
                operands = [(results[0][0], operands[0][1])]
            total += times * sum(size for size, in_hbm in (*operands, *results) if in_hbm)
        return total

    def _executed(self) -> Iterator[tuple[int, Instruction, list[tuple[int, bool]]]]:
        """Yields instructions with how often they run, and sizes and places of their operands."""
        todo = [(self._entry, 1)]
        while todo:
            name, times = todo.pop()
            results: dict[str, tuple[tuple[int, bool], ...]] = {}
            for instruction in self._computations[name]:
                results[instruction.name] = instruction.results
                operands = [x for name in instruction.operands for x in results.get(name, ())]
                yield times, instruction, operands
                if instruction.operator in _CALLERS:
                    todo += [(called, times * instruction.trips) for called in instruction.called]


def _instruction(name: str, shape: str, operator: str, rest: str) -> Instruction:
    operands, _, attributes = rest.partition(")")
    called = [
        part
        for one, several in _CALLED.findall(attributes)
        for part in ([one] if one else [x.strip().lstrip("%") for x in several.split(",")])
    ]
    trips = _TRIPS.search(attributes)
    return Instruction(
        name=name,
        operator=operator,
        results=_arrays(shape),
        operands=tuple(_NAME.findall(operands)),
        called=tuple(called),
        trips=int(trips[1]) if trips else 1,
        moves=operator not in (*_NAMES, *_CALLERS)
        and not operator.endswith("-done")
        and _CONCATENATION_IN_PLACE not in attributes,
    )


def _arrays(shape: str) -> tuple[tuple[int, bool], ...]:
    """Returns size and place of each array in a shape, which may be a tuple's."""
    arrays = []
    for kind, axes, layout in _ARRAY.findall(shape):
        if kind in _SIZES:
            size = _SIZES[kind]
            for axis in filter(None, axes.split(",")):
                size *= int(axis)
            arrays.append((size, "S(1)" not in layout))
    return tuple(arrays)
