"""The page of `export`, opened from its file in a browser where every request fails, and drawn on."""

import base64
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.arrays import UInt8Array
from tests.small import in_process

RUN = "sketchnet-345"
Points = list[list[float]]  # x and y of a stroke
PHONE = {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
DESK = {"viewport": {"width": 1280, "height": 800}}

# Pointer events as a mouse makes them: down at a stroke's first point, moved to the others, up at the last.
_DRAW = """((strokes) => {
  const pad = document.getElementById("pad");
  const box = pad.getBoundingClientRect();
  const fire = (type, x, y) => pad.dispatchEvent(new PointerEvent(type, {
    pointerId: 7, pointerType: "mouse", isPrimary: true, button: type === "pointermove" ? -1 : 0, bubbles: true,
    cancelable: true, clientX: box.left + x, clientY: box.top + y }));
  for (const [x, y] of strokes) {
    fire("pointerdown", x[0], y[0]);
    for (let k = 1; k < x.length; k++) fire("pointermove", x[k], y[k]);
    fire("pointerup", x.at(-1), y.at(-1));
  }
})"""
# What the page shows once the frame after the next has come, when all that was drawn has been guessed.
_LATEST = """(async () => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  await frame();
  await frame();
  const latest = sketchpipe.latest();
  if (latest === null) return null;
  const { simplified: { x, y, ends }, image, probabilities, order } = latest;
  const text = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return {
    x: [...x], y: [...y], ends: [...ends], image: text(image), probabilities: [...probabilities], top: order[0] };
})"""
_DRAW_EACH = f"""async (drawings) => {{
  const found = [];
  for (const strokes of drawings) {{
    {_DRAW}(strokes);
    const held = sketchpipe.drawing.strokes.map((stroke) => [stroke.x, stroke.y]);
    found.push({{ held, ...await {_LATEST}() }});
    sketchpipe.drawing.clear();
  }}
  return found;
}}"""


def write_page(folder: Path) -> Path:
    """The file that `sketchpipe export` writes into a folder."""
    ran = in_process("export", "--run", RUN, "--to", "doodle.html", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    return folder / "doodle.html"


@contextmanager
def opened(browser: Any, file: Path, script: str = "", **context: Any) -> Iterator[Any]:
    """A tab with the page; in the end nothing was requested, and nothing was written to the console.

    Args:
        browser: the browser.
        file: the page.
        script: what runs before the page's own program.
        context: how the tab looks, such as `PHONE`.
    """
    with browser.new_context(accept_downloads=True, **(context or DESK)) as made:
        made.set_default_timeout(10_000)
        made.set_offline(True)
        troubles: list[str] = []
        made.route(re.compile(r"^(https?|wss?):"), lambda route: route.abort())
        tab = made.new_page()
        tab.on("request", lambda request: troubles.append(request.url) if _leaves(request.url, file) else None)
        tab.on("console", lambda message: troubles.append(message.text))
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        if script:
            tab.add_init_script(script)
        tab.goto(file.as_uri())
        tab.wait_for_selector("#page:not([hidden])")
        yield tab
        assert not troubles, troubles


def draw(tab: Any, strokes: Sequence[Points]) -> None:
    """Draw strokes, in CSS pixels from the pad's corner."""
    tab.evaluate(_DRAW, strokes)


def latest(tab: Any) -> dict[str, Any] | None:
    """What the page makes of the drawing, with the image as (H, W, C) uint8; None without a drawing."""
    found: dict[str, Any] | None = tab.evaluate(_LATEST)
    if found is not None:
        found["image"] = _image_of(found["image"], tab.evaluate("sketchpipe.engine.about.size"))
    return found


def draw_each(tab: Any, drawings: Sequence[Sequence[Points]]) -> list[dict[str, Any]]:
    """Draw one drawing after the other: the strokes that the page `held` of each, and what `latest` gives of it."""
    found: list[dict[str, Any]] = tab.evaluate(_DRAW_EACH, drawings)
    size = tab.evaluate("sketchpipe.engine.about.size")
    return [one | {"image": _image_of(one["image"], size)} for one in found]


def strokes_of(tab: Any) -> list[list[list[float]]]:
    """The strokes that the page holds: x, y and milliseconds of each."""
    held: list[list[list[float]]] = tab.evaluate("sketchpipe.drawing.strokes.map(({x, y, t}) => [x, y, t])")
    return held


def side_of(tab: Any) -> int:
    """The pad's side in CSS pixels."""
    return int(tab.evaluate("document.getElementById('pad').clientWidth"))


def raw_drawings(quickdraw: Path, word: str, side: int) -> list[list[Points]]:
    """Google's raw drawings of a word, scaled to the pad by a power of two.

    Coordinates are multiples of 1/64: a browser's boxes are too, so that adding a corner and taking it away is exact.
    """
    with gzip.open(quickdraw / "raw" / f"{word}.ndjson.gz", "rt", encoding="utf-8") as file:
        lines = [json.loads(line)["drawing"] for line in file]
    return [fitted(drawing, side) for drawing in lines]


def fitted(drawing: Sequence[Sequence[Sequence[float]]], side: int) -> list[Points]:
    """The x and y of a drawing's strokes, moved and scaled into a pad, as multiples of 1/64."""
    x, y = (np.concatenate([stroke[axis] for stroke in drawing]) for axis in (0, 1))
    left, top = x.min(), y.min()
    extent = max(x.max() - left, y.max() - top, 1)
    scale = 2.0 ** np.floor(np.log2(side / extent))
    return [
        [
            (np.round((np.asarray(values) - corner) * scale * 64) / 64).tolist()
            for values, corner in zip(stroke[:2], (left, top), strict=True)
        ]
        for stroke in drawing
    ]


def split(values: Sequence[int], ends: Sequence[int]) -> list[UInt8Array]:
    """Coordinates by stroke."""
    return np.split(np.asarray(values, np.uint8), list(ends)[:-1])


def _image_of(text: str, size: int) -> UInt8Array:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(size, size, -1)


def _leaves(url: str, file: Path) -> bool:
    """Whether a request is for something other than the page, or what the page itself holds."""
    return not url.startswith(("data:", "blob:")) and url.partition("#")[0] != file.as_uri()
