"""What is noted of lines that were taken, in manifest, summary and refusals of a build."""

import json
from pathlib import Path

import pytest

import pipeline
from pipeline.errors import InputError
from pipeline.shards.contents import read_contents
from pipeline.shards.folder import build_folder, foresee_build
from pipeline.shards.manifest import read_manifest
from pipeline.shards.options import BuildOptions
from tests.shards.builds import build, record, records, rows_of, write
from tests.small import in_process

PAIRS, EITHER = [[[1, 2], [3, 4], [5, 6], [7, 8]]], [[[1, 2], [3, 4]]]


def test_fields_that_cannot_be_read_are_null_and_counted_by_field_and_reason(tmp_path: Path) -> None:
    lines = records("cat", range(3), timestamp="") + records("cat", range(3, 5), recognized="yes", countrycode=49)
    folder = write(tmp_path / "in", cat=lines + record("cat", 7, recognized=1, timestamp=1714557600000))
    manifest = build(folder, tmp_path / "out")
    notes = {"countrycode-of-another-type": 2, "recognized-unreadable": 2, "timestamp-empty": 3}
    assert manifest.notes == read_manifest(tmp_path / "out").notes == read_contents(tmp_path / "out").notes == notes
    assert (manifest.sources[0].read, manifest.sources[0].written, dict(manifest.rejects)) == (6, 6, {})
    assert [row[3:5] for row in rows_of(tmp_path / "out") if row[5]] == [(True, None)]


def test_a_manifest_without_notes_has_no_such_field(tmp_path: Path) -> None:
    build(write(tmp_path / "in", cat=records("cat", range(3))), tmp_path / "out")
    assert "notes" not in json.loads((tmp_path / "out" / "manifest.json").read_text())


def test_only_lines_that_are_read_are_counted_whatever_the_chunks(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(9), timestamp=""))
    for workers in (1, 2):
        manifest = build(folder, tmp_path / f"out{workers}", workers=workers, drawings_per_class=4)
        assert manifest.notes == {"timestamp-empty": 4}


def test_strict_stops_at_the_first_field_that_cannot_be_read(tmp_path: Path) -> None:
    lines = records("cat", range(2), recognized=1) + record("cat", 3, timestamp="")
    folder = write(tmp_path / "in", cat=lines + b"x\n")
    with pytest.raises(InputError, match=r'in/cat.ndjson:3: "timestamp" is not like "2017-03-02 .*" \(--strict\)'):
        build(folder, tmp_path / "out", strict=True)
    folder = write(tmp_path / "in", cat=records("cat", range(2)) + b"x\n" + record("cat", 3, timestamp=""))
    with pytest.raises(InputError, match=r"in/cat.ndjson:3: expected a JSON object"):
        build(folder, tmp_path / "out", strict=True)


def test_strict_names_the_line_although_the_shards_are_there(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(2)) + record("cat", 3, timestamp=""))
    build(folder, tmp_path / "out")
    for attempt in (build_folder, foresee_build):
        with pytest.raises(InputError, match=r'in/cat.ndjson:3: "timestamp" is not like'):
            attempt([str(folder)], tmp_path / "out", BuildOptions(), strict=True)


def test_canvas_coordinates_are_simplified_and_counted_and_strict_refuses_them(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(2)) + record("cat", 3, [[[0, 600], [0, 300]]]))
    assert build(folder, tmp_path / "out").notes == {"canvas-coordinates": 1}
    assert [[[0, 255], [0, 128]]] in [row[2] for row in rows_of(tmp_path / "out")]
    with pytest.raises(InputError, match=r"in/cat.ndjson:3: a coordinate is not a whole number from 0 to 255.*strict"):
        build(folder, tmp_path / "strict", strict=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_of_points_is_taken_whole_or_not_at_all(tmp_path: Path, workers: int) -> None:
    folder = write(tmp_path / "in", cat=b"".join(record("cat", key, PAIRS) for key in range(3)))
    build(folder, tmp_path / "out", workers=workers)
    assert [row[2] for row in rows_of(tmp_path / "out")] == [[[[1, 3, 5, 7], [2, 4, 6, 8]]]] * 3
    for lines in ([EITHER, PAIRS], [PAIRS, EITHER]):
        write(folder, cat=b"".join(record("cat", key, drawing) for key, drawing in enumerate(lines)))
        with pytest.raises(InputError, match=r"in/cat.ndjson:\d: its strokes are lists of points"):
            build(folder, tmp_path / "refused", workers=workers)
        assert not (tmp_path / "refused").exists()
        with pytest.raises(InputError, match="its strokes are lists of points"):
            pipeline.read_drawings(folder)


def test_a_text_key_id_is_a_key_of_its_own(tmp_path: Path) -> None:
    lines = [record("cat", None).replace(b"null", key) for key in (b'"user-0"', b'"user-1"', b'"user-0"', b"null")]
    manifest = build(write(tmp_path / "in", cat=b"".join(lines)), tmp_path / "out")
    assert 8188522848524297003 in [row[0] for row in rows_of(tmp_path / "out")]
    assert manifest.sources[0].duplicates >= 1


def test_the_library_warns_of_fields_that_are_null(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(2), timestamp=""))
    with pytest.warns(UserWarning, match="fields read as null: timestamp empty in 2 lines"):
        assert len(pipeline.read_drawings(folder)) == 2
    with pytest.raises(InputError, match=r'in/cat.ndjson:1: "timestamp" is not like'):
        pipeline.read_drawings(folder, strict=True)


def test_the_commands_say_what_was_noted(tmp_path: Path) -> None:
    write(tmp_path / "in", cat=records("cat", range(2), timestamp="") + record("cat", 3, [[[0, 600], [0, 300]]]))
    ran = in_process("shards", "in", "--to", "out", cwd=tmp_path)
    assert ran.returncode == 0
    noted = ("  fields read as null: timestamp empty in 2 lines\n", "  simplified: 1 drawing in canvas coordinates\n")
    assert all(sentence in ran.stderr for sentence in noted)
    inspected = in_process("inspect", "out", cwd=tmp_path)
    assert all(sentence in inspected.stdout for sentence in noted)


def test_a_file_whose_strokes_may_all_be_points_is_told(tmp_path: Path) -> None:
    lines = [f'{{"word":"cat","key_id":"{k}","drawing":[[[1,2],[3,{k}]]]}}\n' for k in range(10)]
    (tmp_path / "cat.ndjson").write_text("".join(lines))
    done = in_process("shards", "cat.ndjson", "--to", "out", cwd=tmp_path)
    assert done.returncode == 0
    assert "in 1 file each stroke has two points (or each three), and was read as Google writes it" in done.stderr
    assert read_manifest(tmp_path / "out").notes == {"files-of-unsure-strokes": 1}
    (tmp_path / "cat.ndjson").write_text("".join(lines) + '{"word":"cat","drawing":[[[1,2,3,4],[3,4,5,6]]]}\n')
    done = in_process("shards", "cat.ndjson", "--to", "out", cwd=tmp_path)
    assert "two points" not in done.stderr
    assert read_manifest(tmp_path / "out").notes is None


def test_the_library_warns_of_a_file_whose_strokes_may_all_be_points(tmp_path: Path) -> None:
    (tmp_path / "cat.ndjson").write_text('{"word":"cat","drawing":[[[1,2],[3,4]]]}\n' * 10)
    with pytest.warns(UserWarning, match="each stroke has two points"):
        pipeline.read_drawings(tmp_path / "cat.ndjson")
