"""Measures how well a network predicts drawings that were traced from pictures, beside their true strokes.

    python benchmarks/tracing.py QUICKDRAW [--run RUN] [--work FOLDER] [--drawings N] [--photographs N] [--seed N]

Builds the shards of `accuracy.py all345`, of which the network that comes with sketchpipe has not seen the test split,
and takes N drawings of it at random. OpenCV draws each black on white, antialiased, in a square of 256 to 512 pixels,
with lines of a share of its side; margins are as wide as the lines. Photographs are the first drawings once more, with
lines of 2 %: in uneven light from a side, darker corners, on gray paper, blurred, with noise, as JPEG.

"True strokes, guessed order" has the true strokes in the orders and directions that are guessed of traced ones: what is
lost by that alone. "One guess" is top-1 of the first guess, top-1 and top-3 are of the mean of all, as `predict` prints
it. The difference is that of top-1 to the true strokes', and has a standard error of about 1 point with 1,000 drawings.
Milliseconds are CPU time of one picture, read, traced and simplified, while other work ran if it says so.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from accuracy import SETS, build_shards
from machine import machine, say
from training import positive

from model.compute.devices import choose_devices
from model.runs.find import with_built_in
from model.runs.opening import open_run
from model.scoring.loaded import load_best
from model.scoring.predict import Predictor
from pipeline.arrays import UInt8Array
from pipeline.drawings import concat, from_strokes
from pipeline.errors import InputError
from pipeline.shards.read import open_split
from pipeline.tracing.raster import read_raster
from pipeline.tracing.read import Guesses, guesses_of
from pipeline.tracing.trace import trace

SET = "all345"
SHARES = (0.01, 0.02, 0.03, 0.05, 0.08)  # of the side: the width of the lines
PHOTOGRAPHED = 0.02
SIDES = (256, 512)  # pixels
FINER = 4  # pixels of the first drawing for one of the picture

Strokes = list[list[list[int]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickdraw", type=Path, help="the folder that has those of all345")
    parser.add_argument("--run", type=Path, default=Path("sketchnet-345"), help="%(default)s")
    parser.add_argument("--work", type=Path, help="folder in which the shards are kept")
    parser.add_argument("--drawings", type=positive, default=1000, help="%(default)s")
    parser.add_argument("--photographs", type=positive, default=200, help="%(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of which drawings are taken; %(default)s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve() / SET
        build_shards(SETS[SET], options.quickdraw.resolve(), work)
        split = open_split(work / "shards", "test")
        rows = np.sort(np.random.default_rng(options.seed).choice(len(split), options.drawings, replace=False))
        drawings = split.read_rows(rows)
    choose_devices("auto")
    predictor = Predictor(load_best(open_run(with_built_in(options.run))))
    print(machine(("sketchpipe", "jax", "numba", "scipy", "pillow", "opencv-python-headless")))
    print(f"{predictor.run.folder}: {len(drawings):,} drawings of the test split\n")
    print("| pictures | drawings | true strokes | one guess | top-1 | difference | top-3 | none found | strokes | ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    words = [drawings.words[word] for word in drawings.word]
    true = [drawings.strokes(k) for k in range(len(drawings))]
    kept = [guesses_of([np.array(stroke, np.float64).T for stroke in one], "") for one in true]
    print_row(predictor, "true strokes, guessed order", kept, true, words, None)
    for share in SHARES:
        measure(predictor, f"lines of {share:.0%}", [drawn(one, k, share) for k, one in enumerate(true)], true, words)
    count = min(options.photographs, len(true))
    photographs = [photographed(drawn(true[k], k, PHOTOGRAPHED), k) for k in range(count)]
    measure(predictor, "photographs", photographs, true[:count], words[:count])


def measure(
    predictor: Predictor, name: str, pictures: Sequence[bytes], true: Sequence[Strokes], words: Sequence[str]
) -> None:
    """Trace pictures, and print the row of a table."""
    say(name)
    start = time.process_time()
    found: list[Guesses | None] = []
    for k, picture in enumerate(pictures):
        try:
            found.append(guesses_of(trace(read_raster(picture, f"{k}"), f"{k}").strokes, f"{k}"))
        except InputError:
            found.append(None)
    print_row(predictor, name, found, true, words, 1e3 * (time.process_time() - start) / len(pictures))


def print_row(
    predictor: Predictor, name: str, found: Sequence[Guesses | None], true: Sequence[Strokes], words: Sequence[str],
    milliseconds: float | None,
) -> None:  # fmt: skip
    """Print the row of what was found; a picture in which nothing was found is predicted wrong."""
    truth = np.array([predictor.classes.index(word) for word in words])
    expected = top(predictor.predict(from_strokes(true, words)), truth, 1)
    shown = [one for one in found if one is not None]
    is_shown = np.array([one is not None for one in found])
    guessed = predictor.predict(concat(shown)).reshape(len(shown), -1, len(predictor.classes))
    share = is_shown.mean()
    one = share * top(guessed[:, 0], truth[is_shown], 1)
    top1, top3 = (share * top(guessed.mean(axis=1), truth[is_shown], count) for count in (1, 3))
    duration = "" if milliseconds is None else f"{milliseconds:.0f}"
    strokes = np.mean([drawings.drawing_end[0] for drawings in shown])
    print(
        f"| {name} | {len(found):,} | {expected:.1%} | {one:.1%} | {top1:.1%} | {100 * (top1 - expected):+.1f} "
        f"| {top3:.1%} | {len(found) - len(shown)} | {strokes:.1f} | {duration} |",
        flush=True,
    )


def top(probabilities: NDArray[np.float32], truth: NDArray[np.int64], count: int) -> float:
    """The share of drawings whose class is among the `count` most probable ones."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return float((order == truth[:, None]).any(axis=1).mean())


