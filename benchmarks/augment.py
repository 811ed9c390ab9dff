"""Measures the time of augmentation and framing against rendering, on real drawings and one thread.

Run from the repository's root, with the drawings in ../shared/reference or their path given:

    python benchmarks/augment.py [cairo64.npz]

Batches of 256 drawings are augmented by each kind alone and by all kinds at once; `render_batch` renders the same
drawings without changes. Augmentation is timed without rendering, because prefixes and dropped strokes make rendering
shorter. Rounds alternate between the kinds; the table shows the best round of each.
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import machine

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline.drawings import Drawings, from_strokes
from pipeline.rendering.augment import Augmentation, augment, centre
from pipeline.rendering.raster import render_batch
from pipeline.rendering.render import RenderConfig

REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "cairo64.npz"
BATCH = 256
ROUNDS = 200
BUDGET = 0.15  # the share of the renderer's time that augmentation may take

NONE = Augmentation(rotation=0, shear=0, scale=(1, 1), stretch=0, shift=0, mirror=0)
# Each kind with the largest amount that training may want.
KINDS: dict[str, dict[str, object]] = {
    "rotation": {"rotation": 15},
    "shear": {"shear": 0.2},
    "scale": {"scale": (0.75, 1.1)},
    "stretch": {"stretch": 0.15},
    "shift": {"shift": 12},
    "mirror": {"mirror": 0.5},
    "prefix": {"prefix": 0.5},
    "dropout": {"dropout": 0.1},
    "jitter": {"jitter": 2},
    "line_width": {"line_width": (0.7, 1.4)},
}


def main() -> None:
    batches = read_batches(Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE)
    rows = np.arange(BATCH)
    margin = RenderConfig(framing="centred").margin or 0.0
    out = np.empty((BATCH, 64, 64, 3), np.uint8)

    def changing(how: Augmentation, margin: float | None = None) -> Callable[[Drawings], object]:
        return lambda batch: augment(batch, rows, how, seed=0, epoch=0, margin=margin)

    def drawing(batch: Drawings) -> object:
        return render_batch(batch.x, batch.y, batch.stroke_end, batch.drawing_end, out=out)

    every = dataclasses.replace(NONE, **{name: value for kind in KINDS.values() for name, value in kind.items()})
    timed = {
        "render_batch": drawing,
        "nothing changed": changing(NONE),
        **{name: changing(dataclasses.replace(NONE, **kind)) for name, kind in KINDS.items()},
        "the defaults": changing(Augmentation()),
        "all": changing(every),
        "all, centred": changing(every, margin),
        "centred, nothing else": lambda batch: centre(batch, margin),
    }
    best = best_of(timed, batches)
    points = sum(len(batch.x) for batch in batches) / len(batches) / BATCH
    print(machine(["numpy", "numba"]))
    print(f"{len(batches)} batches of {BATCH} drawings of {points:.1f} points, one thread, best of {ROUNDS} rounds\n")
    print("| | us a drawing | of rendering |\n|---|---|---|")
    for name, seconds in best.items():
        share = seconds / best["render_batch"]
        print(f"| {name} | {seconds / len(batches) / BATCH * 1e6:.3f} | {share:.1%} |")
    worst = max(best["all"], best["all, centred"]) / best["render_batch"]
    print(f"\nall at once: {worst:.1%} of rendering, {'within' if worst <= BUDGET else 'beyond'} {BUDGET:.0%}")


def read_batches(path: Path) -> list[Drawings]:
    with np.load(path) as archive:
        x, y, stroke_end, drawing_end = (archive[name] for name in ("x", "y", "stroke_end", "drawing_end"))
    count = len(drawing_end)
    drawings = dataclasses.replace(
        from_strokes([[]] * count, ["drawing"] * count), x=x, y=y, stroke_end=stroke_end, drawing_end=drawing_end
    )
    return [drawings.take(np.arange(start, start + BATCH)) for start in range(0, count - BATCH + 1, BATCH)]


def best_of(timed: dict[str, Callable[[Drawings], object]], batches: list[Drawings]) -> dict[str, float]:
    """The best time of each function for all batches, in seconds, over rounds that alternate between them."""
    best = dict.fromkeys(timed, float("inf"))
    for _ in range(ROUNDS):
        for name, change in timed.items():
            start = time.perf_counter()
            for batch in batches:
                change(batch)
            best[name] = min(best[name], time.perf_counter() - start)
    return best


if __name__ == "__main__":
    main()
