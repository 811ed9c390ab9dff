"""Compares simplified raw drawings with Google's own, and measures the speed of simplifying on one core.

Run from the repository's root, with the folder that has raw/ (gzipped ndjson) and simplified/ (ndjson):

    python benchmarks/simplify.py ../shared/quickdraw [--recipes]

Drawings are matched by key_id. "Within 1 px" refers to the Hausdorff distance between the drawn lines of all strokes.
The speed is that of one thread by CPU time, from the raw drawings' bytes in memory and with the numbers parsed: the
best of some rounds. With `--recipes` (minutes) the slow implementation of the tests shows what other interpretations of
Google's description would give.
"""

import argparse
import gzip
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from machine import machine, say
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline.sources.scanner.faults import RAW
from pipeline.sources.scanner.other_strokes import scan_shape
from pipeline.sources.scanner.raw_strokes import make_scratch
from tests.sources.naive_simplify import Recipe, simplify

ROUNDS = 7
STEP = 0.25  # pixels between the points of a line whose distances are measured
Points = list[list[list[int]]]


def scale_float32(values: NDArray[np.float64], low: float, size: float) -> NDArray[np.float64]:
    return ((values.astype(np.float32) - np.float32(low)) * np.float32(255) / np.float32(size)).astype(np.float64)


RECIPES = {
    "as built": Recipe(),
    "chord length without the fused sum": Recipe(length=lambda dx, dy: math.sqrt(dx * dx + dy * dy)),
    "chord length by hypot": Recipe(length=math.hypot),
    "start + part * (end - start)": Recipe(between=lambda start, end, part: start + part * (end - start)),
    "values * (255 / size)": Recipe(scale=lambda values, low, size: (values - low) * (255.0 / size)),
    "values / size * 255": Recipe(scale=lambda values, low, size: (values - low) / size * 255.0),
    "scaled in float32": Recipe(scale=scale_float32),
    "halves rounded up": Recipe(round=lambda value: math.floor(value + 0.5)),
    "rounded down": Recipe(round=math.floor),
    "rounded before resampling": Recipe(scale=lambda values, low, size: np.rint((values - low) * 255.0 / size)),
    "distance to the segment": Recipe(to_segment=True),
}


