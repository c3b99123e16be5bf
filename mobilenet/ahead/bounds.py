"""What compiled steps cost, and how fast a chip could run them at best."""

from collections.abc import Mapping
from typing import Any

from mobilenet.ahead.chips import Chip
from mobilenet.ahead.compile import StepCost
from mobilenet.ahead.topology import Slice


def make_report(chips: Slice, costs: Mapping[str, StepCost]) -> dict[str, Any]:
    """Returns all figures as plain data; those of a step are of one chip."""
    chip = chips.chip
    report: dict[str, Any] = {
        "topology": chips.name,
        "chips": len(chips.devices),
        "chip": {
            "hbm_bytes": chip.hbm,
            "hbm_bytes_per_second": chip.bandwidth,
            "peak_flops_per_second": chip.peak,
            "source": chip.source,
        },
        "steps": {step: _of_step(cost, chip) for step, cost in costs.items()},
    }
    if "flax" in costs and "train" in costs:
        ours, plain = costs["train"], costs["flax"]
        report["train_over_flax"] = {
            name: getattr(ours, name) / getattr(plain, name)
            for name in ("flops", "bytes_accessed", "hbm_traffic")
        }
    return report


def bound(cost: StepCost, chip: Chip) -> dict[str, Any]:
    """Returns the images/s that a chip cannot exceed with this program, and what limits it.

    The program moves its bytes no faster than the memory does, and multiplies no faster than the
    matrix units do. No real chip reaches both, and this says nothing about how close one comes.
    """
    by_memory = cost.images * chip.bandwidth / max(cost.hbm_traffic, 1)
    by_arithmetic = cost.images * chip.peak / max(cost.flops, 1)
    return {
        "images_per_second": min(by_memory, by_arithmetic),
        "by": "memory" if by_memory < by_arithmetic else "arithmetic",
        "memory": by_memory,
        "arithmetic": by_arithmetic,
    }


def _of_step(cost: StepCost, chip: Chip) -> dict[str, Any]:
    return {
        "images": cost.images,
        "compile_seconds": round(cost.compile_seconds, 1),
        "hbm": {
            "arguments": cost.arguments,
            "temporaries": cost.temporaries,
            "code": cost.code,
            "total": cost.total,
            "fits": cost.total <= chip.hbm,
        },
        "flops": cost.flops,
        "bytes_accessed": cost.bytes_accessed,
        "hbm_traffic": cost.hbm_traffic,
        "collectives": {
            kind: {"count": found.count, "bytes": found.bytes}
            for kind, found in cost.collectives.items()
        },
        "bound": bound(cost, chip),
    }


def format_report(report: Mapping[str, Any]) -> str:
    """Returns the report as text, in units for people."""
    lines = [f"{report['topology']}, {report['chips']} chips; per chip and step:"]
    for name, step in report["steps"].items():
        hbm, limit, images = step["hbm"], step["bound"], step["images"]
        lines += [
            f"{name}: {images} images, compiled in {step['compile_seconds']:.0f} s",
            f"  HBM needed      {hbm['total'] / 1e9:8.3f} GB  (arguments "
            f"{hbm['arguments'] / 1e9:.3f}, temporaries {hbm['temporaries'] / 1e9:.3f}; "
            f"{'fits' if hbm['fits'] else 'DOES NOT FIT'})",
            f"  arithmetic      {step['flops'] / 1e9:8.1f} GFLOP",
            f"  bytes accessed  {step['bytes_accessed'] / 1e9:8.3f} GB  by XLA's count, "
            f"{step['bytes_accessed'] / images / 1e6:.1f} MB an image",
            f"  HBM traffic     {step['hbm_traffic'] / 1e9:8.3f} GB  "
            f"{step['hbm_traffic'] / images / 1e6:.1f} MB an image",
        ]
        lines += [
            f"  {kind:<16}{found['count']:8}     {found['bytes'] / 1e6:.2f} MB"
            for kind, found in step["collectives"].items()
        ]
        lines.append(
            f"  at most         {limit['images_per_second']:8,.0f} images/s, by {limit['by']} "
            f"({report['chip']['source']})"
        )
    for name, ratio in report.get("train_over_flax", {}).items():
        lines.append(f"train over flax, {name.replace('_', ' ')}: {ratio:.3f}")
    return "\n".join(lines)
