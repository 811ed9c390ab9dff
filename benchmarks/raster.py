"""Measures the renderer against drawing libraries: speed, and likeness to Cairo's images.

Run from the repository's root, with the reference in ../shared/reference or its path given:

    python benchmarks/raster.py [cairo64.npz]

Each draws into an existing array, from points in the form that is fastest for it, prepared before the clock starts
(benchmarks/raster_peers.py). Rounds alternate between the libraries; the table shows the CPU time of each one's best
round, on one thread. Libraries that are not installed are left out: `pip install -e ".[dev,bench]"` installs all of
them. The comparison of two threads with one is of wall time, and shows how many cores the threads had.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numba
import numpy as np
from machine import cpu_model
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from raster_peers import STRAIGHT, Maker, Peer, Stroke, installed, versions

from pipeline.rendering.raster import render_batch

REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "cairo64.npz"
ROUNDS = 15
IMAGES = 2048  # images in a round


def main() -> None:
    cv2.setNumThreads(1)
    with np.load(sys.argv[1] if len(sys.argv) > 1 else REFERENCE) as archive:
        reference = {name: archive[name] for name in archive.files}
    total = len(reference["drawing_end"])
    compared = ~has_dots(reference)

    print(f"{platform.processor() or platform.machine()} {cpu_model()}, {os.cpu_count()} cores; Python", end=" ")
    print(f"{platform.python_version()}, numba {numba.__version__}, numpy {np.__version__}, {versions()}")
    print(f"likeness over {compared.sum()} of {total} drawings: those without a stroke that stays in one place")
    cold, cached = first_calls()
    print(f"first call {cold:.1f} s compiling, {cached:.2f} s from the cache\n")

    makers = installed()
    whole = peers(makers, reference, total)
    likeness = {name: psnr(peer, reference, compared) for name, peer in whole.items()}
    print("| renderer, one thread | batch | images/s | x OpenCV | PSNR dB | 5th percentile dB |")
    print("|---|---|---|---|---|---|")
    for count in (256, 1024):
        seconds = best_of(peers(makers, reference, count), count)
        for name, best in seconds.items():
            overall, fifth = likeness[name]
            speed = f"{count / best:,.0f} | {seconds[STRAIGHT] / best:.2f}"
            print(f"| {name} | {count:,} | {speed} | {overall:.2f} | {fifth:.2f} |", flush=True)
    print(f"\nsketchpipe, batches of 256: {threads(sketchpipe(reference, 256))}")


def peers(makers: dict[str, Maker], reference: dict[str, NDArray[Any]], count: int) -> dict[str, Peer]:
    """The peers to compare, each with the first `count` drawings."""
    drawings = strokes_of(reference)[:count]
    return {"sketchpipe": sketchpipe(reference, count)} | {name: make(drawings) for name, make in makers.items()}


def sketchpipe(reference: dict[str, NDArray[Any]], count: int) -> Peer:
    """The renderer as a peer, with the first `count` drawings."""
    drawing_end = reference["drawing_end"][:count]
    stroke_end = reference["stroke_end"][: drawing_end[-1]]
    x, y = reference["x"][: stroke_end[-1]], reference["y"][: stroke_end[-1]]
    return lambda out: render_batch(x, y, stroke_end, drawing_end, out=out)


def strokes_of(reference: dict[str, NDArray[Any]]) -> list[list[Stroke]]:
    """Every drawing as a list of (K, 2) int32."""
    points = np.stack([reference["x"], reference["y"]], 1).astype(np.int32)
    strokes = np.split(points, reference["stroke_end"][:-1])
    ends = reference["drawing_end"].tolist()
    return [strokes[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def has_dots(reference: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Which drawings have a stroke whose points are all equal, for which Cairo draws nothing."""
    return np.array([any((stroke == stroke[0]).all() for stroke in strokes) for strokes in strokes_of(reference)])


def psnr(peer: Peer, reference: dict[str, NDArray[Any]], compared: NDArray[np.bool_]) -> tuple[float, float]:
    """The PSNR over all pixels, and the 5th percentile of the PSNR of the single images, in dB."""
    images = np.empty_like(reference["images"])
    peer(images)
    squares = ((images.astype(np.float32) - reference["images"]) ** 2)[compared].mean((1, 2, 3), dtype=np.float64)
    decibels = 10 * np.log10(255**2 / np.maximum(squares, 1e-9))
    return float(10 * np.log10(255**2 / squares.mean())), float(np.percentile(decibels, 5))


def best_of(compared: dict[str, Peer], count: int) -> dict[str, float]:
    """The best CPU seconds of each peer for `count` images, over rounds that alternate between them.

    A round draws `IMAGES` images, batch after batch as a loader does, because the first batch finds the CPU's caches
    filled by another peer.
    """
    batches = IMAGES // count
    out = np.empty((count, 64, 64, 3), np.uint8)
    best = dict.fromkeys(compared, float("inf"))
    for _ in range(ROUNDS):
        for name, peer in compared.items():
            start = time.process_time()
            for _ in range(batches):
                peer(out)
            best[name] = min(best[name], (time.process_time() - start) / batches)
    return best


def threads(ours: Peer) -> str:
    """Images per second of one and of two threads, with 16 batches of 256 in each round."""
    batches, count = 16, 256
    outs = [np.empty((count, 64, 64, 3), np.uint8) for _ in range(batches)]
    best = {1: (float("inf"), 0.0), 2: (float("inf"), 0.0)}  # wall seconds, and CPU seconds of that round
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(2) as two:
        for pool in (one, two) * (1 + ROUNDS):
            workers = 1 if pool is one else 2
            start, start_cpu = time.perf_counter(), time.process_time()
            list(pool.map(ours, outs))
            best[workers] = min(best[workers], (time.perf_counter() - start, time.process_time() - start_cpu))
    (alone, _), (together, cpu) = best[1], best[2]
    return (
        f"one thread {batches * count / alone:,.0f} images/s, two threads {batches * count / together:,.0f} "
        f"({alone / together:.2f}x, on {cpu / together:.2f} cores)"
    )


def first_calls() -> tuple[float, float]:
    """Seconds of a process's first call, without and with numba's cache; importing is not counted."""
    program = """
import time, numpy as np
from pipeline.rendering.raster import render_batch
start = time.perf_counter()
render_batch(np.uint8([0, 9]), np.uint8([0, 9]), np.array([2]), np.array([1]))
print(time.perf_counter() - start)
"""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", program]
        runs = [subprocess.run(command, env=environment, capture_output=True, check=True, text=True) for _ in range(2)]
    return float(runs[0].stdout), float(runs[1].stdout)


if __name__ == "__main__":
    main()
