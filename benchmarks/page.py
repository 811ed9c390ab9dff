"""Measures the page that `sketchpipe export` writes, in Chromium: its size, its first guess, and the time of a guess.

    python benchmarks/page.py QUICKDRAW [--run RUN] [--drawings N] [--chromium PROGRAM]

Raw drawings of QUICKDRAW/raw are drawn by pointer events, one in each animation frame. A guess is made when the page
shows it: from the event to the end of the frame in which the new guess is there, with the wait for that frame. The same
once more with a CPU that Chromium slows down four times. The first guess is that of a stroke drawn as soon as the page
can be drawn on; its time counts from the beginning of the page's load, and contains reading the file and compiling.
Nothing else should run.
"""

import argparse
import gzip
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from accuracy import sketchpipe
from machine import machine, say
from training import positive

SLOWER = (1, 4)  # how much slower Chromium lets the CPU be
OPENED = 5  # times that the page is opened

_FIRST = """() => new Promise((resolve) => {
  const pad = document.getElementById("pad");
  const box = pad.getBoundingClientRect();
  const fire = (type, x, y) => pad.dispatchEvent(new PointerEvent(type, { pointerId: 7, pointerType: "mouse",
    isPrimary: true, button: 0, bubbles: true, cancelable: true, clientX: box.left + x, clientY: box.top + y }));
  fire("pointerdown", 20, 20);
  fire("pointermove", 90, 60);
  fire("pointerup", 90, 60);
  const look = () => sketchpipe.latest() === null ? requestAnimationFrame(look) : resolve(performance.now());
  requestAnimationFrame(look);
})"""
_DRAW = """async (strokes) => {
  const pad = document.getElementById("pad");
  const box = pad.getBoundingClientRect();
  const fire = (type, x, y) => pad.dispatchEvent(new PointerEvent(type, { pointerId: 7, pointerType: "mouse",
    isPrimary: true, button: type === "pointermove" ? -1 : 0, bubbles: true, cancelable: true,
    clientX: box.left + x, clientY: box.top + y }));
  const times = [];
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  for (const [x, y] of strokes) {
    fire("pointerdown", x[0], y[0]);
    for (let k = 1; k < x.length; k++) {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 16));  // an event comes at any time
      const before = sketchpipe.latest();
      const start = performance.now();
      fire("pointermove", x[k], y[k]);
      while (sketchpipe.latest() === before && performance.now() - start < 1000) await frame();
      times.push(performance.now() - start);
    }
    fire("pointerup", x.at(-1), y.at(-1));
  }
  document.getElementById("clear").click();
  return times;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickdraw", type=Path, help="the folder that has raw/")
    parser.add_argument("--run", default="sketchnet-345", help="%(default)s")
    parser.add_argument("--drawings", type=positive, default=20, help="%(default)s")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="%(default)s")
    options = parser.parse_args()
    print(machine(("playwright", "numba")))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        sketchpipe(Path(folder), "export", "--run", options.run, "--to", "doodle.html")
        file = Path(folder) / "doodle.html"
        print(sizes(file.read_text("utf-8")))
        chromium = playwright.chromium.launch(executable_path=options.chromium)
        print(f"{chromium.browser_type.name} {chromium.version}")
        drawings = raw_drawings(options.quickdraw, options.drawings)
        print("\n| CPU | first guess, median | event to guess, median | p95 | events |\n|---|---|---|---|---|")
        for slower in SLOWER:
            first, times = [], []
            for _ in range(OPENED):
                tab = chromium.new_page(viewport={"width": 390, "height": 780}, device_scale_factor=2)
                session = tab.context.new_cdp_session(tab)
                session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
                first.append(first_guess(tab, file))
                if not times:
                    for strokes in drawings:
                        times += tab.evaluate(_DRAW, strokes)
                    say(f"{len(times):,} events, {slower} times slower")
                tab.close()
            median, p95 = np.percentile(times, (50, 95))
            cpu = "as it is" if slower == 1 else f"{slower} times slower"
            print(f"| {cpu} | {np.median(first):.0f} ms | {median:.0f} ms | {p95:.0f} ms | {len(times):,} |")
        chromium.close()


def sizes(page: str) -> str:
    """The bytes of a page, in a sentence."""
    weights, kernels = (len(page.partition(f'id="{name}">')[2].partition("<")[0]) for name in ("weights", "kernels"))
    rest = len(page.encode()) - weights
    return f"{weights + rest:,} bytes: weights {weights:,}; the rest {rest:,}, of which kernels {kernels:,} in base64"


def first_guess(tab: Page, file: Path) -> float:
    """Milliseconds from the beginning of the load to the first guess."""
    tab.goto(file.as_uri(), wait_until="commit")
    tab.wait_for_selector("#page:not([hidden])")
    return float(tab.evaluate(_FIRST))


def raw_drawings(quickdraw: Path, count: int) -> list[Any]:
    """The first raw drawing of some classes, evenly chosen, each scaled to 300 pixels; x and y of each stroke."""
    files = sorted((quickdraw / "raw").glob("*.ndjson.gz"))
    found = []
    for file in files[:: max(1, len(files) // count)][:count]:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            strokes = [stroke[:2] for stroke in json.loads(next(lines))["drawing"]]
        low = [min(min(stroke[axis]) for stroke in strokes) for axis in (0, 1)]
        side = max(1, *(max(max(stroke[axis]) for stroke in strokes) - low[axis] for axis in (0, 1)))
        found.append(
            [[[10 + 300 * (v - low[axis]) / side for v in stroke[axis]] for axis in (0, 1)] for stroke in strokes]
        )
    return found


if __name__ == "__main__":
    main()
