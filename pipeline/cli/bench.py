"""`sketchpipe bench`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.bench.measure import Speed

_STAGES = {
    "scan": "scan ndjson",
    "build": "build shards",
    "read": "read shards, rows permuted",
    "render": "render",
    "feed": "feed: read and render",
    "feed augmented": "feed, augmented",
}


def bench(
    shards: Annotated[
        Path | None, typer.Option(help="Folder of shards to measure with; synthetic doodles by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how many drawings a second this machine handles.

    Reads nothing, or the train split of --shards; writes to stdout how fast drawings are scanned, built, read, rendered
    and fed to training, and what that means for Google's 50 million. Works in a temporary folder (TMPDIR chooses where)
    of up to 0.5 GB, which it removes. Takes half a minute, the first time up to a minute, because kernels are compiled.
    Each figure is the best of several rounds after one that is not counted. Files come from the page cache: a slow disk
    is not measured.

    Example: sketchpipe bench
    """
    import dataclasses

    from model.kernels.choice import kernels_here
    from pipeline.bench.measure import measure_speed
    from pipeline.cli.options import show, show_json
    from pipeline.cli.progress import Bar
    from pipeline.interrupts import unwinding

    with unwinding(), Bar() as bar:  # so that its temporary folder is removed
        speed = measure_speed(shards, progress=bar)
    if as_json:
        show_json({**dataclasses.asdict(speed), "training_kernels": kernels_here()})
    else:
        show(*_lines_of(speed, shards))


def _lines_of(speed: "Speed", shards: Path | None) -> list[str]:
    from model.kernels.choice import kernels_here
    from pipeline.cli.options import duration, size
    from pipeline.wording import counted

    versions = ", ".join(f"{name} {number}" for name, number in speed.versions.items())
    points = f"{speed.points_per_drawing:.0f} points and {speed.bytes_per_line:.0f} bytes a drawing"
    if shards is None:
        source = f"synthetic doodles, {points}; for real drawings: --shards DIR"
    else:
        source = f"drawings of {shards}{' (synthetic)' if speed.synthetic else ''}, {points}"
    threads = sorted({rate.threads for rate in speed.rates})
    heads = "".join(f"{counted(count, 'thread'):>14}" for count in threads)
    lines = [
        f"{speed.cpu}, {counted(speed.cores, 'core')}; {versions}",
        source,
        "",
        f"{'drawings a second':<28}{heads}",
    ]
    for stage, label in _STAGES.items():
        rates = {rate.threads: rate for rate in speed.rates if rate.stage == stage}
        cells = "".join(
            f"{rates[count].drawings_per_second:>14,.0f}" if count in rates else " " * 14 for count in threads
        )
        read = [f"{size(rate.bytes_per_second)}/s" for rate in rates.values() if rate.bytes_per_second]
        lines.append(f"{label:<28}{cells}{'   ' * bool(read)}{', '.join(read)}")
    side = speed.image_size
    lines += [
        "",
        f"Google's 50 million drawings: shards of their 23 GB in {duration(speed.build_hours * 3600)}, "
        f"an epoch of augmented {side} x {side} images in {duration(speed.epoch_hours * 3600)},",
        "if the disk is as fast as the page cache; the network's time is not included",
        f"first calls, which compile the kernels and are not counted: {speed.first_calls_seconds:.1f} s; peak memory {size(speed.peak_memory_bytes)}",
        f"kernels of a training on this CPU: {kernels_here()}",
    ]
    return lines