def drawn(strokes: Strokes, seed: int, share: float) -> bytes:
    """A PNG file of a drawing: black lines on white, of a share of its side, which `seed` chooses."""
    side = int(np.random.default_rng(seed).integers(SIDES[0], SIDES[1] + 1))
    points = [np.array(stroke, np.float64).T for stroke in strokes]
    low, high = (edge(np.concatenate(points), axis=0) for edge in (np.min, np.max))
    scale = (side * (1 - 2 * share) - 1) / max(*(high - low), 1)
    shift = (side - 1 - scale * (low + high)) / 2
    canvas = np.full((side * FINER, side * FINER), 255, np.uint8)
    for line in points:
        places = (line * scale + shift + 0.5) * FINER - 0.5
        wide = max(1, round(share * side * FINER))
        cv2.polylines(canvas, [np.rint(places * 16).astype(np.int32)], False, 0, wide, cv2.LINE_AA, 4)
    return encoded(".png", cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA))


def photographed(picture: bytes, seed: int) -> bytes:
    """A JPEG file of a picture as if photographed: gray paper in uneven light, blurred, with noise."""
    dice = np.random.default_rng(seed)
    levels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE).astype(np.float64) / 255
    side = len(levels)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    turn = dice.uniform(0, 2 * np.pi)
    light = 1 + dice.uniform(0.4, 0.9) * (x * np.cos(turn) + y * np.sin(turn))
    light *= 1 - dice.uniform(0.2, 0.9) * (x**2 + y**2)
    ink, paper = dice.uniform(0.1, 0.35), dice.uniform(0.65, 0.9)
    seen = light * (ink + (paper - ink) * cv2.GaussianBlur(levels, (0, 0), dice.uniform(0.5, 1.5)))
    seen += dice.normal(0, dice.uniform(0.02, 0.06), seen.shape)
    return encoded(".jpg", np.clip(np.rint(255 * seen), 0, 255).astype(np.uint8), int(dice.integers(50, 95)))


def encoded(suffix: str, levels: UInt8Array, quality: int = 95) -> bytes:
    _, content = cv2.imencode(suffix, levels, [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else [])
    return content.tobytes()


if __name__ == "__main__":
    main()
