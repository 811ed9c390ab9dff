"""Nothing is written, renamed or deleted through a link, and no pipe is waited for."""

import os
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.sample.folder import make_sample
from pipeline.storage.commit import locked
from pipeline.storage.files import Output, write_atomically
from pipeline.storage.locks import holder_of, locked_file
from pipeline.storage.reading import UnfitFileError


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of somebody else."""
    path = tmp_path / "precious.txt"
    path.write_text("precious")
    return path


def test_a_file_is_not_written_through_a_link_or_into_a_pipe(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "link").symlink_to(precious)
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("link", "is a link"), ("pipe", "is a pipe")):
        with pytest.raises(UnfitFileError, match=what):
            Output(tmp_path / name)
    assert precious.read_text() == "precious"


def test_a_link_where_a_file_is_prepared_is_removed_and_not_followed(tmp_path: Path, precious: Path) -> None:
    (tmp_path / ".file.partial").symlink_to(precious)
    with pytest.raises(UnfitFileError, match="is a link"):
        write_atomically(tmp_path / "file", "text")
    write_atomically(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"
    assert precious.read_text() == "precious"


def test_a_link_at_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "file").symlink_to(precious)
    write_atomically(tmp_path / "file", "text")
    assert not (tmp_path / "file").is_symlink()
    assert precious.read_text() == "precious"


def test_a_lock_is_neither_a_link_nor_a_pipe(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "link").symlink_to(precious)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        assert holder_of(tmp_path / name) is None
        with pytest.raises(UnfitFileError), locked_file(tmp_path / name, str):
            pass
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("name", [".hidden", ".hidden/lock", ".hidden/entry", ".hidden/folder/entry"])
def test_a_folder_is_not_locked_if_something_hidden_in_it_is_a_link(tmp_path: Path, precious: Path, name: str) -> None:
    place = tmp_path / "folder" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path if name == ".hidden" else precious)
    with pytest.raises(OutputError, match=f"^{place}: is a link.*; remove it"), locked(tmp_path / "folder", ".hidden"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "precious.txt"]
    assert precious.read_text() == "precious"


def test_the_sample_is_not_written_through_links(tmp_path: Path, precious: Path) -> None:
    for name in (".cat.ndjson.partial", ".synthetic"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).symlink_to(precious)
        with pytest.raises(OutputError, match="is a link"):
            make_sample(folder, drawings_per_class=1)
    assert precious.read_text() == "precious"
    (tmp_path / ".synthetic" / ".synthetic").unlink()
    os.mkfifo(tmp_path / ".synthetic" / ".synthetic")
    with pytest.raises(OutputError, match=r"\.synthetic: is a pipe, not a file; remove it"):
        make_sample(tmp_path / ".synthetic", drawings_per_class=1)
