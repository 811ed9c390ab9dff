"""`sketchpipe simplify`: raw drawings as Google's simplified lines."""

import gzip
import json
from pathlib import Path

import pytest

from pipeline.errors import InputError, OutputError, UsageError
from pipeline.simplified import write_simplified
from tests.small import sketchpipe

RAW = '{"word":"cat","key_id":"7","drawing":[[[100,110,120],[-50,-50,-50],[0,10,20]],[[110],[-45],[30]]]}\n'
SIMPLIFIED = '{"word":"cat","key_id":"7","drawing":[[[0,255],[0,0]],[[128,128],[64,64]]]}\n'


def lines_of(path: Path) -> list[str]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return text.decode().splitlines(keepends=True)


def test_lines_are_googles_own_where_google_published_both_forms(tmp_path: Path, quickdraw: Path) -> None:
    raw, simplified = quickdraw / "raw", quickdraw / "simplified"
    google = {json.loads(line)["key_id"]: line for path in sorted(simplified.iterdir()) for line in lines_of(path)}
    names = [name for name in ("cat", "dog", "bicycle", "The Eiffel Tower") if (raw / f"{name}.ndjson.gz").exists()]
    made = list(write_simplified([str(raw / f"{name}.ndjson.gz") for name in names], tmp_path, workers=2))
    lines = [line for one in made for line in lines_of(one.path)]
    both = [line for line in lines if json.loads(line)["key_id"] in google]
    assert len(both) > 50
    assert [line for line in both if line != google[json.loads(line)["key_id"]]] == []


def test_command_writes_simplified_lines_and_says_what_was_rejected(tmp_path: Path) -> None:
    (tmp_path / "full_raw_cat.ndjson").write_text(RAW + "no drawing\n" + RAW.replace('"7"', '"8"'))
    done = sketchpipe("simplify", "full_raw_cat.ndjson", "--to", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/cat.ndjson").read_text() == SIMPLIFIED + SIMPLIFIED.replace('"7"', '"8"')
    assert "1 line rejected; the first: " in done.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/cat.jsonl").write_text(RAW)
    (tmp_path / "mine/dog.json").write_text(RAW)
    told: list[str] = []
    list(write_simplified([str(tmp_path / "mine")], tmp_path / "mine-out", tell=told.append))
    assert told == [f"passed over in {tmp_path / 'mine'}: 1 .json"]
    assert "out: 2 drawings in 1 file, 1 rejected" in done.stderr
    again = sketchpipe("simplify", "full_raw_cat.ndjson", "--to", "out", cwd=tmp_path)
    assert "nothing to do; 1 file already there" in again.stderr


def test_all_fields_of_a_line_are_kept_in_googles_order(tmp_path: Path) -> None:
    line = (
        '{"word":"caf\u00e9","countrycode":"DE","timestamp":"2017-03-02 23:25:10.5 UTC","recognized":false,'
        '"key_id":"5","drawing":[[[0,255],[0,9]]]}\n'
    )
    whole = line.replace("10.5 UTC", "10.0 UTC").replace('"5"', '"6"')
    (tmp_path / "a.ndjson").write_text(line + whole, encoding="utf-8")
    list(write_simplified([str(tmp_path / "a.ndjson")], tmp_path / "out"))
    assert (tmp_path / "out/a.ndjson").read_text(encoding="utf-8") == line + whole


def test_a_drawing_without_key_id_stays_without(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('{"word":"cat","drawing":[[[1,2],[3,4]]]}\n')
    list(write_simplified([str(tmp_path / "a.ndjson")], tmp_path / "out"))
    assert (tmp_path / "out/a.ndjson").read_text() == '{"word":"cat","drawing":[[[1,2],[3,4]]]}\n'


def test_a_file_with_other_content_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "cat.ndjson").write_text(RAW)
    with pytest.raises(OutputError, match=r"cat\.ndjson: exists with other content"):
        list(write_simplified([str(tmp_path / "cat.ndjson")], tmp_path))
    assert (tmp_path / "cat.ndjson").read_text() == RAW
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.ndjson"]


def test_two_sources_of_one_name_are_an_error(tmp_path: Path) -> None:
    for name in ("a/cat.ndjson", "b/cat.ndjson"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(RAW)
    with pytest.raises(UsageError, match=r"would both be written to"):
        list(write_simplified([str(tmp_path / "a"), str(tmp_path / "b")], tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_source_without_drawings_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cat.ndjson").write_text("nothing\n")
    with pytest.raises(InputError, match=r"cat\.ndjson"):
        list(write_simplified([str(tmp_path / "cat.ndjson")], tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []
