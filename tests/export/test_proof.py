"""What a page computes, run by wasmtime, against what sketchpipe computes."""

import dataclasses
import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.export.page import proof_drawings
from model.export.page_engine import KERNELS, make_engine
from model.runs.opening import open_run
from model.runs.weights import BUILT_IN
from model.scoring.loaded import load_best
from pipeline.browser.compile import compile_kernels
from pipeline.drawings import Drawings, from_strokes
from pipeline.errors import MismatchError, UsageError
from pipeline.rendering.raster import ENCODINGS
from pipeline.rendering.render import FRAMINGS, render
from pipeline.sources.raw import simplify
from tests.export.test_export import SETTINGS
from tests.runs.fresh_runs import fresh_run

pytest.importorskip("wasmtime", reason="wasmtime, of the extra page, is not installed")
from model.export.proof import TOLERANCE, PageRunner, prove


@pytest.fixture(scope="module")
def module() -> bytes:
    return compile_kernels(KERNELS)


@pytest.fixture(scope="module")
def drawings() -> Drawings:
    return proof_drawings(None).slice(0, 40)


@pytest.mark.parametrize(("network", "changes"), SETTINGS)
def test_every_network_gives_the_runs_probabilities(
    tmp_path: Path, module: bytes, drawings: Drawings, network: str, changes: dict[str, Any]
) -> None:
    loaded = load_best(fresh_run(tmp_path / "run", network, **{**changes, "precision": "float32"}))
    few = drawings if network == "sketch-classifier" else drawings.slice(0, 10)
    found = prove(module, make_engine(loaded), loaded, few)
    assert found.drawings == len(few)
    assert 0 < found.difference < TOLERANCE / 10
    assert found.renamed < len(few) / 2


@pytest.mark.parametrize(("encoding", "framing", "size"), list(itertools.product(ENCODINGS, FRAMINGS, (32, 64, 128))))
def test_images_are_equal_in_every_encoding_framing_and_size(
    tmp_path: Path, module: bytes, drawings: Drawings, encoding: str, framing: str, size: int
) -> None:
    run = fresh_run(tmp_path / "run", "sketch-classifier", encoding=encoding, framing=framing, image_size=size)
    runner = PageRunner(module, make_engine(load_best(run)))
    expected = render(drawings, run.config.render_config())
    for n in range(len(drawings)):
        one = drawings.slice(n, n + 1)
        np.testing.assert_array_equal(runner.render(one.x, one.y, one.stroke_end), expected[n])


def test_raw_drawings_are_simplified_to_the_same_points_and_named_the_same(module: bytes, quickdraw: Path) -> None:
    loaded = load_best(open_run(BUILT_IN / "sketchnet-345"))
    runner = PageRunner(module, make_engine(loaded))
    raw = [
        [stroke[:2] for stroke in json.loads(line)["drawing"]]
        for file in sorted((quickdraw / "raw").glob("*.ndjson.gz"))
        for line in gzip.decompress(file.read_bytes()).splitlines()[:3]
    ]
    assert len(raw) > 900
    simplified = [simplify(strokes) for strokes in raw]
    for strokes, expected in zip(raw, simplified, strict=True):
        x, y, ends = runner.simplify(strokes)
        assert ends.tolist() == np.cumsum([len(one) for one, _ in expected]).tolist()
        np.testing.assert_array_equal(x, np.concatenate([one for one, _ in expected]))
        np.testing.assert_array_equal(y, np.concatenate([one for _, one in expected]))
    as_lists = [[[x.tolist(), y.tolist()] for x, y in strokes] for strokes in simplified[:300]]
    proof = prove(module, make_engine(loaded), loaded, from_strokes(as_lists, ["cat"] * len(as_lists)))
    assert proof.difference < TOLERANCE / 10


def test_a_drawing_of_dots_and_one_that_is_too_long_are_as_in_python(module: bytes, tmp_path: Path) -> None:
    runner = PageRunner(module, make_engine(load_best(fresh_run(tmp_path / "run", "sketch-classifier"))))
    x, y, ends = runner.simplify([[[3.5], [2]], [[9], [8]]])
    expected = simplify([([3.5], [2]), ([9], [8])])
    assert [x.tolist(), y.tolist()] == [np.concatenate([one[axis] for one in expected]).tolist() for axis in (0, 1)]
    assert ends.tolist() == [2, 4]
    there_and_back = np.tile([0.0, 255.0], 300)
    for made in (runner.simplify, simplify):
        with pytest.raises(UsageError, match=r"too long|longer than"):
            made([(there_and_back, there_and_back)])


def test_a_difference_is_an_error_that_says_where(module: bytes, drawings: Drawings, tmp_path: Path) -> None:
    loaded = load_best(fresh_run(tmp_path / "run", "sketch-classifier"))
    engine = make_engine(loaded)
    few = drawings.slice(0, 12)

    def changed(**fields: Any) -> Any:
        return dataclasses.replace(engine, fields={**engine.fields, **fields})

    with pytest.raises(MismatchError, match="the page draws drawing 1 differently"):
        prove(module, changed(line_width=2.0), loaded, few)
    with pytest.raises(MismatchError, match=r"computes another probability for drawing \d+, by 0?\.?\d"):
        prove(module, changed(temperature=1.01), loaded, few)
    with pytest.raises(UsageError, match="too long"):
        prove(module, changed(points=1), loaded, few)


def test_weights_that_rounding_changes_much_are_counted_and_no_error(
    module: bytes, drawings: Drawings, tmp_path: Path
) -> None:
    loaded = load_best(fresh_run(tmp_path / "run", "sketch-classifier"))
    params = loaded.variables["params"]
    dense = {**params["dense"], "bias": np.roll(np.linspace(-3, 3, 5, dtype=np.float32), 1)}
    other = dataclasses.replace(loaded, variables={**loaded.variables, "params": {**params, "dense": dense}})
    assert prove(module, make_engine(loaded), other, drawings.slice(0, 12)).renamed > 0
