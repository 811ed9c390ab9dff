"""Draws the picture of the page in README.md, `page.gif`: `python docs/draw_page.py`.

Chromium, driven by playwright, opens the page of sketchnet-345 and draws a doodle of the built-in sample on it, piece
by piece; each frame is a screenshot.
"""

import io
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from pipeline.sample.doodles import sample_line

DOCS = Path(__file__).parent
WORD, NUMBER = "cat", 6  # the doodle
WINDOW = {"width": 1080, "height": 720}
SHOWN = 720  # pixels, the width of the picture
PIECES = 24
FRAME, LAST = 140, 2600  # milliseconds that a frame and the last one are shown
COLOURS = 96

_FIRE = """([type, x, y]) => {
  const pad = document.getElementById("pad");
  const box = pad.getBoundingClientRect();
  const scale = box.width / 400;
  pad.dispatchEvent(new PointerEvent(type, { pointerId: 7, pointerType: "mouse", isPrimary: true, bubbles: true,
    button: type === "pointermove" ? -1 : 0, cancelable: true, clientX: box.left + x * scale,
    clientY: box.top + y * scale }));
}"""


def main() -> None:
    """Write `page.gif`."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is missing: apt install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "doodle.html"
        command = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
        subprocess.run([*command, "export", "--run", "sketchnet-345", "--to", str(file)], cwd=DOCS.parent, check=True)
        browser = playwright.chromium.launch(executable_path=chromium)
        tab = browser.new_page(viewport=WINDOW, device_scale_factor=1.5)
        tab.goto(file.as_uri())
        tab.wait_for_selector("#page:not([hidden])")
        frames = [_screenshot(tab)]
        for events in _pieces():
            for event in events:
                tab.evaluate(_FIRE, event)
            frames.append(_screenshot(tab))
        browser.close()
    palette = frames[-1].quantize(COLOURS)
    shown = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    shown[0].save(
        DOCS / "page.gif", save_all=True, append_images=shown[1:], duration=[FRAME] * (len(shown) - 1) + [LAST],
        loop=0, optimize=True,
    )  # fmt: skip


def _screenshot(tab: Any) -> Image.Image:
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    return picture.resize((SHOWN, SHOWN * picture.height // picture.width), Image.Resampling.LANCZOS)


def _pieces() -> list[list[tuple[str, float, float]]]:
    """Pointer events that draw the doodle on a pad of 400 x 400, in pieces of about equal length."""
    events: list[tuple[str, float, float]] = []
    for xs, ys in json.loads(sample_line(WORD, NUMBER))["drawing"]:
        points = [(72 + x, 72 + y) for x, y in zip(xs, ys, strict=True)]
        events.append(("pointerdown", *points[0]))
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            steps = max(1, round(max(abs(x1 - x0), abs(y1 - y0)) / 8))
            events += [
                ("pointermove", x0 + (x1 - x0) * k / steps, y0 + (y1 - y0) * k / steps) for k in range(1, steps + 1)
            ]
        events.append(("pointerup", *points[-1]))
    return [events[len(events) * k // PIECES : len(events) * (k + 1) // PIECES] for k in range(PIECES)]


if __name__ == "__main__":
    main()
