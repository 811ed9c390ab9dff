"""The page in Chromium: files, the game, and whether everybody can use it."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.runs.find import with_built_in
from model.runs.opening import open_run
from model.scoring.loaded import load_best
from model.scoring.predict import Predictor
from pipeline.drawings import from_strokes
from pipeline.sources.raw import simplify
from pipeline.sources.read import read_drawings
from tests.export.opened_page import DESK, PHONE, RUN, Points, draw, latest, opened, raw_drawings, side_of, strokes_of
from tests.small import in_process

HOUSE = [[[20.5, 20.5, 200.25, 200.25, 20.5], [200.0, 90.0, 90.0, 200.0, 200.0]], [[20.0, 110.0, 200.0], [90, 10, 90]]]
DOT = [[[300.0], [250.0]]]
KEPT = "Kept as"
SMALL_TARGETS = """() => [...document.querySelectorAll("button, summary, input")]
  .filter((one) => one.checkVisibility() && !one.matches(".unseen"))
  .map((one) => [one.id || one.textContent, one.getBoundingClientRect()])
  .filter(([, box]) => box.height < 44 || box.width < 44).map(([name]) => name)"""


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(load_best(open_run(with_built_in(Path(RUN)))))


def test_a_saved_file_is_read_by_shards_as_it_was_drawn(browser: Any, page_file: Path, tmp_path: Path) -> None:
    with opened(browser, page_file) as tab:
        draw(tab, HOUSE)
        shown = latest(tab)
        guessed = tab.text_content("#named")
        tab.get_by_role("button", name="Save drawings").click()
        assert tab.locator("#answer").input_value() == ""  # the guess is offered, not filled in
        assert tab.locator("#suggestions button").first.text_content() == guessed
        tab.locator("#answer").fill("  tree   house ")
        with tab.expect_download() as download:
            tab.keyboard.press("Enter")
        drawn = strokes_of(tab)
        file = tmp_path / download.value.suggested_filename
        download.value.save_as(file)
        assert tab.text_content("#told") == "1 drawing saved in drawings.ndjson."
    line = json.loads(file.read_text(encoding="utf-8"))
    assert line["word"] == "tree house"
    assert line["recognized"] is False
    assert line["drawing"] == drawn
    (drawing,) = read_drawings(file, strict=True)
    assert drawing.word == "tree house"
    assert str(drawing.key_id) == line["key_id"]
    expected = [[x.tolist(), y.tolist()] for x, y in simplify([(x, y) for x, y, _ in drawn])]
    assert [[list(x), list(y)] for x, y in drawing.strokes] == expected
    assert shown is not None
    assert [value for x, _ in expected for value in x] == shown["x"]
    ran = in_process("shards", "drawings.ndjson", "--to", "shards", "--strict", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_a_file_is_loaded_with_its_numbers_and_what_it_lacks_is_named(
    browser: Any, page_file: Path, tmp_path: Path
) -> None:
    line = {"word": "kite", "key_id": "5201136883597312", "timestamp": "2017-03-02 23:25:10.07453 UTC",
            "recognized": True, "drawing": [[[414.48199462890625, 1000.125], [-3.5, 77.0], [0, 40]]]}  # fmt: skip
    file = tmp_path / "kites.ndjson"
    file.write_text(f"{json.dumps(line)}\nnot JSON\n{json.dumps({'word': 'x'})}\n", encoding="utf-8")
    with opened(browser, page_file) as tab:
        draw(tab, HOUSE)
        tab.locator("#file").set_input_files(file)
        told = tab.locator("#told")
        told.filter(has_text="kites.ndjson").wait_for()
        assert told.text_content().endswith("kites.ndjson, line 2 is not a line of JSON, and 1 other line too.")
        assert strokes_of(tab) == line["drawing"]
        with tab.expect_download() as download:
            tab.get_by_role("button", name="Save drawings").click()
        saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        assert saved | {"timestamp": ""} == line | {"timestamp": ""}
        assert saved["timestamp"] == "2017-03-02 23:25:10.074 UTC"
        tab.get_by_role("button", name="Undo").click()
        assert [stroke[:2] for stroke in strokes_of(tab)] == HOUSE
        tab.reload()
        tab.locator("#gallery li").filter(has_text="kite").wait_for()


def test_a_dropped_file_is_loaded(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as tab:
        tab.evaluate("""() => {
          const dropped = new DataTransfer();
          dropped.items.add(new File(['{"word": "line", "drawing": [[[0, 255], [9, 9]]]}'], "line.ndjson"));
          for (const type of ["dragover", "drop"]) document.body.dispatchEvent(
            new DragEvent(type, { dataTransfer: dropped, bubbles: true, cancelable: true }));
        }""")
        tab.locator("#gallery li").filter(has_text="line").wait_for()
        assert [stroke[:2] for stroke in strokes_of(tab)] == [[[0, 255], [9, 9]]]
        with tab.expect_download() as download:
            tab.get_by_role("button", name="Save drawings").click()
        assert json.loads(Path(download.value.path()).read_text())["drawing"] == [[[0, 255], [9, 9]]]


def test_a_correction_is_kept_in_place_of_the_guess(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as tab:
        draw(tab, HOUSE)
        tab.get_by_role("button", name="Yes, keep it").click()
        guessed = tab.text_content("#named")
        assert tab.text_content("#question") == f"{KEPT} “{guessed}”."
        tab.get_by_role("button", name="Change the word").click()
        tab.locator("#answer").fill("shed")
        tab.keyboard.press("Enter")
        tab.locator("#question").filter(has_text="shed").wait_for()
        assert tab.locator("#gallery li").count() == 1
        tab.get_by_role("button", name="New drawing").click()
        assert strokes_of(tab) == []
        tab.get_by_role("button", name="Show the drawing of shed").click()
        assert [stroke[:2] for stroke in strokes_of(tab)] == HOUSE
        tab.get_by_role("button", name="Remove the drawing of shed").click()
        assert tab.locator("#gallery li").count() == 0


def test_a_picture_is_black_on_white(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file, **PHONE, color_scheme="dark") as tab:
        draw(tab, HOUSE)
        with tab.expect_download() as download:
            tab.get_by_role("button", name="Save picture").click()
        with Image.open(io.BytesIO(Path(download.value.path()).read_bytes())) as picture:
            pixels = np.asarray(picture.convert("L"))
        assert pixels.shape == (1024, 1024)
        assert pixels[0, 0] == 255
        assert pixels.min() == 0
        assert 0.005 < (pixels < 128).mean() < 0.1


def test_a_game_calls_skips_times_out_and_sums_up(
    browser: Any, page_file: Path, quickdraw: Path, predictor: Predictor
) -> None:
    with opened(browser, page_file) as tab:
        draw(tab, HOUSE)
        tab.clock.install(time=0)
        tab.clock.pause_at(1)  # from here on time passes only in `run_for`
        tab.get_by_role("button", name="Play six rounds").click()
        side = side_of(tab)
        results = []
        asked = []
        for number in range(6):
            word = tab.text_content("#asked")
            asked.append(word)
            assert tab.text_content("#round") == f"Round {number + 1} of 6: draw"
            right, wrong = one_right_one_wrong(predictor, raw_drawings(quickdraw, word, side), word)
            if number == 1:
                tab.get_by_role("button", name="Skip").click()
                results.append("skipped")
            elif number == 2 or right is None:
                draw(tab, wrong)
                tab.clock.run_for(1550)
                assert tab.text_content("#seconds") == "19 s left"
                tab.clock.run_for(19_500)
                results.append("it saw")
            else:
                draw(tab, right)
                tab.clock.run_for(60)
                assert tab.text_content("#seconds") == f"Yes, it is {word}!"
                results.append("named in 0.")
            tab.clock.run_for(2000)
        assert len(set(asked)) == 6
        tab.locator("#summary").wait_for()
        named = sum(result.startswith("named") for result in results)
        assert tab.text_content("#summary-title") == f"It named {named} of 6 drawings"
        for row, word, result in zip(tab.locator("#rounds li").all_text_contents(), asked, results, strict=True):
            assert row.startswith(word + result)
        tab.get_by_role("button", name="Keep the drawings").click()
        tab.get_by_role("button", name="Done").click()
        tab.clock.run_for(2000)
        assert tab.locator("#gallery li").count() == 5
        assert [stroke[:2] for stroke in strokes_of(tab)] == HOUSE
        assert tab.evaluate("Object.keys(localStorage).filter((name) => name.endsWith(' drawing')).length") == 1


def test_a_game_that_is_left_brings_the_drawing_back(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as tab:
        draw(tab, HOUSE)
        latest(tab)
        tab.get_by_role("button", name="Play six rounds").click()
        draw(tab, DOT)
        tab.reload()
        tab.wait_for_selector("#page:not([hidden])")
        assert [stroke[:2] for stroke in strokes_of(tab)] == HOUSE
        tab.get_by_role("button", name="Play six rounds").click()
        tab.get_by_role("button", name="End").click()
        assert [stroke[:2] for stroke in strokes_of(tab)] == HOUSE
        assert not tab.locator("#summary").is_visible()


@pytest.mark.parametrize("look", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_in_any_state_light_or_dark(browser: Any, page_file: Path, look: dict[str, Any]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    checked: list[str] = []
    with opened(browser, page_file, **look, reduced_motion="reduce") as tab:

        def check(state: str) -> None:
            checked.append(state)
            # the colours of a state are the same at every width: on the phone one scheme of each is enough
            for scheme in ("light", "dark") if look is DESK else (("light", "dark")[len(checked) % 2],):
                tab.emulate_media(color_scheme=scheme)
                latest(tab)
                assert axe.run(tab).generate_snapshot() == "", (state, scheme)
            assert tab.evaluate(SMALL_TARGETS) == [], state

        check("empty")
        draw(tab, HOUSE)
        tab.get_by_text("About this page").click()
        tab.get_by_role("button", name="Yes, keep it").click()
        check("drawn and kept")
        tab.get_by_text("About this page").click()
        tab.get_by_role("button", name="Change the word").click()
        check("the question")
        tab.keyboard.press("Escape")
        tab.get_by_role("button", name="Play six rounds").click()
        draw(tab, DOT)
        check("the game")
        tab.get_by_role("button", name="Skip").click()
        tab.get_by_role("button", name="End").click()
        check("the summary")
        tab.get_by_role("button", name="Done").click()
        tab.get_by_text("All 345 words").click()
        tab.evaluate("document.querySelectorAll('#all li:nth-child(n+20)').forEach((row) => row.remove())")  # for time
        check("all words")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_scrolls_sideways(browser: Any, page_file: Path, width: int) -> None:
    with opened(browser, page_file, viewport={"width": width, "height": 640}) as tab:

        def check() -> None:
            assert tab.evaluate("document.documentElement.scrollWidth") <= width

        check()
        draw(tab, HOUSE)
        tab.get_by_text("All 345 words").click()
        tab.get_by_text("About this page").click()
        tab.get_by_role("button", name="No, it is").click()
        tab.locator("#answer").fill("w" * 100)
        tab.keyboard.press("Enter")
        check()
        tab.get_by_role("button", name="Play six rounds").click()
        draw(tab, HOUSE)
        check()


def test_a_screen_reader_is_told_at_most_once_a_second(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as tab:
        tab.clock.install()
        tab.evaluate("""() => {
          window.told = [];
          const live = document.getElementById("live");
          new MutationObserver(() => told.push(Date.now())).observe(live, { childList: true });
        }""")
        for offset in range(40):
            draw(tab, [[[value + 3 * offset for value in axis] for axis in stroke] for stroke in HOUSE])
            tab.clock.run_for(100)
        times = tab.evaluate("told")
        assert len(times) > 1
        assert min(np.diff(times)) >= 1000


def one_right_one_wrong(
    predictor: Predictor, drawings: list[list[Points]], word: str
) -> tuple[list[Points] | None, list[Points]]:
    """A drawing of which the network says the word, if there is one, and one of which it says another."""
    simplified = [[[x.tolist(), y.tolist()] for x, y in simplify([(x, y) for x, y in one])] for one in drawings]
    predicted = predictor.predict(from_strokes(simplified, [""] * len(drawings))).argmax(axis=1)
    right = predicted == predictor.classes.index(word)
    wrong = drawings[int(right.argmin())] if not right.all() else HOUSE
    return (drawings[int(right.argmax())] if right.any() else None), wrong
