"""Fetching, against a server that fails in every way it can: the bytes, what was asked for, and what is said."""

import contextlib
import threading
from email.utils import formatdate
from pathlib import Path

import pytest

from pipeline.download.bucket import read_version
from pipeline.download.fetch_files import download
from pipeline.download.plan import DownloadOptions
from pipeline.download.remote import ChangedError, Patience, Remote, UnreachableError
from pipeline.errors import DamagedError, InputError
from tests.download.bucket_server import Bucket, Fault, free_port, lines_of
from tests.download.downloads import CAT, HASTY, OTHER, failure, fetch, hidden

pytestmark = pytest.mark.long


def test_a_connection_that_is_cut_goes_on_where_it_stopped(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", *(Fault(cut_after=k) for k in (0, 100_000, 0, 1, 0, 300_000, 0)))
    assert fetch(bucket, folder).fetched == ["cat"]
    assert (folder / "cat.ndjson").read_bytes() == CAT
    starts = [start or 0 for start, _ in bucket.gets("cat")]
    assert starts == [0, 0, 100_000, 100_000, 100_001, 100_001, 400_001, 400_001]


def test_a_server_that_gives_nothing_is_given_up_and_what_came_is_kept(bucket: Bucket, folder: Path) -> None:
    served = bucket.put("cat", CAT)
    bucket.fail("cat", Fault(cut_after=200_000), *[Fault(cut_after=0)] * 2)
    error = failure(bucket, folder)
    assert isinstance(error, InputError)
    assert f"{bucket.url}/simplified/cat.ndjson: gave up (" in str(error)
    assert not (folder / "cat.ndjson").exists()
    bucket.log.clear()
    assert fetch(bucket, folder).received == len(CAT) - 200_000
    assert bucket.gets("cat") == [(200_000, len(CAT))]
    assert (folder / "cat.ndjson").read_bytes() == served.content


def test_a_server_without_ranges_is_read_from_its_beginning_and_nothing_is_doubled(
    bucket: Bucket, folder: Path
) -> None:
    bucket.put("cat", CAT, ranges=False, hashes=())
    bucket.fail("cat", Fault(cut_after=700_001), Fault(cut_after=700_000), Fault(cut_after=900_000))
    assert fetch(bucket, folder).fetched == ["cat"]
    assert (folder / "cat.ndjson").read_bytes() == CAT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_changes_while_it_comes_is_fetched_anew(bucket: Bucket, folder: Path, ranges: bool) -> None:
    after = lines_of("owl", 5_000)
    bucket.put("cat", CAT, ranges=ranges)
    bucket.fail("cat", Fault(cut_after=300_000), Fault(then=after))
    assert fetch(bucket, folder).fetched == ["cat"]
    assert (folder / "cat.ndjson").read_bytes() == after
    assert hidden(folder) == ["cat.ndjson.json", "lock"]


def test_a_file_that_never_stops_changing_is_given_up(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", *(Fault(then=lines_of("cat", k)) for k in range(1, 10)))
    assert isinstance(failure(bucket, folder), ChangedError)


def test_two_versions_never_meet_in_one_file(bucket: Bucket, folder: Path) -> None:
    served = bucket.put("cat", CAT, hashes=())
    bucket.fail("cat", Fault(cut_after=200_000), *[Fault(cut_after=0)] * 2)
    failure(bucket, folder)
    served.content = OTHER
    bucket.log.clear()
    assert fetch(bucket, folder).unproved == ["cat"]
    assert bucket.gets("cat") == [(None, None)]
    assert (folder / "cat.ndjson").read_bytes() == OTHER
    assert hidden(folder) == ["cat.ndjson.json", "lock"]


def test_without_etag_or_date_a_cut_file_is_begun_anew(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT, hashes=(), etag="")
    bucket.fail("cat", Fault(cut_after=200_000))
    assert fetch(bucket, folder).fetched == ["cat"]
    assert bucket.gets("cat") == [(None, None), (None, None)]
    assert (folder / "cat.ndjson").read_bytes() == CAT


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(("length", "count"), [(4 * 523, 200), (100_000, 30)])
def test_without_etag_or_date_a_head_of_long_lines_is_asked_for_in_few_and_larger_pieces(
    bucket: Bucket, folder: Path, ranges: bool, length: int, count: int
) -> None:
    long = b"".join(b'{"drawing":%0*d}\n' % (length - 13, number) for number in range(2 * count))
    bucket.put("cat", long, hashes=(), etag="", ranges=ranges)
    bucket.fail("cat", Fault(cut_after=1), *[Fault()] * 9, *[Fault(status=400)] * 9)
    assert fetch(bucket, folder, drawings_per_class=count).fetched == ["cat"]
    assert (folder / "cat.ndjson").read_bytes() == long[: count * length]
    assert [start for start, _ in bucket.gets("cat")] == [0] * len(bucket.gets("cat"))
    assert len(bucket.gets("cat")) <= 8


def test_a_file_that_is_begun_anew_again_and_again_and_comes_no_further_is_given_up(
    bucket: Bucket, folder: Path
) -> None:
    bucket.put("cat", CAT, hashes=(), etag="")
    bucket.fail("cat", *[Fault(cut_after=100_000), Fault(cut_after=200_000)] * 20)
    assert "gave up" in str(failure(bucket, folder))
    assert len(bucket.gets("cat")) == 4


def test_a_new_version_takes_the_place_of_the_old_one(bucket: Bucket, folder: Path) -> None:
    served = bucket.put("cat", CAT)
    fetch(bucket, folder)
    served.content = CAT + lines_of("cat", 1)
    assert fetch(bucket, folder).fetched == ["cat"]
    assert (folder / "cat.ndjson").read_bytes() == served.content


@pytest.mark.parametrize("hashes", [("md5",), ("crc32c",), ("crc32c", "md5")])
def test_a_wrong_checksum_is_refused_after_a_second_try(bucket: Bucket, folder: Path, hashes: tuple[str, ...]) -> None:
    bucket.put("cat", CAT, hashes=hashes, hashed=b"other bytes")
    error = failure(bucket, folder)
    assert isinstance(error, DamagedError)
    assert error.exit_code == 4
    assert f"its {hashes[-1]} should be" in str(error)
    assert len(bucket.gets("cat")) == 2
    assert not folder.exists()


@pytest.mark.parametrize("hashes", [("md5",), ("crc32c",)])
def test_a_bit_that_flips_on_the_way_is_found_and_the_file_fetched_anew(
    bucket: Bucket, folder: Path, hashes: tuple[str, ...]
) -> None:
    bucket.put("cat", CAT, hashes=hashes)
    bucket.fail("cat", Fault(flip=1_000_000))
    assert fetch(bucket, folder).fetched == ["cat"]
    assert (folder / "cat.ndjson").read_bytes() == CAT


def test_a_bit_that_flips_in_a_partial_file_is_found(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", Fault(cut_after=200_000), *[Fault(cut_after=0)] * 2)
    failure(bucket, folder)
    (partial,) = (folder / ".download").glob("*.partial")
    partial.write_bytes(b"!" + partial.read_bytes()[1:])
    assert fetch(bucket, folder).fetched == ["cat"]
    assert (folder / "cat.ndjson").read_bytes() == CAT


@pytest.mark.parametrize("told", [len(CAT) + 1, len(CAT) - 1])
def test_a_wrong_length_is_refused(bucket: Bucket, folder: Path, told: int) -> None:
    bucket.put("cat", CAT, size=told)
    assert f"expected {told:,} bytes, but the server announced {len(CAT)}" in str(failure(bucket, folder))
    assert not folder.exists()


def test_an_answer_that_ends_early_though_it_promised_more_goes_on(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", Fault(headers={"Content-Length": "", "Connection": "close"}, cut_after=600_000))
    assert fetch(bucket, folder).fetched == ["cat"]
    assert [start for start, _ in bucket.gets("cat")] == [None, 600_000]
    assert (folder / "cat.ndjson").read_bytes() == CAT


def test_a_range_that_was_not_asked_for_is_refused(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT)
    wrong = Fault(headers={"Content-Range": f"bytes 0-{len(CAT) - 100_001}/{len(CAT)}"})
    bucket.fail("cat", Fault(cut_after=100_000), wrong, wrong, wrong)
    assert f"requested bytes 100000-{len(CAT) - 1}" in str(failure(bucket, folder))


def test_one_file_that_is_missing_stops_no_other(bucket: Bucket, folder: Path) -> None:
    bucket.put("dog", CAT)
    outcome = fetch(bucket, folder, "cat", "dog", "owl")
    assert outcome.fetched == ["dog"]
    assert list(outcome.failures) == ["cat", "owl"]
    assert f"{bucket.url}/simplified/cat.ndjson: cannot be downloaded (404 Not Found)" in str(outcome.failures["cat"])
    assert not list((folder / ".download").glob("*.partial"))


class Waits(threading.Event):
    """An event that nobody sets, and that notes how long it was waited for instead of letting anybody wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        return False


def test_waits_double_up_to_the_longest_and_a_server_that_asks_for_a_while_gets_it(bucket: Bucket) -> None:
    waits = Waits()
    url = f"{bucket.url}/simplified/cat.ndjson"
    bucket.put("cat", CAT)
    bucket.head_faults["/full/simplified/cat.ndjson"] = [503, 500, 429, 502, 504]
    patience = Patience(tries=6, first_wait_seconds=1.0, longest_wait_seconds=5.0)
    told: list[str] = []
    with contextlib.closing(Remote(bucket.url, 1, patience, waits, told.append)) as remote:
        version = remote.version(url)
        assert waits.seconds == [1.0, 2.0, 4.0, 5.0, 5.0]
        host = bucket.url.removeprefix("http://").removesuffix("/full")
        assert told == [
            f"{host}: the server responded 500 Internal Server Error, waiting 2 s",
            f"{host}: the server responded 429 Too Many Requests, waiting 4 s",
            f"{host}: the server responded 502 Bad Gateway, waiting 5 s",
        ]
        waits.seconds.clear()
        asked = ("7", "0", "soon", formatdate(usegmt=True))
        bucket.fail("cat", *(Fault(status=503, headers={"Retry-After": text}) for text in asked))

        def read() -> bytes:
            with remote.open_range(url, version, 0, 10) as chunks:
                return b"".join(chunks)

        assert remote.persist(read) == CAT[:10]
        assert waits.seconds == [7.0, 0, 4.0, 0]
        bucket.fail("cat", Fault(status=503, headers={"Retry-After": "301"}))
        with pytest.raises(InputError, match="the server responded 503"):
            remote.persist(read)


def test_a_server_that_cannot_be_reached_is_one_error_for_all_files(folder: Path) -> None:
    port = free_port()
    options = DownloadOptions(source=f"http://127.0.0.1:{port}/full")
    with pytest.raises(
        UnreachableError, match=rf"127\.0\.0\.1:{port}: cannot be reached \(.*refused\); check the network"
    ):
        download(("cat", "dog"), folder, options, patience=HASTY)
    assert not folder.exists()


def test_a_connection_serves_the_next_request_though_an_error_still_holds_the_last_answer(bucket: Bucket) -> None:
    waits, errors = Waits(), []
    with contextlib.closing(Remote(bucket.url, 1, Patience(), waits)) as remote:
        for _ in range(3):
            with pytest.raises(InputError, match="404") as error:
                remote.version(f"{bucket.url}/simplified/cat.ndjson")
            errors.append(error)
    assert (waits.seconds, len(bucket.log)) == ([], 3)


@pytest.mark.parametrize("fault", ["tls", "cut"])
def test_a_server_that_never_answered_is_given_up_soon_whatever_the_fault(
    bucket: Bucket, folder: Path, fault: str
) -> None:
    bucket.put("cat", CAT)
    bucket.cuts_heads = True
    source = bucket.url.replace("http:", "https:") if fault == "tls" else bucket.url
    waits = Waits()
    with (
        contextlib.closing(Remote(source, 1, Patience(), waits)) as remote,
        pytest.raises(UnreachableError, match=r"cannot be reached \(.*(WRONG_VERSION|closed connection)"),
    ):
        remote.version(f"{source}/simplified/cat.ndjson")
    assert waits.seconds == [1.0]
    assert not folder.exists()


def test_a_server_that_goes_silent_is_asked_again(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", Fault(hold_after=100_000))
    patience = Patience(first_wait_seconds=0.0, read_seconds=0.2)
    assert fetch(bucket, folder, patience=patience).fetched == ["cat"]
    assert bucket.gets("cat")[1:] == [(100_000, len(CAT))]


@pytest.mark.parametrize(
    ("status", "said"), [(301, "has moved .301 Moved Permanently. to /there"), (400, "the server responded 400")]
)
def test_other_answers_end_at_once(bucket: Bucket, folder: Path, status: int, said: str) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", Fault(status=status, headers={"Location": "/there"} if status == 301 else {}))
    with pytest.raises(InputError, match=said):
        raise failure(bucket, folder)
    assert len(bucket.gets("cat")) == 1


@pytest.mark.parametrize(
    "told",
    [{}, {"Content-Length": "x"}, {"Content-Length": "1", "x-goog-hash": "md5=?"},
     {"Content-Length": "1", "x-goog-hash": "crc32c=AAAA"}],
)  # fmt: skip
def test_headers_that_make_no_sense_are_named(told: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"^u: the server"):
        read_version("u", told)
