"""No drawing of a damaged gzip member or zstd frame gets into shards; --keep-going leaves the member out."""

import contextlib
import gzip
import json
import os
import random
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DamagedError, InputError, SketchpipeError
from pipeline.shards.folder import build_folder, foresee_build
from pipeline.shards.journal import Entry, Journal
from pipeline.shards.manifest import read_manifest
from pipeline.shards.options import BuildOptions
from pipeline.shards.repair import repair_folder
from pipeline.sources.files import Source
from pipeline.sources.read import read_drawings, read_named
from pipeline.sources.readers import read_parts
from tests.shards.builds import build, counts_of, files_of, keys_of, records, rows_of
from tests.small import in_process
from tests.sources.compressed_files import zstd
from tests.sources.damaged_files import flipped, packed
from tests.sources.other_kinds import sketch_rnn, stroke_3

KINDS = ("gzip", "zstd", "pzstd")
FLIPS = 300
WORDS = [record for word in ("cat", "dog", "sun") for record in records(word, range(100)).splitlines(keepends=True)]


def shards_of(folder: Path) -> dict[str, bytes]:
    """The Parquet files of a folder."""
    return {name: content for name, content in files_of(folder).items() if name.endswith(".parquet")}


def exit_code(action: Callable[[], object]) -> int:
    """The exit code with which a command would end that does this."""
    try:
        action()
    except SketchpipeError as error:
        return error.exit_code
    return 0


