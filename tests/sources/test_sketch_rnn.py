"""sketch-rnn's npz is read as strokes, and its pickles run nothing."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.sources.converters.sketch_rnn import is_sketch_rnn, sketch_rnn_word
from pipeline.sources.readers import read_head, read_source
from tests.sources.naive_ndjson import parse_line
from tests.sources.other_kinds import read, refused, sketch_rnn, source_of, stroke_3

SMALL = [([10, 40, 255], [20, 20, 60]), ([30, 31], [90, 91])]
LARGE = [([0, 1000, 400], [0, 0, 900]), ([100], [700])]
MOVED = [[[x - 10 for x in xs], [y - 20 for y in ys]] for xs, ys in SMALL]


def npy(array: Any, *, header: dict[str, Any] | None = None, protocol: int = 2) -> bytes:
    """An array of objects as NumPy writes it, or any object in its place."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header or {"descr": "|O", "fortran_order": False, "shape": (1,)})
    pickle.dump(array, file, protocol=protocol)
    return file.getvalue()


def archive(path: Path, **members: bytes) -> Path:
    """A zip file with these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def objects(*values: Any) -> np.ndarray[Any, Any]:
    """An array of objects."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def outcome(path: Path) -> tuple[list[Any], list[str]]:
    """The drawings of a file and the reasons of its rejects, or the beginning of the error."""
    try:
        found, rejects = read(path)
    except InputError as error:
        return [], [" ".join(str(error).split()[:2])]
    return found, [reject.reason for reject in rejects]


@pytest.mark.parametrize("kind", ["int16", "int8", "int64", "uint8", ">i4", "float32", "float64"])
def test_rows_become_strokes_that_begin_at_0(tmp_path: Path, kind: str) -> None:
    drawing = [([0, 40, 90], [0, 20, 60]), ([95, 96], [90, 91])]
    path = sketch_rnn(tmp_path / "hot dog.npz", train=[stroke_3(drawing, kind)])
    found, rejects = read(path)
    assert rejects == []
    assert [(one["word"], one["drawing"]) for one in found] == [
        ("hot dog", [list(map(list, stroke)) for stroke in drawing])
    ]


def test_all_three_splits_are_read_and_aligned(tmp_path: Path) -> None:
    splits = {
        name: [stroke_3([([x + k for x in (10, 20)], [k, 50 + k])])]
        for k, name in enumerate(("train", "valid", "test"))
    }
    found, rejects = read(sketch_rnn(tmp_path / "cat.full.npz", **splits))
    assert rejects == []
    assert [one["drawing"] for one in found] == [[[[0, 10], [0, 50]]]] * 3
    assert {one["word"] for one in found} == {"cat"}
    found, _ = read(sketch_rnn(tmp_path / "cat.npz", train=[stroke_3(SMALL)]))
    assert [one["drawing"] for one in found] == [MOVED]


def test_larger_drawings_are_simplified_as_raw_ones_are(tmp_path: Path) -> None:
    found, rejects = read(sketch_rnn(tmp_path / "cat.npz", test=[stroke_3(LARGE)]))
    raw = {"word": "cat", "drawing": [[list(xs), list(ys), [0] * len(xs)] for xs, ys in LARGE]}
    assert rejects == []
    assert [one["drawing"] for one in found] == [parse_line(json.dumps(raw).encode())["drawing"]]


