"""A build that was cut off goes on: what the journal holds is not done again."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xxhash

from pipeline.shards.folder import build_folder
from pipeline.shards.journal import Entry, Journal
from pipeline.shards.manifest import read_manifest
from pipeline.shards.options import BuildOptions, BuildSizes
from tests.shards.builds import build, files_of, keyless, random_drawings, records, staging, write

pytestmark = pytest.mark.long

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
OPTIONS = BuildOptions(num_shards=4, seed=3)
MIB = 1 << 20
SIZES = BuildSizes(chunk_bytes=MIB, segment_bytes=4000)


class DiedError(BaseException):
    """The process dies here."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume") / "in"
    pens = {f"class{k}": random_drawings(f"class {k}", 120, k) + b"bad\n" for k in range(4)}
    pens["class1"] += keyless(random_drawings("class 0", 120, 0))  # the drawings of class 0 once more
    return write(folder, **pens)


def build_until(
    entries: int, sources: Path, out: Path, *, sizes: BuildSizes = SIZES, workers: int = 1
) -> tuple[list[tuple[str, int]], bool]:
    """Build, and die before the journal gets another entry than so many; what the progress was told, and whether it
    died."""
    told: list[tuple[str, int]] = []
    left = [entries]
    append = Journal.append

    def counted(journal: Journal, entry: Entry) -> None:
        if not left[0]:
            raise DiedError
        left[0] -= 1
        append(journal, entry)

    def progress(_step: str, done: float, _total: float | None = None, /, *, unit: str = "", **_note: str) -> None:
        told.append((unit, int(done)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "append", counted)
        try:
            build_folder([str(sources)], out, OPTIONS, progress=progress, sizes=sizes, workers=workers)
        except DiedError:
            return told, True
    return told, False


@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_that_dies_again_and_again_does_each_piece_once(sources: Path, tmp_path: Path, workers: int) -> None:
    build(sources, tmp_path / "whole", num_shards=4, seed=3)
    out = tmp_path / "out"
    total = sum(path.stat().st_size for path in sources.iterdir())
    runs = 0
    died, seen = True, []
    while died:  # one entry further each time
        told, died = build_until(1, sources, out, workers=workers)
        seen.append(next(count for unit, count in told if unit == "B"))
        runs += 1
    assert files_of(out) == files_of(tmp_path / "whole")
    assert staging(out) == ["lock", "sources.json"]
    assert runs > 10
    # Each run begins where the journal of the one before ended, until all is read; then shard after shard.
    assert seen == sorted(seen)
    assert seen[-1] == total
    assert len(set(seen)) >= 6


def test_shards_that_are_done_are_not_written_again(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal, staged = out / ".build" / "work" / "journal.ndjson", out / ".build" / "new"
    while not (journal.exists() and journal.read_bytes().count(b'"shard"') == 2):
        _, died = build_until(1, sources, out)
        assert died
    done = {path.name: path.stat().st_ino for path in sorted(staged.glob("train-*"))[:2]}
    build(sources, out, num_shards=4, seed=3)
    assert {name: (out / name).stat().st_ino for name in done} == done
    build(sources, tmp_path / "whole", num_shards=4, seed=3)
    assert files_of(out) == files_of(tmp_path / "whole")


@pytest.mark.parametrize("change", ["options", "source", "strict"])
def test_work_of_another_build_is_not_gone_on_with(tmp_path: Path, change: str) -> None:
    mine = write(tmp_path / "in", cat=records("cat", range(300)), dog=records("dog", range(300, 600)))
    out = tmp_path / "out"
    _, died = build_until(3, mine, out)
    assert died
    settings = {"num_shards": 4, "seed": 3}
    if change == "options":
        settings["seed"] = 4
    elif change == "source":
        write(mine, cat=records("cat", range(1, 301)))
    else:
        settings["strict"] = True
    build(mine, out, **settings)
    build(mine, tmp_path / "whole", **settings)
    assert files_of(out) == files_of(tmp_path / "whole")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]\n", b'{"segment": 5}\n', b"\xff\xfe\n"])
def test_a_journal_that_is_damaged_is_gone_on_with_as_far_as_it_is_whole(
    sources: Path, tmp_path: Path, damage: bytes
) -> None:
    out = tmp_path / "out"
    build_until(4, sources, out)
    journal = out / ".build" / "work" / "journal.ndjson"
    if damage:
        journal.write_bytes(journal.read_bytes() + damage)
    else:
        (journal.parent / "spill").write_bytes(b"")
    build(sources, out, num_shards=4, seed=3)
    build(sources, tmp_path / "whole", num_shards=4, seed=3)
    assert files_of(out) == files_of(tmp_path / "whole")


@pytest.mark.parametrize("chunk_bytes", [MIB, 2 * MIB, 4 * MIB])
def test_over_long_lines_change_neither_hashes_nor_rejects_whatever_the_chunks_and_wherever_it_dies(
    tmp_path: Path, chunk_bytes: int
) -> None:
    sizes = BuildSizes(chunk_bytes=chunk_bytes, segment_bytes=4000, segment_input_bytes=1)  # an entry for every chunk
    exact = b'{"word":"cat","drawing":[[[1],[2]]],"pad":"' + b"x" * MIB
    exact = exact[: MIB - 2] + b'"}\n'
    text = random_drawings("cat", 60, 0) + b"y" * (2 * MIB + 500_000) + b"\n" + exact + random_drawings("cat", 99, 1)
    write(tmp_path / "in", cat=text)
    build(tmp_path / "in", tmp_path / "whole", chunk_bytes=chunk_bytes, num_shards=4, seed=3)
    buf = np.frombuffer(text, np.uint8)
    codes = b"".join(xxhash.xxh64_digest(buf[k : k + MIB].data) for k in range(0, len(buf), MIB))
    assert read_manifest(tmp_path / "whole").sources[0].hash == hashlib.sha256(codes).hexdigest()
    died = True
    while died:
        _, died = build_until(1, tmp_path / "in", tmp_path / "out", sizes=sizes)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("bit", [3, 8 * 17, 8 * 1000, 8 * 90_000])
def test_a_spill_that_was_damaged_is_made_anew(sources: Path, tmp_path: Path, bit: int) -> None:
    out = tmp_path / "out"
    build_until(5, sources, out)
    spill = out / ".build" / "work" / "spill"
    content = bytearray(spill.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    spill.write_bytes(content)
    build(sources, out, num_shards=4, seed=3)
    build(sources, tmp_path / "whole", num_shards=4, seed=3)
    assert files_of(out) == files_of(tmp_path / "whole")


def test_rejects_that_are_gone_are_listed_anew(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_until(5, sources, out)
    (out / ".build" / "new" / "rejects.ndjson").unlink()
    build(sources, out, num_shards=4, seed=3)
    build(sources, tmp_path / "whole", num_shards=4, seed=3)
    assert files_of(out) == files_of(tmp_path / "whole")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_says_so_keeps_its_work_and_goes_on(tmp_path: Path, number: int, code: int) -> None:
    # More than two segments of real size, so that there is work to keep.
    lines = b"".join(records(f"class {k}", range(k * 100_000, (k + 1) * 100_000)) for k in range(5))
    write(tmp_path / "in", all=lines)
    command = [str(SKETCHPIPE), "shards", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--workers", "1"]
    journal = tmp_path / "out" / ".build" / "work" / "journal.ndjson"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 1):
            os.sched_yield()
        process.send_signal(number)
        assert process.stderr is not None
        said = process.stderr.read()
    assert (process.returncode, said.splitlines()[-1]) == (
        code,
        f"sketchpipe: {'interrupted' if code == 130 else 'terminated'}; the same command resumes the build",
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".build"]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert "resuming an interrupted build after" in again.stderr
    build(tmp_path / "in", tmp_path / "whole")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