def sketches(folder: Path, **files: bytes) -> Path:
    """A folder with these files of ndjson."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.ndjson").write_bytes(content)
    return folder


def told_and_read(path: Path) -> tuple[int, list[int]]:
    """The exit code with which reading a file ends, and the key_ids of the drawings that were read if it is 0."""
    keys: list[int] = []

    def read() -> None:
        for drawings in read_parts(Source(path, path.name, None)):
            keys.extend(drawings.key_id.tolist())

    code = exit_code(read)
    return code, keys if code == 0 else []


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_flipped_bit_never_gives_a_drawing_that_is_not_in_the_file(tmp_path: Path, kind: str) -> None:
    (whole,) = packed(kind, [b"".join(WORDS)])
    out, dice = tmp_path / "out", random.Random(5)
    given = sketches(tmp_path / "in", mixed=whole)
    build(given, out)
    good, codes = files_of(out), Counter[int]()
    _, keys = told_and_read(given / "mixed.ndjson")
    for trial in range(FLIPS):
        damaged, place = flipped(whole, dice)
        sketches(given, mixed=damaged)
        code, read = told_and_read(given / "mixed.ndjson")
        assert code in (0, 4) or place < 4, code  # where a flipped bit makes a file that is no compressed one
        assert read == (keys if code == 0 else [])
        codes[code] += 1
        if trial % 20 == 0:
            assert exit_code(lambda: build(given, out, force=True)) == code
            assert files_of(out) == good
    assert codes[4] > 0.9 * FLIPS


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_off_is_an_error_and_its_whole_members_are_kept_if_asked(tmp_path: Path, kind: str) -> None:
    parts = [b"".join(WORDS[:120]), b"".join(WORDS[120:200]), b"".join(WORDS[200:])]
    members = packed(kind, parts)
    whole, ends = b"".join(members), np.cumsum([len(member) for member in members]).tolist()
    for number in range(1, 50):
        cut = len(whole) * number // 50
        given = sketches(tmp_path / "in", mixed=whole[:cut])
        assert told_and_read(given / "mixed.ndjson")[0] == (0 if cut in ends else 4)
        if number % 8 == 0:
            kept = b"".join(part for part, end in zip(parts, ends, strict=True) if end <= cut).splitlines()
            code = exit_code(lambda: build(given, tmp_path / "out", keep_going=True, force=True))  # noqa: B023
            assert code == (0 if kept else 3)
            if kept:
                rows = [(row[1], str(row[0])) for row in rows_of(tmp_path / "out")]
                assert sorted(rows) == sorted((line["word"], line["key_id"]) for line in map(json.loads, kept))


def damaged_middle(folder: Path, kind: str) -> tuple[Path, Path]:
    """Folders of three files, of which one has a damaged middle member and one is cut off; and of their whole members.

    A line goes on from each member to the next.
    """
    parts = [b"".join(WORDS)[:9000], b"".join(WORDS)[9000:18_000], b"".join(WORDS)[18_000:]]
    members = packed(kind, parts)
    start, end = len(members[0]) + 40, len(members[0]) + len(members[1]) - 4
    damaged, _ = flipped(b"".join(members), random.Random(1), start, end)
    first, last = (packed(kind, [records("cat", range(k, k + 300))])[0] for k in (500, 1500))
    cut, _ = packed(kind, [records("dog", range(900, 1000)), records("dog", range(1000, 1400))])
    rest = packed(kind, [records("dog", range(1000, 1400))])[0][:-7]
    given = sketches(folder / "in", a=first, b=damaged, c=cut + rest, d=last)
    return given, sketches(folder / "whole" / "in", a=first, b=members[0], c=cut, d=last)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limits", [{}, {"drawings_per_class": 350}, {"drawings_per_class": 40, "skip_per_class": 90}])
def test_keeping_going_is_building_from_the_files_without_their_damaged_members(
    tmp_path: Path, kind: str, limits: dict[str, int]
) -> None:
    given, whole = damaged_middle(tmp_path, kind)
    expected = build(whole, tmp_path / "expected", **limits)
    made = [build(given, tmp_path / f"{workers}", workers=workers, keep_going=True, **limits) for workers in (1, 2)]
    assert shards_of(tmp_path / "1") == shards_of(tmp_path / "expected")
    assert files_of(tmp_path / "2") == files_of(tmp_path / "1")
    assert made[0].damaged_files == made[0].rejects["damaged-file"] == 2
    assert expected.damaged_files is None
    for source, other in zip(made[0].sources, expected.sources, strict=True):
        dropped = source.name in ("in/b.ndjson", "in/c.ndjson")
        assert (source.bytes, source.hash, source.written) == (other.bytes, other.hash, other.written)
        assert (source.read, source.rejected) == (other.read + dropped, other.rejected + dropped)
    lost = [json.loads(line) for line in (tmp_path / "1" / "rejects.ndjson").read_text().splitlines()]
    lost = [line for line in lost if line["reason"] == "damaged-file"]
    name = "gzip member 2" if kind == "gzip" else "zstd frame 2"
    start = len((whole / "b.ndjson").read_bytes())
    assert f"; {name}, from byte {start + (12 if kind == 'pzstd' else 0)} on, and all after it" in lost[0]["message"]


class DiedError(BaseException):
    """The process dies here."""


@contextlib.contextmanager
def dying(entries: int) -> Iterator[None]:
    """Builds inside die once the journal holds so many more entries."""
    append, left = Journal.append, [entries]

    def counted(journal: Journal, entry: Entry) -> None:
        if not left[0]:
            raise DiedError
        left[0] -= 1
        append(journal, entry)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "append", counted)
        yield


@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_that_keeps_going_may_die_after_each_entry_of_its_journal(tmp_path: Path, workers: int) -> None:
    given, _ = damaged_middle(tmp_path, "gzip")
    how: dict[str, Any] = {"workers": workers, "keep_going": True, "chunk_bytes": 1 << 20, "segment_input_bytes": 5000}
    build(given, tmp_path / "expected", **how)
    died = 0
    for entries in range(12):
        out = tmp_path / f"{entries}"
        try:
            with dying(entries):
                build(given, out, **how)
        except DiedError:
            died += 1
            build(given, out, **how)
        assert files_of(out) == files_of(tmp_path / "expected")
    assert died > 6


def test_work_of_a_version_that_took_rows_which_nothing_proved_is_begun_anew(tmp_path: Path) -> None:
    given = sketches(tmp_path / "in", cat=records("cat", range(300)), dog=records("dog", range(300, 600)))
    with dying(1), pytest.raises(DiedError):
        build(given, tmp_path / "out", segment_input_bytes=5000)
    path = tmp_path / "out" / ".build" / "work" / "journal.ndjson"
    first, *rest = path.read_bytes().splitlines(keepends=True)
    work = json.dumps({**json.loads(first[9:]), "version": 2}).encode()
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(work), work) + b"".join(rest))
    assert rest
    told: list[float] = []
    build_folder(
        [str(given)], tmp_path / "out", BuildOptions(), progress=lambda _step, done, *_, **__: told.append(done)
    )
    assert told[0] == 0


def test_work_that_kept_going_is_not_resumed_by_a_build_that_does_not(tmp_path: Path) -> None:
    given, _ = damaged_middle(tmp_path, "gzip")
    with dying(3), pytest.raises(DiedError):
        build(given, tmp_path / "out", keep_going=True, segment_input_bytes=5000)
    with pytest.raises(DamagedError):
        build(given, tmp_path / "out")
    assert files_of(tmp_path / "out") == {}


def test_shards_that_lack_a_damaged_member_are_up_to_date_only_for_a_build_that_keeps_going(tmp_path: Path) -> None:
    given, _ = damaged_middle(tmp_path, "zstd")
    out = tmp_path / "out"
    build(given, out, keep_going=True)
    before = files_of(out)
    written = (out / "manifest.json").stat().st_ino
    build(given, out, keep_going=True)
    assert (out / "manifest.json").stat().st_ino == written
    with pytest.raises(DamagedError):
        build(given, out)
    assert files_of(out) == before


def test_a_limit_inside_a_member_proves_the_rest_of_that_member(tmp_path: Path) -> None:
    cats = records("cat", range(400))
    whole, more = gzip.compress(cats, mtime=0), gzip.compress(records("cat", range(400, 500)), mtime=0)
    given = sketches(tmp_path / "in", cat=whole[:-8] + b"\0" + whole[-7:])
    with pytest.raises(DamagedError, match="10 drawings that were read of it may be wrong"):
        build(given, tmp_path / "out", drawings_per_class=10)
    assert files_of(tmp_path / "out") == {}
    sketches(given, cat=whole + more[:-1])  # what is damaged comes after the member that is needed
    manifest = build(given, tmp_path / "out", drawings_per_class=10)
    assert (manifest.rejects, manifest.sources[0].written) == ({}, 10)
    # Of a file that gives no drawing nothing is proved: only its first line is read.
    sketches(given, dog=gzip.compress(records("dog", range(400)))[:-1])
    assert build(given, tmp_path / "out", classes=("cat",), drawings_per_class=10).sources[1].filtered == 1


def test_the_error_names_the_member_what_was_read_of_it_and_what_to_do(tmp_path: Path) -> None:
    first, second = packed("gzip", [records("cat", range(70)), records("cat", range(70, 111))])
    given = sketches(tmp_path / "in", cat=first + second[:-3])
    ended = in_process("shards", "in", "--to", "out", cwd=tmp_path)
    assert ended.returncode == 4
    assert ended.stderr.splitlines()[-1] == (
        f"sketchpipe: {given}/cat.ndjson: its gzip stream is cut short at byte {len(first + second) - 3}; gzip member "
        f"2, from byte {len(first)} on, is not proved by a checksum, so that 41 drawings that were read of it may be "
        "wrong; fetch the file anew with `sketchpipe download`, or build without this member and all after it: "
        "`sketchpipe shards --keep-going`"
    )
    kept = in_process("shards", "in", "--to", "out", "--keep-going", cwd=tmp_path)
    said = "1 file is damaged: a gzip member, zstd frame or array of it and all after it are left out; fetch it anew"
    assert kept.returncode == 0
    assert said in kept.stderr
    assert said in in_process("inspect", "out", cwd=tmp_path).stdout
    assert in_process("verify", "out", "--deep", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_line_that_is_refused_is_not_blamed_for_damage(tmp_path: Path, workers: int) -> None:
    given = sketches(tmp_path / "in", cat=gzip.compress(records("cat", range(70)) + b"bad\n")[:-1])
    with pytest.raises(DamagedError, match="its gzip stream is cut short"):
        build(given, tmp_path / "out", strict=True, workers=workers)
    first = gzip.compress(records("cat", range(70)))
    sketches(given, cat=first + gzip.compress(b"bad\n" * 9)[:-1])
    with pytest.raises(InputError, match=r"gzip member 2, .* and all after it are left out"):
        build(given, tmp_path / "out", strict=True, keep_going=True, workers=workers)


def test_a_file_without_a_whole_member_costs_its_drawings_but_not_those_of_others(tmp_path: Path) -> None:
    cut = gzip.compress(records("dog", range(100)))[:-1]
    given = sketches(tmp_path / "in", cat=records("cat", range(50)), dog=cut)
    manifest = build(given, tmp_path / "out", keep_going=True)
    assert counts_of(manifest) == {"cat.ndjson": (50, 50, 0, 0, 0), "dog.ndjson": (1, 0, 0, 0, 1)}
    assert manifest.classes == ("cat",)
    with pytest.raises(SketchpipeError, match=r"no drawing in it.*its gzip stream is cut short"):
        build(given / "dog.ndjson", tmp_path / "none", keep_going=True)


def test_what_is_converted_is_left_out_by_members_too(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in WORDS]
    array = json.dumps(lines).encode()
    table = b"word,key_id,drawing\n" + b"".join(
        b'%s,%s,"%s"\n' % (line["word"].encode(), line["key_id"].encode(), json.dumps(line["drawing"]).encode())
        for line in lines
    )
    for name, text in (("array.json", array), ("table.csv", table)):
        members = packed("gzip", [text[:3000], text[3000:6000], text[6000:]])
        folder = tmp_path / name / "in"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(members[0] + members[1][:-6] + b"\0" + members[1][-5:] + members[2])
        with pytest.raises(DamagedError):
            build(folder / name, tmp_path / name / "error")
        build(folder / name, tmp_path / name / "out", keep_going=True)
        (folder / name).write_bytes(members[0])
        build(folder / name, tmp_path / name / "expected")
        assert shards_of(tmp_path / name / "out") == shards_of(tmp_path / name / "expected")
        assert 20 < len(keys_of(tmp_path / name / "out")) < 100


def test_arrays_of_an_npz_before_a_damaged_one_are_kept_if_asked(tmp_path: Path) -> None:
    rows = [stroke_3([([10, 40 + k], [20, 20]), ([30, 31], [90, 91])]) for k in range(40)]
    path = sketch_rnn(tmp_path / "cat.npz", train=rows[:20], valid=rows[20:30], test=rows[30:])
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("train.npy").header_offset + 100
    whole = bytearray(path.read_bytes())
    whole[place] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DamagedError, match=r"its npz archive is damaged.*; its array train.npy, from byte \d+ on"):
        build(path, tmp_path / "out")
    manifest = build(path, tmp_path / "out", keep_going=True)
    assert (manifest.sources[0].written, manifest.damaged_files) == (20, 1)


def test_a_name_in_the_directory_of_an_npz_that_is_not_the_member_s_own_is_damage(tmp_path: Path) -> None:
    rows = [stroke_3([([10, 40 + k], [20, 20])]) for k in range(4)]
    path = sketch_rnn(tmp_path / "cat.npz", train=rows[:2], test=rows[2:])
    whole = path.read_bytes()
    head, found, rest = whole.rpartition(b"train.npy")
    assert found
    path.write_bytes(head + b"tra\x69l.npy" + rest)
    with pytest.raises(DamagedError, match="npz archive is damaged"):
        build(path, tmp_path / "out")


def test_a_pipe_cannot_be_read_again_without_what_is_damaged(tmp_path: Path) -> None:
    pipe = tmp_path / "cat.ndjson"
    os.mkfifo(pipe)
    cut = gzip.compress(records("cat", range(100)))[:-1]
    writer = threading.Thread(target=pipe.write_bytes, args=(cut,), daemon=True)
    writer.start()
    with pytest.raises(DamagedError, match="is a pipe, which can be read only once; give a file"):
        build(pipe, tmp_path / "out", keep_going=True)
    writer.join(10)
    assert files_of(tmp_path / "out") == {}


def test_a_pipe_is_not_opened_again_for_damage_that_looks_like_another_kind_of_file(tmp_path: Path) -> None:
    (member,) = packed("gzip", [b"a table\nof other\nlines\n" * 50])
    given, pipe = sketches(tmp_path / "in", a=member[:-8] + bytes(8)), tmp_path / "cat.ndjson"
    os.mkfifo(pipe)

    def write() -> None:
        with contextlib.suppress(OSError):  # nobody reads it to its end
            pipe.write_bytes(records("cat", range(100)))

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    with pytest.raises(DamagedError, match="is a pipe, which can be read only once; give a file"):
        build([pipe, given], tmp_path / "out", keep_going=True)
    assert files_of(tmp_path / "out") == {}


def test_repair_leaves_out_what_the_build_left_out(tmp_path: Path) -> None:
    given, _ = damaged_middle(tmp_path, "gzip")
    out = tmp_path / "out"
    build(given, out, keep_going=True)
    before = files_of(out)
    name = read_manifest(out).files[0].name
    (out / name).write_bytes(before[name][:-9] + b"x" + before[name][-8:])
    assert [damage.name for damage in repair_folder(out)] == [name]
    assert files_of(out) == before


def test_no_other_reader_gives_drawings_of_a_damaged_member(tmp_path: Path) -> None:
    first, second = packed("zstd", [records("cat", range(70)), records("cat", range(70, 111))])
    given = sketches(tmp_path / "in", cat=first + second[:-3])
    with pytest.raises(DamagedError, match="41 drawings that were read of it may be wrong"):
        read_drawings(given)
    named = read_named([str(given / "cat.ndjson")])
    with pytest.raises(DamagedError, match=r"zstd frame 2, .* so that nothing of it is used"):
        next(named)
    with pytest.raises(DamagedError, match="41 drawings"):
        foresee_build([str(given)], tmp_path / "out", BuildOptions())
    foresee_build([str(given)], tmp_path / "out", BuildOptions(), keep_going=True)
    ended = in_process("simplify", "in", "--to", "simplified", cwd=tmp_path)
    assert ended.returncode == 4
    assert "41 drawings" in ended.stderr
    assert list((tmp_path / "simplified").iterdir()) == []


def test_a_frame_without_a_checksum_is_proved_by_its_structure(tmp_path: Path) -> None:
    whole = zstd(records("cat", range(100)), checksum=False)
    build(sketches(tmp_path / "in", cat=whole), tmp_path / "out")
    with pytest.raises(DamagedError, match="cut short"):
        build(sketches(tmp_path / "in", cat=whole[:-1]), tmp_path / "out")


def test_damage_is_named_where_wrong_bytes_look_like_another_kind_of_file(tmp_path: Path) -> None:
    (member,) = packed("gzip", [b"a table\nof other\nlines\n" * 50])
    given = sketches(tmp_path / "in", mixed=member[:-8] + bytes(8))
    for act in (
        lambda: build(given, tmp_path / "out"),
        lambda: foresee_build([str(given)], tmp_path / "out", BuildOptions()),
        lambda: list(read_parts(Source(given / "mixed.ndjson", "mixed", None))),
    ):
        with pytest.raises(DamagedError, match="incorrect data check"):
            act()