def test_the_size_of_a_file_is_estimated_although_its_first_drawings_are_large(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(-9, 9, (40, 30_000, 3)).astype(np.int16)
    rows[:, :, 2] = 0
    path = sketch_rnn(tmp_path / "cat.npz", test=list(rows), train=list(rows[:, :20]) * 8)
    _, size = read_head(source_of(path))
    whole = sum(len(chunk.text) for chunk in read_source(source_of(path)))
    assert whole / 2 < size < 2 * whole


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_python_2_and_3_write_is_read(tmp_path: Path, protocol: int) -> None:
    content = npy(objects(stroke_3(SMALL), stroke_3(SMALL)), protocol=protocol)
    older = content.replace(b"numpy._core", b"numpy.core") if protocol < 4 else content
    found, rejects = read(archive(tmp_path / "cat.npz", train=content, valid=older))
    assert [one["drawing"] for one in found] == [MOVED] * 4
    assert rejects == []


def test_the_strings_of_python_2_are_read(tmp_path: Path) -> None:
    rows = stroke_3(SMALL).astype("<i2")
    text = rows.tobytes()
    build = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(I%d\nI3\ntcnumpy\ndtype\n(U\x02i2"
        b"I0\nI1\ntR(I3\nU\x01<NNNI-1\nI-1\nI0\ntbI00\nU%ctb" % (len(rows), len(text))
    ) + text + b"tb"  # fmt: skip
    build = build.replace(b"I00\nU%ctb" % len(text), b"I00\nU%c" % len(text))
    outer = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(I1\ntcnumpy\ndtype\n(U\x02O8"
        b"I0\nI1\ntR(I3\nU\x01|NNNI-1\nI-1\nI63\ntbI00\n(l" + build + b"atb."
    )
    header = npy(None)[: -len(pickle.dumps(None, 2))]
    found, rejects = read(archive(tmp_path / "cat.npz", train=header + outer))
    assert [one["drawing"] for one in found] == [MOVED]
    assert rejects == []


class Runs:
    """A pickle that runs a command when it is read."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_code_is_refused_and_nothing_runs(tmp_path: Path, protocol: int) -> None:
    ran = tmp_path / "ran"
    for call in ((os.mkdir, str(ran)), (eval, f"__import__('os').mkdir({str(ran)!r})"), (os.system, f"mkdir {ran}")):
        for content in (objects(Runs(*call)), Runs(*call), [Runs(*call)]):
            said = refused(archive(tmp_path / "cat.npz", train=npy(content, protocol=protocol)))
            assert "its pickle asks for" in said
            assert "which may run code; it was not read" in said
    assert not ran.exists()


@pytest.mark.parametrize(
    "content",
    [
        npy([1, 2]), npy(None), npy({"train": 1}), npy(objects(1))[:-3], npy(objects(1))[:90] + b"\x80\x02.", b"",
        b"text", npy(objects(1)).replace(b"|O", b"<i2"),
    ],
)  # fmt: skip
def test_what_is_no_array_of_objects_is_refused_or_damage(tmp_path: Path, content: bytes) -> None:
    path = archive(tmp_path / "cat.npz", train=content)
    found, rejects = outcome(path)
    assert found == []
    assert rejects in (["damaged-file"], [f"{path}: train.npy"])


def test_objects_that_are_no_drawings_are_rejected_one_by_one(tmp_path: Path) -> None:
    rows = stroke_3(SMALL)
    strange: list[Any] = [1, None, "text", [], rows[:, :2], rows[0], np.zeros((2, 5), "i2"), np.zeros((0, 3), "i2"),
                          np.full((2, 3), np.nan), np.full((2, 3), np.inf), np.array(["a"]), rows]  # fmt: skip
    found, rejects = read(sketch_rnn(tmp_path / "cat.npz", train=strange))
    assert [one["drawing"] for one in found] == [MOVED]
    assert [reject.line for reject in rejects] == list(range(1, len(strange)))


def test_a_bomb_is_refused_before_it_is_decompressed(tmp_path: Path) -> None:
    path = archive(tmp_path / "cat.npz", train=npy(objects(1)) + bytes(30 << 20))
    assert "decompressed from" in refused(path)


def test_an_archive_cut_short_or_changed_gives_no_traceback_and_no_other_drawing(tmp_path: Path) -> None:
    whole = sketch_rnn(tmp_path / "whole.npz", train=[stroke_3(SMALL)], test=[stroke_3(SMALL)]).read_bytes()
    path = tmp_path / "cat.npz"
    for cut in range(50, len(whole), 3):
        path.write_bytes(whole[:cut])
        found, rejects = read(path)
        assert found == []
        assert [reject.reason for reject in rejects] == ["damaged-file"]
    for place in range(60, len(whole), 2):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        found, _ = outcome(path)
        assert all(one["drawing"] == MOVED for one in found)


def test_another_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=np.zeros(3))
    assert (
        "an npz archive that is not sketch-rnn's: expected the arrays train, valid and test, found x_train.npy"
        in refused(tmp_path / "a.npz")
    )
    assert not is_sketch_rnn(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", train=np.zeros(3))
    assert "train.npy holds numbers, not drawings" in refused(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "name",
    ["hot dog.npz", "hot dog.full.npz", "sketchrnn_hot_dog.npz", "sketchrnn%2Fhot%20dog.full.npz", "x/hot dog.npz.gz"],
)
def test_the_word_is_that_of_the_name(name: str) -> None:
    assert sketch_rnn_word(name) == "hot dog"
