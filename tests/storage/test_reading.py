"""Files are opened without waiting, looked at, and read up to a limit."""

import os
import socket
from pathlib import Path

import pytest

from pipeline.storage.reading import UnfitFileError, open_readable, open_regular, read_limited, read_list


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    assert read_limited(file, 7, link=False) == b"content"
    with open_regular(file, link=False) as opened:
        assert opened.read(3) == b"con"


def test_a_longer_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    with pytest.raises(UnfitFileError, match="has 7 bytes, more than the 6"):
        read_limited(file, 6, link=False)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="there is no /proc")
def test_a_file_that_claims_no_size_is_read_up_to_the_limit() -> None:
    with pytest.raises(UnfitFileError, match="more than the 100 bytes"):
        read_limited(Path("/proc/self/maps"), 100, link=False)


def test_a_link_is_followed_only_if_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_limited(tmp_path / "link", 100, link=True) == b"content"
    with pytest.raises(UnfitFileError, match="is a link where a file belongs"):
        read_limited(tmp_path / "link", 100, link=False)


@pytest.mark.parametrize("link", [False, True])
def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path, link: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnfitFileError, match="is a pipe, not a file"):
        open_regular(tmp_path / "pipe", link=link)
    with pytest.raises(UnfitFileError, match="is a device, not a file"):
        open_regular(Path("/dev/zero"), link=link)
    with pytest.raises(UnfitFileError, match="is a folder, not a file"):
        open_regular(tmp_path, link=link)
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(UnfitFileError, match=r"is a device|is a link"):
        read_limited(tmp_path / "zero", 100, link=link)


def test_a_missing_file_is_reported_as_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "missing", link=False)


def test_a_list_may_come_through_a_pipe_and_not_from_a_device(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, "\ufeffcat\nkäse\n".encode())
    os.close(writing)
    assert read_list(Path(f"/dev/fd/{reading}")) == ["cat", "käse"]
    os.close(reading)
    (tmp_path / "link").symlink_to("/dev/zero")
    for device in (Path("/dev/zero"), tmp_path / "link"):
        with pytest.raises(UnfitFileError, match="is a device, not a file"):
            read_list(device)


def test_a_terminal_is_read_to_its_end() -> None:
    terminal, keyboard = os.openpty()
    os.write(terminal, b"cat\n\x04dog\n")  # Ctrl-D ends the text, though more could be read
    with open_readable(Path(os.ttyname(keyboard))) as opened:
        assert opened.read() == b"cat\n"
    os.close(terminal)
    os.close(keyboard)


def test_what_can_be_read_is_neither_a_socket_nor_a_folder(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(UnfitFileError, match="is a socket, not a file"):
            open_readable(tmp_path / "socket")
    with pytest.raises(IsADirectoryError):
        open_readable(tmp_path)
