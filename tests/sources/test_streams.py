import gzip
import os
import subprocess
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.sources.streams import Stream
from tests.sources.compressed_files import CONTENT, LARGE, LEGAL, TEXT, read_all, zstd

pytestmark = pytest.mark.long


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cat.ndjson"


@pytest.mark.parametrize("name", LEGAL)
def test_a_whole_file_is_read_whatever_its_format(path: Path, name: str) -> None:
    path.write_bytes(LEGAL[name])
    kind = name.split()[-1] if name.startswith("large") else name.split()[0]
    expected = "plain" if kind in ("empty", "one") else kind
    for count in (1, 997, 1 << 20) if len(LEGAL[name]) < 5000 else (99_991, 1 << 22):
        assert read_all(path, count) == (CONTENT.get(name, TEXT), None, expected)


def test_a_read_gives_as_much_as_was_asked_for(path: Path) -> None:
    for content in (LARGE, gzip.compress(LARGE), zstd(LARGE)):
        path.write_bytes(content)
        with Stream(path) as stream:
            assert stream.read(0) == b""
            assert stream.read(1_000_001) == LARGE[:1_000_001]
            assert stream.read(5) == LARGE[1_000_001:1_000_006]
            assert stream.read(1 << 30) == LARGE[1_000_006:]
            assert stream.file_offset == len(content)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1_400_000)), max_size=6), st.sampled_from(["", "gz", "zst"]))
def test_seeking_and_reading_give_what_the_decompressed_file_has_there(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[bool, int]], kind: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"seek.{kind}"
    path.write_bytes({"": LARGE, "gz": gzip.compress(LARGE, 1), "zst": zstd(LARGE)}[kind])
    with Stream(path) as stream:
        place = 0
        for is_seek, number in moves:
            if is_seek:
                stream.seek_to(number)
                place = number
                assert stream.offset in (place, len(LARGE))
            else:
                count = number % 50_000
                assert stream.read(count) == LARGE[place : place + count]
                place = min(place + count, max(place, len(LARGE)))


def zeros(kind: str, mebibytes: int) -> Iterator[bytes]:
    """A compressed file of that many zeros."""
    deflate = zlib.compressobj(wbits=31) if kind == "gzip" else zstandard.ZstdCompressor(level=3).compressobj()
    for _ in range(mebibytes):
        yield deflate.compress(bytes(1 << 20))
    yield deflate.flush()


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_is_never_decompressed_further_than_it_is_read(path: Path, kind: str) -> None:
    with path.open("wb") as file:
        file.writelines(zeros(kind, 200))
    assert path.stat().st_size < 300_000
    tracemalloc.start()
    try:
        with Stream(path) as stream:
            for count in (1 << 20, 1 << 22, 100):
                tracemalloc.clear_traces()
                tracemalloc.reset_peak()
                read = stream.read(count)
                assert len(read) == count
                assert tracemalloc.get_traced_memory()[1] < 1.25 * count + (1 << 20)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_gigabyte_out_of_a_megabyte_takes_little_memory_in_the_whole_process(path: Path, kind: str) -> None:
    with path.open("wb") as file:
        file.writelines(zeros(kind, 1024))
    script = """
import resource, sys
from pathlib import Path
from pipeline.sources.streams import Stream
with Stream(Path(sys.argv[1])) as stream:
    stream.read(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total = 1
    while read := stream.read(1 << 22):
        total += len(read)
    print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, stream.damage)
"""
    told = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True).stdout
    total, grown, damage = told.split()
    assert (int(total), damage) == (1 << 30, "None")
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(grown) * unit < 24 << 20  # 4 MiB read, twice, and the allocator's share


def test_a_pipe_is_read_but_does_not_go_back(tmp_path: Path) -> None:
    for content in (TEXT, gzip.compress(TEXT), zstd(TEXT)):
        pipe = tmp_path / f"pipe{len(content)}"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        with Stream(pipe) as stream:
            stream.seek_to(10)
            assert stream.read(20) == TEXT[10:30]
            with pytest.raises(InputError, match=r"pipe\d+: is a pipe, which can be read only once; give a file"):
                stream.seek_to(5)
            assert stream.read(1 << 20) == TEXT[30:]
        writer.join()


def test_a_file_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(InputError, match=f"{path}: cannot be read"):
            Stream(path)
    if Path("/proc/self/mem").exists():
        with pytest.raises(InputError, match=r"/proc/self/mem: cannot be read \(Input/output error\)"):
            Stream(Path("/proc/self/mem"))


def test_a_stream_names_its_file_and_closes_it(path: Path) -> None:
    path.write_bytes(gzip.compress(TEXT))
    with Stream(path) as stream:
        assert (stream.path, stream.format, stream.offset, stream.damage) == (path, "gzip", 0, None)
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)
