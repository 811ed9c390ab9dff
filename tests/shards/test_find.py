"""Which folder of shards is taken where none is named."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.shards.find import only_shards


def shards_in(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "manifest.json").touch()


def test_the_only_folder_of_shards_is_found(tmp_path: Path) -> None:
    shards_in(tmp_path / "sample")
    (tmp_path / "notes").mkdir()
    assert only_shards(tmp_path) == tmp_path / "sample"


def test_shards_may_lie_in_the_folder_itself(tmp_path: Path) -> None:
    shards_in(tmp_path / "shards")
    assert only_shards(tmp_path / "shards") == tmp_path / "shards"


def test_of_several_none_is_taken_and_all_are_named(tmp_path: Path) -> None:
    for name in ("b", "a"):
        shards_in(tmp_path / name)
    with pytest.raises(UsageError, match=rf"holds several: name {tmp_path}/a or {tmp_path}/b"):
        only_shards(tmp_path)


def test_where_there_are_none_it_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="make some with `sketchpipe shards`, or name a folder"):
        only_shards(tmp_path / "missing")
