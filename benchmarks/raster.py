"""The renderer against OpenCV on one core, in speed and in likeness to Cairo's images of real drawings.

Run from the repository's root, with the reference images of ../shared/reference beside it or their path given:

    python benchmarks/raster.py [cairo64.npz]

Each peer draws into an array that exists already, from points in the form it likes best, prepared before the clock
starts. Rounds alternate between the peers; the table shows the best round of each.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline.raster import PALETTE, render_batch

REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "cairo64.npz"
ROUNDS = 15
SHIFT = 8  # bits of OpenCV's fixed point below the pixel
COLOURS = [tuple(int(value) for value in colour) for colour in PALETTE]

Image = NDArray[np.uint8]
Peer = Callable[[Image], object]


def main() -> None:
    cv2.setNumThreads(1)
    with np.load(sys.argv[1] if len(sys.argv) > 1 else REFERENCE) as archive:
        reference = {name: archive[name] for name in archive.files}
    total = len(reference["drawing_end"])
    compared = ~has_dots(reference)

    print(f"{platform.processor() or platform.machine()} {cpu_model()}, {os.cpu_count()} cores; Python", end=" ")
    print(f"{platform.python_version()}, numba {numba.__version__}, numpy {np.__version__}, OpenCV {cv2.__version__}")
    print(f"likeness over {compared.sum()} of {total} drawings: those without a stroke that stays in one place")
    cold, cached = first_calls()
    print(f"first call {cold:.1f} s compiling, {cached:.2f} s from the cache\n")

    print(f"{'':34}{'images/s':>10}{'x OpenCV':>10}{'PSNR dB':>10}{'5th %':>8}")
    for count in (256, 1024):
        likeness = {name: psnr(peer, reference, compared) for name, peer in peers(reference, total).items()}
        seconds = best_of(peers(reference, count), count)
        for name, best in seconds.items():
            ratio = seconds["OpenCV, antialiased at 64"] / best
            overall, fifth = likeness[name]
            print(f"{f'{name}, {count}':34}{count / best:10,.0f}{ratio:10.2f}{overall:10.2f}{fifth:8.2f}")
    one, two = threads(reference)
    print(f"\nsketchpipe, batches of 256: one thread {one:,.0f} images/s, two threads {two:,.0f} ({two / one:.2f}x)")


def peers(reference: dict[str, NDArray[Any]], count: int) -> dict[str, Peer]:
    """What is compared, each over the first `count` drawings."""
    drawing_end = reference["drawing_end"][:count]
    stroke_end = reference["stroke_end"][: drawing_end[-1]]
    x, y = reference["x"][: stroke_end[-1]], reference["y"][: stroke_end[-1]]
    ends = stroke_end.tolist()
    points = np.stack([x, y], 1).astype(np.int32)
    # At 64 pixels OpenCV's pixel centres are whole numbers, a canvas point p lies at p / 4 - 1/2.
    straight = split_drawings(points * (1 << SHIFT) // 4 - (1 << SHIFT) // 2, ends, drawing_end.tolist())
    whole = split_drawings(points, ends, drawing_end.tolist())
    canvas = np.empty((256, 256, 3), np.uint8)

    def ours(out: Image) -> None:
        render_batch(x, y, stroke_end, drawing_end, out=out)

    def opencv_at_64(out: Image) -> None:
        out[:] = 0
        for image, strokes in zip(out, straight, strict=True):
            for s, stroke in enumerate(strokes):
                cv2.polylines(image, [stroke], False, COLOURS[s % 10], 1, cv2.LINE_AA, SHIFT)

    def opencv_at_256(out: Image) -> None:
        for image, strokes in zip(out, whole, strict=True):
            canvas[:] = 0
            for s, stroke in enumerate(strokes):
                cv2.polylines(canvas, [stroke], False, COLOURS[s % 10], 5, cv2.LINE_AA)
            cv2.resize(canvas, (64, 64), image, interpolation=cv2.INTER_AREA)

    return {
        "sketchpipe": ours,
        "OpenCV, antialiased at 64": opencv_at_64,
        "OpenCV at 256, area-resized": opencv_at_256,
    }


def split_drawings(points: NDArray[np.int32], ends: list[int], drawing_end: list[int]) -> list[list[NDArray[np.int32]]]:
    strokes = np.split(points[: ends[-1]], ends[:-1])
    return [strokes[a:b] for a, b in zip([0, *drawing_end[:-1]], drawing_end, strict=True)]


def has_dots(reference: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Which drawings hold a stroke whose points are all equal: Cairo draws nothing there."""
    points = np.stack([reference["x"], reference["y"]], 1).astype(np.int32)
    drawings = split_drawings(points, reference["stroke_end"].tolist(), reference["drawing_end"].tolist())
    return np.array([any((stroke == stroke[0]).all() for stroke in strokes) for strokes in drawings])


def psnr(peer: Peer, reference: dict[str, NDArray[Any]], compared: NDArray[np.bool_]) -> tuple[float, float]:
    """Over all pixels, and the 5th percentile of the images' own, in dB."""
    images = np.empty_like(reference["images"])
    peer(images)
    squares = ((images.astype(np.float32) - reference["images"]) ** 2)[compared].mean((1, 2, 3), dtype=np.float64)
    decibels = 10 * np.log10(255**2 / np.maximum(squares, 1e-9))
    return float(10 * np.log10(255**2 / squares.mean())), float(np.percentile(decibels, 5))


def best_of(compared: dict[str, Peer], count: int) -> dict[str, float]:
    """The best seconds of each peer for `count` images, over rounds that alternate between them."""
    out = np.empty((count, 64, 64, 3), np.uint8)
    best = dict.fromkeys(compared, float("inf"))
    for _ in range(ROUNDS):
        for name, peer in compared.items():
            start = time.perf_counter()
            peer(out)
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def threads(reference: dict[str, NDArray[Any]]) -> tuple[float, float]:
    """Images a second of one and of two threads, 16 batches of 256 each round."""
    batches, count = 16, 256
    ours = peers(reference, count)["sketchpipe"]
    outs = [np.empty((count, 64, 64, 3), np.uint8) for _ in range(batches)]
    best = {1: float("inf"), 2: float("inf")}
    for _ in range(ROUNDS):
        for workers in best:
            with ThreadPoolExecutor(workers) as pool:
                start = time.perf_counter()
                list(pool.map(ours, outs))
                best[workers] = min(best[workers], time.perf_counter() - start)
    return batches * count / best[1], batches * count / best[2]


def first_calls() -> tuple[float, float]:
    """Seconds of a process's first call without and with numba's cache; importing is not counted."""
    program = """
import time, numpy as np
from pipeline.raster import render_batch
start = time.perf_counter()
render_batch(np.uint8([0, 9]), np.uint8([0, 9]), np.array([2]), np.array([1]))
print(time.perf_counter() - start)
"""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", program]
        runs = [subprocess.run(command, env=environment, capture_output=True, check=True, text=True) for _ in range(2)]
    return float(runs[0].stdout), float(runs[1].stdout)


def cpu_model() -> str:
    """As Linux names it; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    main()
