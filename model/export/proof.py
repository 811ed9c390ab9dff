"""Proves what a page computes: runs its kernels by wasmtime, and compares strokes, pixels and probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from model.export.page_engine import KERNELS, PageEngine
from model.scoring.loaded import LoadedRun
from model.scoring.predict import Predictor
from pipeline.arrays import Float32Array, Int64Array, UInt8Array
from pipeline.browser.run import Runner
from pipeline.drawings import Drawings
from pipeline.errors import MismatchError, UsageError
from pipeline.rendering.render import render
from pipeline.sources.raw import simplify

TOLERANCE = 1e-4  # the difference that every probability must stay below


@dataclass(frozen=True)
class Proof:
    """What was found.

    Attributes:
        drawings: how many drawings were compared.
        difference: the largest difference of a probability from JAX's with the same rounded weights.
        renamed: of how many drawings rounding the weights changes the most probable class.
    """

    drawings: int
    difference: float
    renamed: int


def prove(module: bytes, engine: PageEngine, original: LoadedRun, drawings: Drawings) -> Proof:
    """Compare what a page computes of drawings with what this process computes.

    Args:
        module: the page's kernels.
        engine: what the page knows.
        original: the run with its own weights, with which the effect of rounding them is counted.
        drawings: one drawing or more.

    Raises:
        MismatchError: strokes, pixels, probabilities or the predicted class differ.
    """
    runner = PageRunner(module, engine)
    config = engine.loaded.run.config.render_config()
    images = render(drawings, config)
    expected = Predictor(engine.loaded).probabilities(images)
    exact = Predictor(original).probabilities(images)
    first, second = np.sort(expected, axis=1)[:, :-3:-1].T
    difference, renamed = 0.0, 0
    for n in range(len(drawings)):
        strokes = drawings.strokes(n)
        found_x, found_y, ends = runner.simplify(strokes)
        cuts = np.append(0, ends)
        for number, (right_x, right_y) in enumerate(simplify([(x, y) for x, y in strokes])):
            part = slice(cuts[number], cuts[number + 1])
            if not (np.array_equal(found_x[part], right_x) and np.array_equal(found_y[part], right_y)):
                raise _differs(f"simplifies stroke {number + 1} of drawing {n + 1} in another way")
        one = drawings.slice(n, n + 1)
        image = runner.render(one.x, one.y, one.stroke_end)
        if not np.array_equal(image, images[n]):
            raise _differs(f"draws drawing {n + 1} differently")
        found = runner.probabilities(image)
        difference = float(np.maximum(difference, np.abs(found - expected[n]).max()))  # a NaN is kept
        if not difference < TOLERANCE:
            raise _differs(f"computes another probability for drawing {n + 1}, by {difference:.1e},")
        if found.argmax() != expected[n].argmax() and first[n] - second[n] > 2 * TOLERANCE:
            raise _differs(f"names drawing {n + 1} differently")
        renamed += int(found.argmax() != exact[n].argmax())
    return Proof(len(drawings), difference, renamed)


class PageRunner:
    """Does what `engine.js` does, with the same module, outside of a browser."""

    def __init__(self, module: bytes, engine: PageEngine) -> None:
        self._fields = engine.fields
        config = engine.loaded.run.config
        self._size, self._channels = config.image_size, config.render_config().channels
        self._classes = len(config.classes)
        self._runner = Runner(module, KERNELS)
        self._plan = self._runner.put(engine.plan.rows)
        self._weights = self._runner.put(engine.plan.weights)
        self._floats = self._runner.room(engine.plan.floats, np.float32)
        self._kept = self._runner.end

    def simplify(self, strokes: Sequence[Sequence[ArrayLike]]) -> tuple[UInt8Array, UInt8Array, Int64Array]:
        """The simplified x and y of raw strokes, and where each stroke ends in them.

        Raises:
            UsageError: the drawing is too long.
        """
        runner, fields = self._fresh(), self._fields
        pairs = [(np.asarray(x, np.float64), np.asarray(y, np.float64)) for x, y in strokes]
        raw = [np.concatenate([pair[axis] for pair in pairs]) for axis in (0, 1)]
        ends = runner.put(np.cumsum([len(x) for x, _ in pairs], dtype=np.int64))
        given = [runner.put(one) for one in raw]
        samples = [runner.room(fields["samples"], kind) for kind in (np.float64, np.float64, np.int64)]
        found = [runner.room(2 * len(raw[0]), np.uint8) for _ in raw]
        count = runner.call("simplify", *given, *samples, ends, len(strokes), *found, 0, fields["points"])
        if count < 0:
            raise UsageError("this drawing is too long")
        x, y = (runner.get(one)[:count] for one in found)
        return x, y, runner.get(ends)

    def render(self, x: UInt8Array, y: UInt8Array, stroke_end: Int64Array) -> UInt8Array:
        """The image of one drawing, (H, W, C) uint8."""
        runner, fields, size = self._fresh(), self._fields, self._size
        ends, drawing = runner.put(stroke_end), runner.put(np.array([len(stroke_end)]))
        if fields["room"] is None:
            placed = [runner.put(one.astype(np.float32)) for one in (x, y)]
        else:
            placed = [runner.room(len(one), np.float32) for one in (x, y)]
            runs = runner.room(2 * len(stroke_end) + 2, np.int64)
            runner.call("centre", runner.put(x), runner.put(y), ends, drawing, fields["room"], runs, *placed)
        blocks = -(-(len(x) + len(stroke_end)) // fields["block"])
        columns = blocks * fields["block"] + 1
        image = runner.room(size * size * self._channels, np.uint8)
        runner.call(
            "render", *placed, ends, drawing, runner.put(np.array([fields["line_width"]], np.float32)), size / 256,
            runner.put(np.array(fields["table"], np.uint8).reshape(-1, 3)), fields["by_segment"],
            runner.put(np.zeros((fields["rows"], columns), np.float32)), runner.room((3, columns), np.uint8),
            runner.room(blocks * fields["block"] * fields["fields"], np.float32),
            runner.room(3 * (size * (size + fields["lanes"]) + fields["lanes"]), np.uint8), size, self._channels, image,
        )  # fmt: skip
        return runner.get(image).reshape(size, size, self._channels)

    def probabilities(self, image: UInt8Array) -> Float32Array:
        """The probability of each class for an image."""
        runner, first = self._fresh(), self._fields["logits"]
        runner.call("run", runner.put(image.reshape(-1)), self._plan, self._weights, self._floats)
        logits = runner.get(self._floats)[first : first + self._classes].astype(np.float64)
        shares = np.exp((logits - logits.max()) / self._fields["temperature"])
        return (shares / shares.sum()).astype(np.float32)

    def _fresh(self) -> Runner:
        """The runner, with only plan, weights and memory of the network in it."""
        self._runner.end = self._kept
        return self._runner


def _differs(how: str) -> MismatchError:
    return MismatchError(
        f"the page {how} than sketchpipe does here; no file was written. Try another version of numba or llvmlite, and "
        "report it with both versions"
    )
