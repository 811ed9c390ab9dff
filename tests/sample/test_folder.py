"""The sample's folder: made once, marked, and never made of somebody's drawings."""

from pathlib import Path

import pytest

from pipeline.errors import OutputError, UsageError
from pipeline.sample.doodles import SAMPLE_WORDS
from pipeline.sample.folder import make_sample
from pipeline.sources.files import SAMPLE_MARK


def test_a_sample_is_made_once_and_anew_for_other_numbers(tmp_path: Path) -> None:
    assert make_sample(tmp_path / "s", drawings_per_class=1)
    first = (tmp_path / "s" / "cat.ndjson").read_bytes()
    assert not make_sample(tmp_path / "s", drawings_per_class=1)
    assert make_sample(tmp_path / "s", drawings_per_class=2)
    assert (tmp_path / "s" / "cat.ndjson").read_bytes().startswith(first)
    (tmp_path / "s" / "cat.ndjson").unlink()
    assert make_sample(tmp_path / "s", drawings_per_class=2)
    assert {path.stem for path in (tmp_path / "s").glob("*.ndjson")} == set(SAMPLE_WORDS)
    assert (tmp_path / "s" / SAMPLE_MARK).read_text() == "2 drawings a class, seed 0\n"


def test_drawings_of_others_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "cat.ndjson").write_text("mine\n")
    with pytest.raises(OutputError, match="exists, but is not of a sample"):
        make_sample(tmp_path, drawings_per_class=1)
    assert [path.name for path in tmp_path.iterdir()] == ["cat.ndjson"]


@pytest.mark.parametrize("wrong", [{"drawings_per_class": 0}, {"seed": -1}])
def test_numbers_that_are_too_small_make_no_folder(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="expected"):
        make_sample(tmp_path / "s", **wrong)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("mark", [b"\xff", b"", b"x" * 100_000])
def test_a_mark_that_is_no_text_of_ours_means_that_the_sample_is_made_anew(tmp_path: Path, mark: bytes) -> None:
    assert make_sample(tmp_path, drawings_per_class=1)
    whole = (tmp_path / SAMPLE_MARK).read_bytes()
    (tmp_path / SAMPLE_MARK).write_bytes(mark)
    assert make_sample(tmp_path, drawings_per_class=1)
    assert (tmp_path / SAMPLE_MARK).read_bytes() == whole
    assert not make_sample(tmp_path, drawings_per_class=1)


def test_a_sample_that_does_not_fit_on_the_disk_is_refused_before_it_is_begun(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"about 5,000,000,\d.* bytes are needed, .* lower --drawings-per-class"):
        make_sample(tmp_path / "s", drawings_per_class=10**18)
    assert not (tmp_path / "s").exists()
