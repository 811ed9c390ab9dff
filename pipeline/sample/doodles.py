"""Writes the built-in sample: synthetic drawings of ten classes as simplified ndjson, for offline use.

Drawing i of a word depends only on the seed, the word and i, on any machine. The layout of a line is that of
https://github.com/googlecreativelab/quickdraw-dataset (the simplified drawing files).
"""

import datetime
import hashlib
import io
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.progress import Progress, untold
from pipeline.sample.figures import FIGURES
from pipeline.sample.pen import Dice, Figure, Stroke, direction, dot, line, tremble, zigzag
from pipeline.storage.files import Output

SAMPLE_WORDS = tuple(FIGURES)

# The most common of Google's 159 country codes, the most common first.
CODES = "US GB CA DE RU AU BR FI SE CZ PL FR TH IT KR SA NL PH HU RO ID VN SK IN UA JP TW AE MY NO HR MX"
COUNTRIES = CODES.split()
OUTDOORS = ("bicycle", "flower", "house", "sun", "tree")
FIRST_DAY = datetime.datetime(2017, 1, 23)
SECONDS = 66 * 24 * 3600  # the last of Google's drawings is of 2017-03-29

Points = list[tuple[int, int]]


def write_sample(to: Path, *, drawings_per_class: int = 1000, seed: int = 0, progress: Progress = untold) -> list[Path]:
    """Write `<to>/<word>.ndjson` for each of `SAMPLE_WORDS`, in Google's simplified format.

    The same seed gives the same bytes; with more drawings for each class the files are the same at the beginning and
    longer. A file is renamed to its final name when it is complete.

    Args:
        to: a folder; it is created if it is missing, and files of these names in it are replaced.
        drawings_per_class: the number of drawings of each word, 1 or more.
        seed: chooses the drawings.
        progress: counts drawings.

    Returns:
        The files, in the order of `SAMPLE_WORDS`.

    Raises:
        UsageError: `drawings_per_class` is less than 1.
        OSError: the folder or a file cannot be written.
    """
    if drawings_per_class < 1:
        raise UsageError(f"drawings_per_class must be 1 or more, not {drawings_per_class}")
    to.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []

    def lines(word: str) -> Iterator[str]:
        for i in range(drawings_per_class):
            done, total = len(paths) * drawings_per_class + i, len(SAMPLE_WORDS) * drawings_per_class
            progress("drawing the sample", done, total, unit="drawings")
            yield sample_line(word, i, seed=seed)

    for word in SAMPLE_WORDS:
        path = to / f"{word}.ndjson"
        replace_file(path, lines(word))
        paths.append(path)
    folder = os.open(to, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return paths


def sample_line(word: str, i: int, *, seed: int = 0) -> str:
    """Drawing `i` of a word, one of `SAMPLE_WORDS`, as a line of ndjson with its newline.

    >>> sample_line("cat", 0).startswith('{"word":"cat","countrycode":"')
    True
    """
    dice = Dice(f"{seed}/{word}/{i}")
    recognized = not dice.chance(0.03)
    strokes = simplify_drawing(dice, draw(dice, word) if recognized else draw_badly(dice, word))
    when = FIRST_DAY + datetime.timedelta(seconds=int(SECONDS * dice.roll()))
    fraction = f"{int(1e5 * dice.roll()):05d}".rstrip("0") or "0"
    line = {
        "word": word,
        "countrycode": COUNTRIES[int(len(COUNTRIES) * dice.roll() * dice.roll() * dice.roll())],
        "timestamp": f"{when:%Y-%m-%d %H:%M:%S}.{fraction} UTC",
        "recognized": recognized,
        "key_id": str(key_id_of(seed, i * len(SAMPLE_WORDS) + SAMPLE_WORDS.index(word))),
        "drawing": [[[x for x, _ in stroke], [y for _, y in stroke]] for stroke in strokes],
    }
    return json.dumps(line, separators=(",", ":")) + "\n"


def key_id_of(seed: int, number: int) -> int:
    """A key_id like Google's, a multiple of 2^21 below 2^63; with one seed it differs for all numbers below 2^41."""
    mask = 2**41 - 1
    start = int.from_bytes(hashlib.sha256(f"key_id/{seed}".encode()).digest()[:8], "little")
    mixed = (start + number) & mask
    for odd in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9):  # splitmix64's; odd factors are invertible modulo 2^41
        mixed = (mixed ^ mixed >> 20) * odd & mask
    return (2**41 + (mixed ^ mixed >> 20)) << 21


