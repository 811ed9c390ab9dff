"""What a download finds in its folder and leaves there: whole files, heads, receipts, somebody's own, and its lock."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bucket_server import Bucket, Fault, lines_of, serve
from downloads import CAT, HASTY, failure, fetch, hidden

from pipeline.download.bucket import read_version
from pipeline.download.folder import download
from pipeline.download.plan import DownloadOptions, Plan
from pipeline.download.receipts import partial_path, put_in_place, write_receipt
from pipeline.errors import DamagedError, LockedError, OutputError
from pipeline.locks import locked_file


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with serve() as bucket:
        yield bucket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "quickdraw"


def test_files_come_whole_and_are_not_fetched_again(bucket: Bucket, folder: Path) -> None:
    files = {"cat": CAT, "hot dog": lines_of("hot dog", 3), "The Eiffel Tower": b""}
    for word, content in files.items():
        bucket.put(word, content)
    assert sorted(fetch(bucket, folder, *files).fetched) == sorted(files)
    assert {path.stem: path.read_bytes() for path in folder.glob("*.ndjson")} == files
    assert hidden(folder) == ["The Eiffel Tower.ndjson.json", "cat.ndjson.json", "hot dog.ndjson.json", "lock"]
    bucket.log.clear()
    assert fetch(bucket, folder, *files).there == list(files)
    assert [one.method for one in bucket.log] == ["HEAD"] * 3


@pytest.mark.parametrize("count", [1, 100, 5_000])
@pytest.mark.parametrize("ranges", [True, False])
def test_the_head_of_a_file_is_its_first_lines_and_little_more_is_asked_for(
    bucket: Bucket, folder: Path, count: int, ranges: bool
) -> None:
    bucket.put("cat", CAT, ranges=ranges)
    assert fetch(bucket, folder, drawings_per_class=count).fetched == ["cat"]
    content = (folder / "cat.ndjson").read_bytes()
    assert content == b"".join(CAT.splitlines(keepends=True)[:count])
    assert max(end or 0 for _, end in bucket.gets("cat")) <= max(1 << 14, 523 * count * 1.05 + 1)
    bucket.log.clear()
    assert fetch(bucket, folder, drawings_per_class=count).there == ["cat"]
    assert bucket.gets("cat") == []


def test_the_head_grows_until_its_lines_are_there(bucket: Bucket, folder: Path) -> None:
    long = b"".join(b'{"drawing":"%s"}\n' % (b"x" * 5_000) for _ in range(300))
    bucket.put("cat", long)
    bucket.fail("cat", Fault(), Fault(cut_after=60_000), Fault())
    assert fetch(bucket, folder, drawings_per_class=200).fetched == ["cat"]
    assert (folder / "cat.ndjson").read_bytes() == long[: 200 * 5_015]
    starts, ends = zip(*bucket.gets("cat"), strict=True)
    assert starts[:3] == (0, ends[0], ends[0] + 60_000)
    assert ends[-1] <= 200 * 5_015 * 1.1


def test_a_larger_head_and_then_the_whole_file_go_on_behind_the_smaller(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT)
    fetch(bucket, folder, drawings_per_class=1_000)
    small = len((folder / "cat.ndjson").read_bytes())
    bucket.log.clear()
    fetch(bucket, folder, drawings_per_class=2_000)
    larger = len((folder / "cat.ndjson").read_bytes())
    assert bucket.gets("cat")[0][0] == small
    assert (folder / "cat.ndjson").read_bytes() == b"".join(CAT.splitlines(keepends=True)[:2_000])
    assert fetch(bucket, folder, drawings_per_class=500).there == ["cat"]
    assert fetch(bucket, folder).received == len(CAT) - larger
    assert (folder / "cat.ndjson").read_bytes() == CAT
    assert fetch(bucket, folder, drawings_per_class=500).there == ["cat"]


def test_a_file_with_fewer_lines_than_were_asked_for_is_fetched_whole_and_proved(bucket: Bucket, folder: Path) -> None:
    served = bucket.put("cat", CAT[:-1])
    assert fetch(bucket, folder, drawings_per_class=10_000).fetched == ["cat"]
    assert (folder / "cat.ndjson").read_bytes() == CAT[:-1]
    assert fetch(bucket, folder).there == ["cat"]
    served.hashed = b"other bytes"
    (folder / "cat.ndjson").unlink()
    with pytest.raises(DamagedError):
        raise fetch(bucket, folder, drawings_per_class=10_000).failures["cat"]


def test_what_was_put_there_by_hand_is_proved_and_taken_or_refused(bucket: Bucket, folder: Path) -> None:
    folder.mkdir()
    (folder / "cat.ndjson").write_bytes(CAT)
    (folder / "dog.ndjson").write_bytes(b"mine\n")
    bucket.put("cat", CAT)
    bucket.put("dog", CAT)
    outcome = fetch(bucket, folder, "cat", "dog")
    assert outcome.there == ["cat"]
    assert isinstance(outcome.failures["dog"], OutputError)
    assert "dog.ndjson: is there already, and is not" in str(outcome.failures["dog"])
    assert (folder / "dog.ndjson").read_bytes() == b"mine\n"
    assert bucket.gets("cat") == bucket.gets("dog") == []


def test_a_fetched_file_that_was_edited_since_is_not_written_over(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT)
    fetch(bucket, folder)
    (folder / "cat.ndjson").write_bytes(b"mine\n")
    assert isinstance(failure(bucket, folder), OutputError)
    assert (folder / "cat.ndjson").read_bytes() == b"mine\n"


def test_formats_never_mix_in_a_folder(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT)
    bucket.put("cat", CAT[:1_000], form="raw")
    fetch(bucket, folder)
    with pytest.raises(OutputError, match="is there already, as simplified"):
        raise fetch(bucket, folder, format="raw").failures["cat"]


def test_a_crash_between_receipt_and_rename_is_mended(bucket: Bucket, folder: Path) -> None:
    served = bucket.put("cat", CAT)
    fetch(bucket, folder)
    served.content = CAT[::-1]
    path = folder / "cat.ndjson"
    version = read_version("url", {"Content-Length": str(len(CAT)), **served.headers()})
    partial = partial_path(path, version)
    partial.write_bytes(CAT[::-1])
    write_receipt(path, "simplified", version, None, partial)
    bucket.log.clear()
    assert fetch(bucket, folder).fetched == ["cat"]
    assert bucket.gets("cat") == []
    assert path.read_bytes() == CAT[::-1]
    partial.write_bytes(CAT[::-1])
    put_in_place(path, partial, "simplified", version, None)
    assert hidden(folder) == ["cat.ndjson.json", "lock"]


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"form": 1}', "\xff"])
def test_a_damaged_receipt_is_none(bucket: Bucket, folder: Path, damage: str) -> None:
    bucket.put("cat", CAT)
    fetch(bucket, folder)
    (folder / ".download" / "cat.ndjson.json").write_text(damage, encoding="latin-1")
    assert fetch(bucket, folder).there == ["cat"]


def test_what_cannot_fit_is_refused_before_anything_is_fetched(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT, size=10**18)
    plans: list[Plan] = []
    with pytest.raises(OutputError, match=r"1,000,000,000,000,000,000 bytes are needed, .* are free; make room"):
        download(("cat",), folder, DownloadOptions(source=bucket.url), patience=HASTY, begin=plans.append)
    assert [plan.needed for plan in plans] == [10**18]
    assert bucket.gets("cat") == []
    assert not folder.exists()


def test_a_lock_names_its_holder_and_a_dead_one_s_is_nobody_s(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("99999999")
    with locked_file(path, "held by {}".format):
        with (
            pytest.raises(LockedError, match=f"^held by {os.getpid()}$"),
            locked_file(path, "held by {}".format),
        ):
            raise AssertionError
        assert path.read_text() == str(os.getpid())
    with locked_file(path, "held by {}".format):
        path.unlink()
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match=r"^held by \?$"), locked_file(path, "held by {}".format):
            raise AssertionError
    with pytest.raises(FileNotFoundError), locked_file(tmp_path / "none" / "lock", str):
        raise AssertionError


def test_a_lock_that_loses_its_name_as_it_is_taken_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, flock = tmp_path / "lock", fcntl.flock

    def take_after_its_holder_removed_it(file: Any, how: int) -> None:
        path.unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", take_after_its_holder_removed_it)
    with pytest.raises(LockedError, match=r"^held by \?$"), locked_file(path, "held by {}".format):
        raise AssertionError


def test_two_downloads_into_one_folder_do_not_meet(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT)
    said = []

    def begin(_plan: Plan) -> None:
        with pytest.raises(LockedError) as error:
            fetch(bucket, folder)
        said.append(str(error.value))

    download(("cat",), folder, DownloadOptions(source=bucket.url), patience=HASTY, begin=begin)
    assert said == [f"{folder}: process {os.getpid()} is fetching into it; wait for it to end, or stop it"]
    assert (folder / "cat.ndjson").read_bytes() == CAT
