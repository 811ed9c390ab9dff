"""The drawing libraries that benchmarks/raster.py and benchmarks/feed.py compare with the renderer.

A peer is created from drawings, which are lists of strokes, (K, 2) int32 on the canvas of 256, and converts them to the
form that is fastest for its library: paths if the library has them, with colours and pens created once. Calling it
draws all of them into a (N, 64, 64, 3) uint8 RGB array on black. Lines are 5/256 of the image wide, with butt caps and
miter joins if the library has them. Imports are inside the functions, because each library may be missing.
"""

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.rendering.raster import PALETTE

SIZE = 64  # pixels of an image's side
SCALE = SIZE / 256
WIDTH = 5  # of a line, on the canvas of 256
SHIFT = 8  # bits of OpenCV's fixed point below the pixel
COLOURS = [tuple(int(value) for value in colour) for colour in PALETTE]

Image = NDArray[np.uint8]
Stroke = NDArray[np.int32]
Peer = Callable[[Image], object]
Maker = Callable[[list[list[Stroke]]], Peer]


def to_fixed_point(points: Stroke) -> Stroke:
    """(P, 2) int32 on the canvas as OpenCV's fixed point at 64 pixels.

    Its pixel centres are whole numbers: a canvas point p lies at p / 4 - 1/2.
    """
    return points * (1 << SHIFT) // 4 - (1 << SHIFT) // 2


def draw_straight(image: Image, strokes: list[Stroke]) -> None:
    """Draw strokes of `to_fixed_point` into a black (64, 64, 3) image with OpenCV, antialiased."""
    for s, stroke in enumerate(strokes):
        cv2.polylines(image, [stroke], False, COLOURS[s % 10], 1, cv2.LINE_AA, SHIFT)


def draw_reduced(image: Image, strokes: list[Stroke], canvas: Image) -> None:
    """Draw strokes on a (256, 256, 3) canvas with OpenCV, and reduce it to a (64, 64, 3) image by area means."""
    canvas[:] = 0
    for s, stroke in enumerate(strokes):
        cv2.polylines(canvas, [stroke], False, COLOURS[s % 10], WIDTH, cv2.LINE_AA)
    cv2.resize(canvas, (SIZE, SIZE), image, interpolation=cv2.INTER_AREA)


def opencv_straight(drawings: list[list[Stroke]]) -> Peer:
    fixed = [[to_fixed_point(stroke) for stroke in strokes] for strokes in drawings]

    def draw(out: Image) -> None:
        out[:] = 0
        for image, strokes in zip(out, fixed, strict=True):
            draw_straight(image, strokes)

    return draw


def opencv_reduced(drawings: list[list[Stroke]]) -> Peer:
    canvas = np.empty((256, 256, 3), np.uint8)

    def draw(out: Image) -> None:
        for image, strokes in zip(out, drawings, strict=True):
            draw_reduced(image, strokes, canvas)

    return draw


def cairo(drawings: list[list[Stroke]]) -> Peer:
    import cairo as library

    bgra = np.zeros((SIZE, SIZE, 4), np.uint8)
    surface = library.ImageSurface.create_for_data(bgra, library.FORMAT_RGB24, SIZE, SIZE)
    context = library.Context(surface)
    context.scale(SCALE, SCALE)
    context.set_line_width(WIDTH)
    colours = [library.SolidPattern(*(value / 255 for value in colour)) for colour in COLOURS]

    def path_of(stroke: Stroke) -> object:
        context.new_path()
        for x, y in stroke.tolist():
            context.line_to(x, y)
        return context.copy_path()

    paths = [[path_of(stroke) for stroke in strokes] for strokes in drawings]
    context.new_path()

    def draw(out: Image) -> None:
        for image, strokes in zip(out, paths, strict=True):
            bgra[:] = 0
            for s, path in enumerate(strokes):
                context.append_path(path)
                context.set_source(colours[s % 10])
                context.stroke()
            cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB, image)

    return draw


def skia(drawings: list[list[Stroke]]) -> Peer:
    import skia as library

    rgba = np.zeros((SIZE, SIZE, 4), np.uint8)
    surface = library.Surface(rgba, colorType=library.kRGBA_8888_ColorType, alphaType=library.kPremul_AlphaType)
    canvas = surface.getCanvas()
    pens = [
        library.Paint(
            AntiAlias=True,
            Style=library.Paint.kStroke_Style,
            StrokeWidth=WIDTH * SCALE,
            StrokeCap=library.Paint.kButt_Cap,
            StrokeJoin=library.Paint.kMiter_Join,
            StrokeMiter=10,
            Color=library.Color(*colour),
        )
        for colour in COLOURS
    ]

    def path_of(stroke: Stroke) -> object:
        points = [library.Point(x * SCALE, y * SCALE) for x, y in stroke.tolist()]
        return library.Path().addPoly(points, False)

    paths = [[path_of(stroke) for stroke in strokes] for strokes in drawings]

    def draw(out: Image) -> None:
        for image, strokes in zip(out, paths, strict=True):
            rgba[:] = 0
            for s, path in enumerate(strokes):
                canvas.drawPath(path, pens[s % 10])
            cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB, image)

    return draw


def aggdraw(drawings: list[list[Stroke]]) -> Peer:
    import aggdraw as library

    board = library.Draw("RGB", (SIZE, SIZE), "black")
    pens = [library.Pen(colour, WIDTH * SCALE) for colour in COLOURS]
    lines = [[(stroke * SCALE).ravel().tolist() for stroke in strokes] for strokes in drawings]

    def draw(out: Image) -> None:
        for image, strokes in zip(out, lines, strict=True):
            board.clear("black")
            for s, line in enumerate(strokes):
                board.line(line, pens[s % 10])
            image[:] = np.frombuffer(board.tobytes(), np.uint8).reshape(SIZE, SIZE, 3)

    return draw


def pillow(drawings: list[list[Stroke]]) -> Peer:
    from PIL import Image as Picture
    from PIL import ImageDraw

    lines = [[stroke.ravel().tolist() for stroke in strokes] for strokes in drawings]

    def draw(out: Image) -> None:
        for image, strokes in zip(out, lines, strict=True):
            canvas = Picture.new("RGB", (256, 256))
            board = ImageDraw.Draw(canvas)
            for s, line in enumerate(strokes):
                board.line(line, COLOURS[s % 10], WIDTH)
            image[:] = np.asarray(canvas.reduce(256 // SIZE))

    return draw


STRAIGHT = "OpenCV, antialiased at 64"
PEERS: dict[str, Maker] = {
    STRAIGHT: opencv_straight,
    "OpenCV at 256, area-resized": opencv_reduced,
    "Cairo (pycairo)": cairo,
    "skia-python": skia,
    "aggdraw": aggdraw,
    "Pillow at 256, reduced": pillow,
}


def installed() -> dict[str, Maker]:
    """Those of `PEERS` whose libraries are installed; the others are named on stderr."""
    found = {}
    for name, make in PEERS.items():
        try:
            make([])
        except ImportError as error:
            print(f"left out: {name} ({error})", file=sys.stderr)
        else:
            found[name] = make
    return found


def versions() -> str:
    """The versions of the installed libraries."""
    found = [f"OpenCV {cv2.__version__}"]
    for package in ("pycairo", "skia-python", "aggdraw", "pillow"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
