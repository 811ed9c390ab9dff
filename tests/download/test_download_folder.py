"""What a download finds in its folder and leaves there: whole files, heads, receipts, somebody's own, and its lock."""

import fcntl
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.download.bucket import FORMATS, read_version
from pipeline.download.fetch_files import download
from pipeline.download.plan import DownloadOptions, Plan
from pipeline.download.receipts import partial_path, put_in_place, write_receipt
from pipeline.errors import DamagedError, LockedError, OutputError, UsageError
from pipeline.storage.locks import locked_file
from tests.download.bucket_server import Bucket, Fault, lines_of
from tests.download.downloads import CAT, HASTY, OTHER, failure, fetch, hidden

pytestmark = pytest.mark.long


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
    assert "dog.ndjson: already exists, and is not" in str(outcome.failures["dog"])
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
    with pytest.raises(OutputError, match="already exists, as simplified"):
        raise fetch(bucket, folder, format="raw").failures["cat"]


def test_a_crash_between_receipt_and_rename_is_mended(bucket: Bucket, folder: Path) -> None:
    served = bucket.put("cat", CAT)
    fetch(bucket, folder)
    served.content = OTHER
    path = folder / "cat.ndjson"
    version = read_version("url", {"Content-Length": str(len(CAT)), **served.headers()})
    partial = partial_path(path, version)
    partial.write_bytes(OTHER)
    write_receipt(path, "simplified", version, None, partial)
    bucket.log.clear()
    assert fetch(bucket, folder).fetched == ["cat"]
    assert bucket.gets("cat") == []
    assert path.read_bytes() == OTHER
    partial.write_bytes(OTHER)
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


def test_what_a_larger_head_needs_is_guessed_from_the_lines_that_are_here(
    bucket: Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = b"".join(b'{"drawing":%01987d}\n' % number for number in range(1_000))
    bucket.put("cat", long)
    fetch(bucket, folder, drawings_per_class=100)
    plans: list[Plan] = []
    free = 200_000 + 200_000 - 1  # for the lines that are missing, and for the copy behind which they are written
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free))
    options = DownloadOptions(source=bucket.url, drawings_per_class=200)
    with pytest.raises(OutputError, match=r"400,000 bytes are needed, 399,999 are free; make room"):
        download(("cat",), folder, options, patience=HASTY, begin=plans.append)
    assert [plan.needed for plan in plans] == [200_000]
    free += 1
    download(("cat",), folder, options, patience=HASTY)
    assert (folder / "cat.ndjson").read_bytes() == long[: 200 * 2_000]


def test_an_interrupted_head_is_guessed_from_its_own_lines(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", b"".join(b'{"drawing":%01987d}\n' % number for number in range(1_000)))
    bucket.fail("cat", Fault(cut_after=50_000), *[Fault(cut_after=0)] * 2)
    failure(bucket, folder, drawings_per_class=100)
    plans: list[Plan] = []
    options = DownloadOptions(source=bucket.url, drawings_per_class=100)
    download(("cat",), folder, options, patience=HASTY, begin=plans.append)
    assert [plan.needed for plan in plans] == [150_000]


def test_only_files_that_come_at_the_same_time_are_copied_at_the_same_time(bucket: Bucket, folder: Path) -> None:
    words = ("cat", "dog", "owl")
    for word in words:
        bucket.put(word, CAT)
    fetch(bucket, folder, *words, drawings_per_class=1_000)
    copy = (folder / "cat.ndjson").stat().st_size
    plans: list[Plan] = []
    download(words, folder, DownloadOptions(source=bucket.url), patience=HASTY, begin=plans.append)
    assert plans[0].room(2) == plans[0].needed + 2 * copy == 3 * (len(CAT) - copy) + 2 * copy


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
    assert said == [f"{folder}: process {os.getpid()} is downloading into it; wait for it to end, or stop it"]
    assert (folder / "cat.ndjson").read_bytes() == CAT


@pytest.mark.parametrize(
    "source",
    ["", "bucket", "ftp://host/full", "file:///full", "https://", "http://h/full?x=1", "http://a..b/full",
     f"https://{'a' * 64}.b/full", "http://h:99999/full"],
)  # fmt: skip
def test_a_source_that_is_no_address_is_a_usage_error(source: str, folder: Path) -> None:
    with pytest.raises(UsageError, match="expected https://HOST/FOLDER"):
        download(("cat",), folder, DownloadOptions(source=source))
    assert not folder.exists()


@pytest.mark.parametrize("form", [form for form in FORMATS.values() if form.bytes_per_line is None])
def test_the_head_of_a_file_without_lines_is_a_usage_error(form: Any) -> None:
    with pytest.raises(UsageError, match="its files have no lines"):
        DownloadOptions(form.name, 5)
