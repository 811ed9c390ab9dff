import gzip
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from tests.sources.compressed_files import LARGE, LEGAL, TEXT, flushed, read_all, zstd

pytestmark = pytest.mark.long


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cat.ndjson"


@pytest.mark.parametrize("name", ["gzip", "gzip of two members", "gzip in flushed parts", "zstd", "zstd of two frames"])
def test_a_file_cut_at_any_byte_says_so_and_gives_what_was_before(path: Path, name: str) -> None:
    whole = LEGAL[name]
    first_end = len(gzip.compress(TEXT[:500])) if "members" in name else len(zstd(TEXT[:500]))
    best = 0
    for cut in range(2, len(whole)):
        path.write_bytes(whole[:cut])
        content, damage, kind = read_all(path)
        assert kind == name.split()[0]
        assert TEXT.startswith(content)
        if "two" in name and cut == first_end:  # a whole file of one member
            assert (content, damage) == (TEXT[:500], None)
        else:
            assert damage == f"its {kind} stream is cut short at byte {cut}"
        if "two" in name and cut >= first_end:
            assert len(content) >= 500
        assert len(content) >= best  # a longer piece of the file never gives less
        best = len(content)
    assert best > 0.9 * len(TEXT) or kind == "zstd"


def test_a_cut_gzip_file_gives_all_that_zlib_can_decompress(path: Path) -> None:
    whole = gzip.compress(LARGE)
    for cut in (len(whole) // 2, 200_000, len(whole) - 9):
        path.write_bytes(whole[:cut])
        content, damage, _ = read_all(path)
        assert content == zlib.decompressobj(wbits=31).decompress(whole[:cut])
        assert damage == f"its gzip stream is cut short at byte {cut}"


def test_a_cut_zstd_file_gives_every_block_that_is_whole(path: Path) -> None:
    whole = zstd(LARGE)
    path.write_bytes(whole[:-5])
    content, damage, _ = read_all(path)
    assert LARGE.startswith(content)
    assert len(content) >= len(LARGE) - (1 << 17)
    assert damage == f"its zstd stream is cut short at byte {len(whole) - 5}"


FLIPPED = ("gzip", "gzip of two members", "gzip in flushed parts", "zstd", "zstd of two frames")


@pytest.mark.parametrize("name", FLIPPED)
def test_a_bit_flipped_anywhere_never_crashes_and_is_noticed_where_there_is_a_checksum(path: Path, name: str) -> None:
    whole = LEGAL[name]
    guarded = len(zstd(TEXT[:500])) if name == "zstd of two frames" else len(whole)  # its second has none
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                content, damage, kind = read_all(path)
            except InputError as error:  # a sound frame could need such a window
                if "needs a window of" not in str(error):
                    raise
                continue
            if kind == "plain":
                assert place < 4
                assert content == damaged
            elif place < guarded and content != TEXT:
                assert damage is not None, (place, bit)


def test_what_was_decompressed_before_damage_is_given_with_its_place(path: Path) -> None:
    whole = bytearray(flushed(LARGE, 10_000))
    place = len(flushed(LARGE[:1_000_000], 10_000)) - 30  # in the last part of the first 1,000,000 bytes
    whole[place : place + 8] = b"\xff" * 8
    path.write_bytes(whole)
    content, damage, _ = read_all(path)
    assert content[:990_000] == LARGE[:990_000]
    assert damage is not None
    found = int(damage.split("near byte ")[1].split(":")[0])
    assert damage.startswith("its gzip stream is damaged near byte ")
    assert abs(found - place) < 64

    frames = [zstd(LARGE[:600_000]), bytearray(zstd(LARGE[600_000:]))]
    frames[1][1000] ^= 0xFF
    path.write_bytes(b"".join(frames))
    content, damage, _ = read_all(path)
    assert content[:600_000] == LARGE[:600_000]
    assert damage is not None
    assert "its zstd stream is damaged near byte" in damage


def test_a_wrong_checksum_is_damage_behind_all_the_bytes(path: Path) -> None:
    for whole, length, what in ((gzip.compress(TEXT), 8, "incorrect data check"), (zstd(TEXT), 4, "checksum")):
        damaged = bytearray(whole)
        damaged[-length] ^= 1
        path.write_bytes(damaged)
        content, damage, _ = read_all(path)
        assert content == TEXT
        assert damage is not None
        assert what in damage
        assert len(whole) - length <= int(damage.split("near byte ")[1].split(":")[0]) < len(whole)


def test_garbage_behind_the_end_is_named_and_all_before_it_is_given(path: Path) -> None:
    for kind, whole in (("gzip", gzip.compress(TEXT)), ("zstd", zstd(TEXT))):
        for garbage in (b"x", b"garbage\n", b"\1" * 300_000):
            path.write_bytes(whole + garbage)
            count = "1 byte" if len(garbage) == 1 else f"{len(garbage):,} bytes"
            are = "is" if len(garbage) == 1 else "are"
            end = f"{count} after the end of the {kind} stream at byte {len(whole)} {are} not {kind}"
            assert read_all(path) == (TEXT, end, kind)
    path.write_bytes(gzip.compress(TEXT) + bytes(300_000) + b"x")
    assert read_all(path)[:2] == (
        TEXT,
        f"300,001 bytes after the end of the gzip stream at byte {len(gzip.compress(TEXT))} are not gzip",
    )


def test_a_window_beyond_128_mib_and_a_dictionary_are_refused_with_a_remedy(path: Path) -> None:
    frame = bytearray(zstd(LARGE, window_log=27)[:200])
    assert zstandard.get_frame_parameters(bytes(frame)).window_size == len(LARGE)  # one segment needs no more
    # A frame header without content size: descriptor 0, and a window of 2**28.
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00" + bytes([(28 - 10) << 3]) + b"\x01\0\0")
    too_large = "its zstd frame at byte 0 needs a window of 256 MiB, more than 128; compress it anew with --long=27"
    with pytest.raises(InputError, match=too_large):
        read_all(path)
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00" + bytes([(27 - 10) << 3]) + b"\x01\0\0")
    assert read_all(path) == (b"", None, "zstd")
    dictionary = zstandard.train_dictionary(2000, [TEXT[k : k + 100] for k in range(0, 1000, 7)] * 20)
    path.write_bytes(zstandard.ZstdCompressor(dict_data=dictionary).compress(TEXT))
    assert read_all(path)[1] == "its zstd frame at byte 0 needs a dictionary; compress it anew without one"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"\x1f\x8b", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"]), st.binary())
def test_any_bytes_behind_a_magic_number_end_in_damage_or_a_stream(
    tmp_path_factory: pytest.TempPathFactory, magic: bytes, rest: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "anything"
    path.write_bytes(magic + rest)
    try:
        content, damage, kind = read_all(path)
    except InputError:  # a window of more than 128 MiB
        return
    assert kind in ("gzip", "zstd")
    if kind == "gzip" and damage is None:
        assert content == gzip.decompress(magic + rest)
