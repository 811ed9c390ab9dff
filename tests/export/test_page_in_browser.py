"""The page in Chromium: what is drawn, guessed, undone and kept over a reload."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.runs.find import with_built_in
from model.runs.opening import open_run
from model.scoring.loaded import load_best
from model.scoring.predict import Predictor
from pipeline.drawings import from_strokes
from pipeline.sources.raw import simplify
from tests.export.opened_page import (
    DESK,
    PHONE,
    RUN,
    draw,
    draw_each,
    latest,
    opened,
    raw_drawings,
    side_of,
    split,
    strokes_of,
)

DRAWINGS = 200
# How far the page has scrolled, once it has.
SCROLLED = """() => new Promise((resolve) => {
  let frames = 0;
  const look = () => (scrollY > 100 || frames++ > 300 ? resolve(scrollY) : requestAnimationFrame(look));
  look();
})"""
CORNERS = [[[20.0, 200.0, 200.0], [30.0, 30.0, 210.0]], [[60.0, 90.0], [150.0, 150.0]]]
WAVES = [[[10.0, 60.0, 110.0], [y, y + 20, y]] for y in (50.0, 90.0, 130.0)]
LINE = [[[10.0, 110.0], [20.0, 20.0]]]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(load_best(open_run(with_built_in(Path(RUN)))))


def test_code_styles_and_kernels_take_at_most_100_kilobytes(page_file: Path) -> None:
    content = page_file.read_text(encoding="utf-8")
    about, weights = (content.partition(f'id="{name}">')[2].partition("</script>")[0] for name in ("about", "weights"))
    assert len(weights) > 1_000_000
    assert len(content.encode()) - len(weights) - len(about.encode()) <= 100_000


def test_drawn_by_pointer_events_strokes_pixels_and_guesses_equal_pythons(
    browser: Any, page_file: Path, quickdraw: Path, predictor: Predictor
) -> None:
    with opened(browser, page_file) as tab:
        side = side_of(tab)
        drawn = [raw_drawings(quickdraw, word, side)[0] for word in predictor.classes[:DRAWINGS]]
        found = draw_each(tab, drawn)
    assert [shown["held"] for shown in found] == drawn
    expected = [[[x.tolist(), y.tolist()] for x, y in simplify([(x, y) for x, y in one])] for one in drawn]
    for strokes, shown in zip(expected, found, strict=True):
        x, y = (split(shown[axis], shown["ends"]) for axis in "xy")
        assert [[a.tolist(), b.tolist()] for a, b in zip(x, y, strict=True)] == strokes
    drawings = from_strokes(expected, [""] * DRAWINGS)
    images = predictor.images(drawings)
    np.testing.assert_array_equal(np.stack([shown["image"] for shown in found]), images)
    probabilities = predictor.probabilities(images)
    # the page's weights are float16, and its sums are added in another order
    np.testing.assert_allclose([shown["probabilities"] for shown in found], probabilities, atol=5e-3)
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    clear = first - second > 5e-3
    assert clear.sum() > 0.95 * DRAWINGS
    np.testing.assert_array_equal(
        np.array([shown["top"] for shown in found])[clear], probabilities.argmax(axis=1)[clear]
    )


def test_a_finger_draws_without_scrolling_and_scrolls_beside_the_pad(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file, **PHONE) as tab:
        tab.evaluate("window.cancelled = 0; addEventListener('pointercancel', () => cancelled++, true)")
        box = tab.locator("#pad").bounding_box()
        swipe(tab, box["x"] + 150, box["y"] + 300, -250)
        (stroke,) = strokes_of(tab)
        assert len(stroke[0]) > 10
        assert stroke[1][-1] < 100
        assert stroke[2] == sorted(stroke[2])
        assert tab.evaluate("[scrollY, cancelled]") == [0, 0]
        swipe(tab, 150, 700, -250)  # on the guesses
        assert tab.evaluate(SCROLLED) > 100
        assert len(strokes_of(tab)) == 1


def test_a_second_finger_draws_nothing(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file, **PHONE) as tab:
        box = tab.locator("#pad").bounding_box()
        first = {"x": box["x"] + 50, "y": box["y"] + 50, "id": 1}
        second = {"x": box["x"] + 200, "y": box["y"] + 90, "id": 2}
        session = tab.context.new_cdp_session(tab)
        touch(session, "touchStart", [first])
        touch(session, "touchStart", [first, second])
        touch(session, "touchMove", [{**first, "x": first["x"] + 60}, {**second, "x": second["x"] + 60}])
        touch(session, "touchEnd", [])
        (stroke,) = strokes_of(tab)
        assert stroke[0][0] == pytest.approx(50)
        assert max(stroke[0]) < 120


def test_a_pen_takes_the_pad_from_the_palm_and_keeps_it(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as tab:
        tab.evaluate("""() => {
          const pad = document.getElementById("pad"), box = pad.getBoundingClientRect();
          const fire = (type, pointerId, pointerType, x) => pad.dispatchEvent(new PointerEvent(type, {
            pointerId, pointerType, button: 0, clientX: box.left + x, clientY: box.top + 50 }));
          fire("pointerdown", 1, "touch", 10);
          fire("pointerdown", 2, "pen", 100);
          fire("pointermove", 1, "touch", 20);
          fire("pointermove", 2, "pen", 120);
          fire("pointerup", 2, "pen", 120);
          fire("pointerdown", 3, "touch", 300);
          fire("pointerup", 3, "touch", 300);
        }""")
        assert [stroke[0] for stroke in strokes_of(tab)] == [[100, 120]]


def test_a_tap_is_a_dot_and_a_cancelled_stroke_is_kept(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as tab:
        tab.locator("#pad").click(position={"x": 40, "y": 60})
        ((x, y, _),) = strokes_of(tab)
        assert [*x, *y] == pytest.approx([40, 60], abs=0.1)
        assert latest(tab) is not None
        tab.evaluate("""() => {
          const pad = document.getElementById("pad"), box = pad.getBoundingClientRect();
          const at = (x) => ({ pointerId: 9, button: 0, clientX: box.left + x, clientY: box.top + 80 });
          pad.dispatchEvent(new PointerEvent("pointerdown", at(50)));
          pad.dispatchEvent(new PointerEvent("pointermove", at(90)));
          pad.dispatchEvent(new PointerEvent("pointercancel", at(0)));
          pad.dispatchEvent(new PointerEvent("pointermove", at(130)));
        }""")
        assert [stroke[0] for stroke in strokes_of(tab)] == [x, [50, 90]]


def test_undo_redo_and_clear_go_back_and_forth(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as tab:
        draw(tab, CORNERS)
        counts = []
        for press in ("Undo", "Undo", "Redo", "Redo", "Clear", "Undo"):
            tab.get_by_role("button", name=press, exact=True).click()
            counts.append(len(strokes_of(tab)))
        assert counts == [1, 0, 1, 2, 0, 2]
        for keys in ("Control+z", "Control+Shift+z", "Control+z", "Control+y"):
            tab.keyboard.press(keys)
            counts.append(len(strokes_of(tab)))
        assert counts[6:] == [1, 2, 1, 2]
        draw(tab, LINE)
        assert [stroke[:2] for stroke in strokes_of(tab)] == [*CORNERS, *LINE]
        tab.wait_for_selector("#redo[aria-disabled=true]")


def test_resized_and_reloaded_the_drawing_is_the_same(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as tab:
        draw(tab, CORNERS)
        before, strokes, guess = ink(tab), strokes_of(tab), latest(tab)
        side = side_of(tab)
        tab.set_viewport_size({"width": 500, "height": 900})
        latest(tab)
        assert side_of(tab) != side
        assert strokes_of(tab) == strokes
        np.testing.assert_allclose(ink(tab), before, atol=0.02)  # lines are no thinner than a pixel and a half
        tab.reload()
        tab.wait_for_selector("#page:not([hidden])")
        assert strokes_of(tab) == strokes
        again = latest(tab)
        assert guess is not None
        assert again is not None
        np.testing.assert_array_equal(again["image"], guess["image"])
        tab.get_by_role("button", name="Undo").click()
        assert strokes_of(tab) == strokes[:1]
        draw(tab, LINE)  # on the smaller pad, in the units of the larger one
        np.testing.assert_allclose(strokes_of(tab)[1][0], np.array(LINE[0][0]) * side / side_of(tab))


def test_without_storage_it_draws_keeps_and_says_that_nothing_is_stored(browser: Any, page_file: Path) -> None:
    refused = """for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name,
        { get() { throw new DOMException("refused", "SecurityError"); } });"""
    with opened(browser, page_file, refused) as tab:
        draw(tab, CORNERS)
        tab.get_by_role("button", name="Yes, keep it").click()
        assert "does not store" in tab.text_content("#told")


def test_by_keyboard_everything_can_be_drawn_and_pressed(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as tab:
        tab.locator("#pad").focus()
        for key in ("Space", "ArrowRight", "Shift+ArrowRight", "ArrowDown", "Space", "ArrowLeft"):
            tab.keyboard.press(key)
        (stroke,) = strokes_of(tab)
        side = side_of(tab)
        np.testing.assert_allclose(np.array(stroke[:2]) / side, [[0.5, 0.52, 0.6, 0.6], [0.5, 0.5, 0.5, 0.52]])
        pressed = []
        for _ in range(12):
            tab.keyboard.press("Tab")
            pressed.append(tab.evaluate("document.activeElement.id"))
        assert [name for name in pressed if name in ("undo", "clear", "right", "play", "save")] == [
            "undo", "clear", "right", "play", "save",
        ]  # fmt: skip


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_a_replay_shows_stroke_after_stroke_and_then_the_whole(browser: Any, page_file: Path, motion: str) -> None:
    shown = "sketchpipe.latest().simplified.ends.length"
    timed = [[*stroke, [500 * number, 500 * number + 90, 500 * number + 200]] for number, stroke in enumerate(WAVES)]
    line = json.dumps({"word": "ocean", "drawing": timed}).encode()
    with opened(browser, page_file, **DESK, reduced_motion=motion) as tab:
        tab.locator("#file").set_input_files({"name": "waves.ndjson", "mimeType": "", "buffer": line})
        tab.locator("#gallery li").wait_for()
        whole = latest(tab)
        tab.clock.install()
        tab.get_by_role("button", name="Replay").click()
        counts = []
        for _ in range(40):
            tab.clock.run_for(100)
            counts.append(tab.evaluate(shown))
        assert [count for count, before in zip(counts, [0, *counts], strict=False) if count != before] == [1, 2, 3]
        assert tab.text_content("#replay-label") == "Replay"
        again = tab.evaluate("[...sketchpipe.latest().image]")
        assert whole is not None
        np.testing.assert_array_equal(again, whole["image"].ravel())


def test_a_browser_that_cannot_run_it_gets_a_sentence(browser: Any, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page_file.as_uri())
    tab.get_by_text("a browser of 2023 or later").wait_for()
    context.close()
    context = browser.new_context()
    tab = context.new_page()
    tab.add_init_script("delete window.WebAssembly")
    tab.goto(page_file.as_uri())
    tab.wait_for_selector("#trouble.now")
    assert "browser" in tab.text_content("#trouble")
    context.close()


def swipe(tab: Any, x: float, y: float, dy: float) -> None:
    """A finger that goes down at a place of the viewport, moves up or down, and is lifted."""
    session = tab.context.new_cdp_session(tab)
    touch(session, "touchStart", [{"x": x, "y": y}])
    for step in range(1, 21):
        touch(session, "touchMove", [{"x": x, "y": y + dy * step / 20}])
    touch(session, "touchEnd", [])


def touch(session: Any, kind: str, points: list[dict[str, float]]) -> None:
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def ink(tab: Any) -> list[float]:
    """The box of what is drawn on the pad: left, right, top and bottom as shares of its side."""
    box: list[float] = (
        tab.evaluate("""() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
      const pad = document.getElementById("pad"), side = pad.width;
      const copy = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
      copy.drawImage(pad, 0, 0);
      const { data } = copy.getImageData(0, 0, side, side);
      let [left, right, top, bottom] = [side, 0, side, 0];
      for (let k = 0; k < side * side; k++) if (data[4 * k + 3] > 128) {
        [left, right] = [Math.min(left, k % side), Math.max(right, k % side)];
        [top, bottom] = [Math.min(top, Math.floor(k / side)), Math.max(bottom, Math.floor(k / side))];
      }
      resolve([left, right, top, bottom].map((value) => value / side));
    })))""")
    )
    return box