@dataclass(frozen=True)
class Pair:
    """A drawing in both of Google's forms, raw and simplified."""

    raw: list[list[list[float]]]
    simplified: Points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds raw/*.ndjson.gz and simplified/*.ndjson")
    parser.add_argument("--recipes", action="store_true", help="also try other interpretations of the description")
    arguments = parser.parse_args()
    print(machine(["numba", "numpy"]))
    text, places, pairs = read_pairs(arguments.folder)
    seconds, drawings = scan_all(text, places)
    megabytes = sum(end - begin for begin, end in places.tolist()) / 1e6
    print(f"\n{len(places):,} raw drawings, {megabytes:.1f} MB: {megabytes / seconds:.0f} MB/s of CPU time on one core")
    print(f"\n{len(pairs):,} drawings in both forms{'identical':>29}{'within 1 px':>13}")
    print(share_line("pipeline.sources.scanner.raw_strokes", pairs, [drawings[place] for place in pairs]))
    for name, recipe in RECIPES.items() if arguments.recipes else ():
        say(name)
        print(share_line(name, pairs, [simplify([(s[0], s[1]) for s in pair.raw], recipe) for pair in pairs.values()]))


def read_pairs(folder: Path) -> tuple[bytes, NDArray[np.int64], dict[int, Pair]]:
    """All raw lines, the place of the drawing in each, and Google's simplified drawing by the line's number."""
    lines: list[bytes] = []
    pairs = {}
    for path in sorted((folder / "raw").glob("*.ndjson.gz")):
        googles = {}
        twin = folder / "simplified" / path.stem
        for line in twin.read_text().splitlines() if twin.exists() else ():
            record = json.loads(line)
            googles[record["key_id"]] = record["drawing"]
        for raw_line in gzip.decompress(path.read_bytes()).splitlines(keepends=True):
            record = json.loads(raw_line)
            if record["key_id"] in googles:
                pairs[len(lines)] = Pair(record["drawing"], googles[record["key_id"]])
            lines.append(raw_line)
    if not pairs:
        sys.exit(f"{folder}: expected raw/*.ndjson.gz and simplified/*.ndjson with key_ids in common")
    starts = np.cumsum([0, *map(len, lines)])[:-1].tolist()
    places = [
        (start + line.index(b"["), start + line.rindex(b"]") + 1) for start, line in zip(starts, lines, strict=True)
    ]
    return b"".join(lines), np.array(places), pairs


@numba.njit(nogil=True)
def scan_drawings(
    buf: Any, places: Any, x: Any, y: Any, stroke_end: Any, drawing_end: Any, size: Any, fault: Any, scratch: Any
) -> None:
    notes = np.zeros(1, np.int64)
    for k in range(len(places)):
        place = places[k, 0]
        if scan_shape(buf, place, place, x, y, stroke_end, size, fault, scratch, RAW, notes) < 0:
            return
        drawing_end[k] = size[0]


def scan_all(text: bytes, places: NDArray[np.int64]) -> tuple[float, list[Points]]:
    """The CPU seconds for simplifying all raw drawings, and the results."""
    buf = np.frombuffer(text, np.uint8)
    x, y = np.zeros(len(buf) // 2 + 1, np.uint8), np.zeros(len(buf) // 2 + 1, np.uint8)
    stroke_end, drawing_end = np.zeros(len(buf) // 9 + 1, np.int64), np.zeros(len(places), np.int64)
    fault, scratch = np.zeros(4, np.int64), make_scratch()
    seconds = math.inf
    for round_number in range(1 + ROUNDS):  # the first compiles
        size = np.zeros(2, np.int64)
        begin = time.thread_time()
        scan_drawings(buf, places, x, y, stroke_end, drawing_end, size, fault, scratch)
        if round_number > 0:
            seconds = min(seconds, time.thread_time() - begin)
        if fault[0] != 0:
            sys.exit(f"raw drawing {int(np.count_nonzero(drawing_end)) + 1} is rejected with error {fault.tolist()}")
    points = np.split(np.stack([x, y]), stroke_end[: drawing_end[-1]], axis=1)
    strokes = [part.tolist() for part in points[:-1]]
    ends = drawing_end.tolist()
    return seconds, [strokes[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def share_line(name: str, pairs: dict[int, Pair], found: list[Points]) -> str:
    """A row of the table: the share of results that equal Google's, and the share within 1 pixel."""
    distances = [hausdorff(pair.simplified, drawing) for pair, drawing in zip(pairs.values(), found, strict=True)]
    identical = sum(pair.simplified == drawing for pair, drawing in zip(pairs.values(), found, strict=True))
    near = sum(distance <= 1 for distance in distances)
    return f"{name:42}{identical / len(pairs):14.2%}{near / len(pairs):13.2%}"


def hausdorff(one: Points, other: Points) -> float:
    """The largest distance from a point on either drawing's lines to the nearest on the other's, in pixels."""
    if one == other:
        return 0.0
    return max(farthest(one, other), farthest(other, one))


def farthest(drawing: Points, other: Points) -> float:
    """The largest distance from points on the first drawing's lines, `STEP` apart, to the other's lines."""
    begin, end = segments(other)
    along = end - begin
    squared = np.maximum((along**2).sum(1), 1e-9)
    largest = 0.0
    for first, last in zip(*segments(drawing), strict=True):
        steps = 2 + int(np.hypot(*(last - first)) / STEP)
        places = first + np.linspace(0, 1, steps)[:, None, None] * (last - first)
        part = np.clip(((places - begin) * along).sum(2) / squared, 0, 1)
        gaps = np.hypot(*np.moveaxis(places - begin - part[..., None] * along, 2, 0))
        largest = max(largest, float(gaps.min(1).max()))
    return largest


def segments(drawing: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The beginnings and the ends of the segments of all strokes, (K, 2) each."""
    strokes = [np.array(stroke, np.float64).T for stroke in drawing]
    return np.concatenate([stroke[:-1] for stroke in strokes]), np.concatenate([stroke[1:] for stroke in strokes])


if __name__ == "__main__":
    main()