def draw(dice: Dice, word: str) -> Figure:
    """A figure of this word as an unsteady hand draws it, in the figure's own coordinates."""
    sloppy = dice.roll() * dice.roll()  # most people are careful
    strokes = FIGURES[word](dice)
    strokes = forget_and_repeat(dice, strokes, sloppy)
    if dice.chance(0.2 if word in OUTDOORS else 0.1):
        strokes += company(dice, word)
    strokes = shake(dice, strokes, sloppy)
    if dice.chance(0.5):
        strokes = dice.shuffled(strokes)
    strokes = join_and_split(dice, strokes, sloppy)
    if dice.chance(0.05):
        strokes = leave_unfinished(dice, strokes, least=1 + len(strokes) // 3)
    if dice.chance(0.04):
        strokes.append(dot(dice.between(-1, 1), dice.between(-1, 1)))
    if dice.chance(0.03):
        x, y, turns = dice.around(0, 0.4), dice.around(0, 0.4), dice.count(4, 12)
        strokes.append(zigzag(dice, x, y, dice.between(0.1, 0.4), dice.between(0.1, 0.4), turns))
    return bend(dice, strokes, sloppy)


def draw_badly(dice: Dice, word: str) -> Figure:
    """A drawing that nobody would recognize as this word: another class's figure, a scribble, or only its beginning."""
    style = dice.roll()
    if style < 0.35:
        return draw(dice, dice.pick(SAMPLE_WORDS))
    if style < 0.65:
        scribbles = []
        for _ in range(dice.count(1, 4)):
            x, y = dice.around(0, 0.3), dice.around(0, 0.3)
            zig = zigzag(dice, x, y, dice.between(0.2, 1), dice.between(0.2, 1), dice.count(3, 14))
            scribbles.append(tremble(dice, zig, 5, 0.15))
        return bend(dice, scribbles, 1.0)
    return leave_unfinished(dice, draw(dice, word), least=1)


def company(dice: Dice, word: str) -> Figure:
    """What people add to a figure: a second one of its class or, outdoors, some ground, a sun, a tree or a flower."""
    if word not in OUTDOORS or dice.chance(0.3):
        size, x, y = dice.between(0.35, 0.8), dice.pick((-1, 1)) * dice.between(1.3, 1.8), dice.around(0.2, 0.25)
        return [stroke * size + [[x], [y]] for stroke in FIGURES[word](dice)]
    if dice.chance(0.4):
        low, wide = dice.around(1, 0.05), dice.between(0.8, 1.8)
        return [
            line((-wide, low), (wide, low)) if dice.chance(0.6) else zigzag(dice, 0, low, wide, 0.06, dice.count(3, 9))
        ]
    size, x = dice.between(0.25, 0.5), dice.pick((-1, 1)) * dice.between(1.1, 1.6)
    other = dice.pick(("sun", "sun", "tree", "flower"))
    y = dice.between(-1.4, -0.9) if other == "sun" else dice.between(0.3, 0.7)
    return [stroke * size + [[x], [y]] for stroke in FIGURES[other](dice)]


def forget_and_repeat(dice: Dice, strokes: Figure, sloppy: float) -> Figure:
    """The strokes with some left out (the first never, the next two seldom) and some drawn twice."""
    kept = []
    for place, stroke in enumerate(strokes):
        if place and dice.chance((0.01 if place < 3 else 0.06) + 0.06 * sloppy):
            continue
        kept.append(stroke)
        if dice.chance(0.02 + 0.05 * sloppy):
            kept.append(stroke)
    return kept


def shake(dice: Dice, strokes: Figure, sloppy: float) -> Figure:
    """Each stroke slightly moved, rotated and stretched about its middle, with a tremor, perhaps drawn backwards."""
    counts = [stroke.shape[1] for stroke in strokes]
    owner = np.repeat(np.arange(len(strokes)), counts)  # all points at once: here numpy's cost is the number of calls
    points = np.concatenate(strokes, axis=1)
    starts = np.cumsum([0, *counts[:-1]])
    low, high = np.minimum.reduceat(points, starts, axis=1), np.maximum.reduceat(points, starts, axis=1)
    middle, size = (low + high) / 2, (high - low).max(axis=0)
    spread = 0.015 + 0.05 * sloppy
    turn, wide, tall, right, below = (
        spread * np.array([[dice.around(0, 1) for _ in strokes] for _ in range(5)])[:, owner]
    )
    x, y = points - middle[:, owner]
    moved = np.stack([x + 2 * wide * x - turn * y + right, y + 2 * tall * y + turn * x + below]) + middle[:, owner]
    moved = tremble(dice, moved, 9, ((0.02 + 0.06 * sloppy) * np.minimum(1, size))[owner])
    slight = np.where(size > 0, np.minimum(1, 0.3 + size), 0)  # a dot stays a dot
    moved = tremble(dice, moved, 3, ((0.01 + 0.025 * sloppy) * slight)[owner])
    return [stroke[:, ::-1] if dice.chance(0.3) else stroke for stroke in cut(moved, strokes)]


def join_and_split(dice: Dice, strokes: Figure, sloppy: float) -> Figure:
    """The strokes with some joined, as if the pen was not lifted, and some long ones split."""
    joined: Figure = []
    reach = 0.2 + 0.4 * sloppy
    likely = 0.08 + 0.1 * sloppy
    if dice.chance(0.15):  # some people never lift the pen
        reach, likely = 0.9, 0.95
    for stroke in strokes:
        points = stroke.shape[1]
        if joined and dice.chance(likely):
            gap = float(np.abs(joined[-1][:, -1] - stroke[:, 0]).max())
            if gap < reach:
                joined[-1] = np.concatenate([joined[-1], stroke], axis=1)
                continue
        if points > 12 and dice.chance(0.08):
            lift = dice.count(4, points - 5)
            joined += [stroke[:, : lift + dice.count(0, 2)], stroke[:, lift:]]
        else:
            joined.append(stroke)
    return joined


def leave_unfinished(dice: Dice, strokes: Figure, *, least: int) -> Figure:
    """The first strokes only, at least `least` of them, the last perhaps cut short."""
    kept = strokes[: dice.count(least, len(strokes))]
    if dice.chance(0.5):
        points = kept[-1].shape[1]
        kept[-1] = kept[-1][:, : max(2, int(points * dice.between(0.3, 1)))]
    return kept


def bend(dice: Dice, strokes: Figure, sloppy: float) -> Figure:
    """The whole drawing rotated, stretched, sheared and warped, as if drawn with a mouse."""
    cosine, sine = direction(dice.around(0, 0.03 + 0.04 * sloppy))
    wide, shear = dice.around(1, 0.17), dice.around(0, 0.08 + 0.08 * sloppy)
    warp = [dice.around(0, 0.07) for _ in range(4)]
    x, y = np.concatenate(strokes, axis=1)
    across, down = wide * (cosine * x - sine * y) + shear * y, sine * x + cosine * y
    more, lower = down * (warp[0] * down + warp[1] * across), across * (warp[2] * across + warp[3] * down)
    return cut(np.stack([across + more, down + lower]), strokes)


def cut(points: Stroke, strokes: Figure) -> Figure:
    """The points of a drawing cut into strokes with as many points each as `strokes` have."""
    ends = itertools.accumulate(stroke.shape[1] for stroke in strokes)
    return [points[:, end - stroke.shape[1] : end] for end, stroke in zip(ends, strokes, strict=True)]


def simplify_drawing(dice: Dice, strokes: Figure) -> list[Points]:
    """The strokes as Google simplifies them: at the top left, scaled to 255, Ramer-Douglas-Peucker with epsilon 2.

    As in some of Google's drawings, the box may be larger than the strokes (19 % do not begin at 0, 11 % end before
    255).
    """
    points = np.concatenate(strokes, axis=1)
    low, high = points.min(axis=1), points.max(axis=1)
    size = max(float((high - low).max()), 1e-6)
    if dice.chance(0.06):
        low = low - [size * dice.between(0, 0.1), size * dice.between(0, 0.1)]
    if dice.chance(0.03):
        high = high + size * dice.between(0, 0.1)
    scale = 255 / max(float((high - low).max()), 1e-6)
    x, y = np.floor((points - low[:, None]) * scale + 0.5).astype(np.int64).tolist()
    whole = list(zip(x, y, strict=True))
    ends = itertools.accumulate((stroke.shape[1] for stroke in strokes), initial=0)
    return [simplify(whole[first:end]) for first, end in itertools.pairwise(ends)]


def simplify(points: Points) -> Points:
    """The points without those that lie within 2 of the line through kept points (Ramer-Douglas-Peucker)."""
    kept = {0, len(points) - 1}
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        (x0, y0), (x1, y1) = points[first], points[last]
        across, down = x1 - x0, y1 - y0
        square = across * across + down * down
        if square:
            far = [(across * (y - y0) - down * (x - x0)) ** 2 for x, y in points[first + 1 : last]]
        else:  # a closed loop: distances from the point where it closes
            square = 1
            far = [(x - x0) ** 2 + (y - y0) ** 2 for x, y in points[first + 1 : last]]
        farthest = max(far)
        if farthest > 4 * square:
            middle = first + 1 + far.index(farthest)
            kept.add(middle)
            spans += [(first, middle), (middle, last)]
    return [points[place] for place in sorted(kept)]


def replace_file(path: Path, lines: Iterator[str]) -> None:
    """Write lines to a hidden file beside `path`, sync it to the disk, and rename it to `path`."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with Output(partial) as output, io.TextIOWrapper(io.BufferedWriter(output), "utf-8", newline="\n") as file:
            file.writelines(lines)
            file.flush()
            output.sync()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
