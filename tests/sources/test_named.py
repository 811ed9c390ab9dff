"""The drawings of files that somebody names."""

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.sources.named import read_named
from pipeline.sources.rejects import Reject

CAT = '{"word": "cat", "drawing": [[[0, 9], [0, 9]]]}\n'


def test_drawings_come_file_by_file_and_rejected_lines_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text(CAT + "{\n" + CAT)
    (tmp_path / "b.ndjson").write_text(CAT.replace("cat", "dog"))
    told: list[Reject] = []
    found = list(read_named([str(tmp_path / "a.ndjson"), str(tmp_path / "b.ndjson")], told.append))
    assert [[part.words[word] for word in part.word] for part in found] == [["cat", "cat"], ["dog"]]
    assert [str(reject).startswith(f"{tmp_path}/a.ndjson:2:") for reject in told] == [True]


def test_files_without_a_drawing_are_an_error_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "empty.ndjson").touch()
    with pytest.raises(InputError, match=r"empty\.ndjson: no drawing to predict"):
        list(read_named([str(tmp_path / "empty.ndjson")]))
    with pytest.raises(InputError, match="a folder, not a file"):
        list(read_named([str(tmp_path)]))
