"""The drawings of files that somebody names."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.sources.read import read_named
from pipeline.sources.rejects import Reject
from tests.sources.naive_binary import pack

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


def test_a_pipe_is_read_and_what_is_missing_is_named(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    line = '{"word": "cat", "drawing": [[[1, 2], [3, 4]]]}\n'
    with ThreadPoolExecutor(1) as writer:
        writer.submit(pipe.write_text, line)
        assert [part.words for part in read_named([str(pipe)])] == [["cat"]]
    with pytest.raises(InputError, match="nothing: no such file"):
        list(read_named([str(tmp_path / "nothing")]))


def test_a_file_of_packed_records_is_of_the_word_that_its_name_declares(tmp_path: Path) -> None:
    for name in ("full_binary_hot dog.bin", "my thing.bin"):
        (tmp_path / name).write_bytes(pack(1 << 21, [[[0, 9], [0, 9]]]))
    found = [
        part for name in ("full_binary_hot dog.bin", "my thing.bin") for part in read_named([str(tmp_path / name)])
    ]
    assert [part.words for part in found] == [["hot dog"], ["my thing"]]
