"""What a proxy, a sign-in page or a mirror sends with status 200 instead of drawings never becomes a file of them."""

import gzip
from pathlib import Path

import pytest

from pipeline.download.beginnings import HEAD_BYTES, kind_of_other
from pipeline.download.bucket import FORMATS
from pipeline.errors import InputError
from tests.download.bucket_server import Bucket, Fault, first_bytes
from tests.download.downloads import CAT, fails, failure, fetch, hidden, run

pytestmark = pytest.mark.long

PAGE = b"<html><head><title>Sign in</title></head><body>captive portal</body></html>"
OTHERS = {
    "a web page": b"\n<!DOCTYPE html>\n<html></html>",
    "an XML document": b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
    "a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
    "a gzip file": gzip.compress(CAT[:9_000]),
    "a JSON object without a drawing": b'{"error": "not found"}\n',
    "a file that begins with b'Please sign in.": b"Please sign in.\n",
}


@pytest.mark.parametrize("kind", ["text/html", "TEXT/HTML; charset=utf-8", "application/octet-stream", ""])
@pytest.mark.parametrize("options", [[], ["--drawings-per-class", "5"], *(["--format", name] for name in FORMATS)])
def test_a_sign_in_page_is_refused_with_its_address_and_leaves_nothing(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    form = FORMATS[options[1] if options[:1] == ["--format"] else "simplified"]
    bucket.put("cat", PAGE, form=form.folder, suffix=form.suffix, kind=kind, etag="", hashes=())
    ended = run(bucket, "cat", *options)
    fails(ended, 3, f"{bucket.url}/{form.folder}/cat{form.suffix}: a web page", "open the address in a browser")
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("came", OTHERS)
def test_what_else_came_is_named(bucket: Bucket, folder: Path, form: str, came: str) -> None:
    bucket.put("cat", OTHERS[came], form=FORMATS[form].folder, suffix=FORMATS[form].suffix)
    with pytest.raises(InputError) as error:
        raise failure(bucket, folder, format=form)
    assert f"cat{FORMATS[form].suffix}: {came}" in str(error.value)
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-ndjson", "application/json", "text/xml", ""])
@pytest.mark.parametrize("form", FORMATS)
def test_drawings_may_have_any_other_type(bucket: Bucket, folder: Path, form: str, kind: str) -> None:
    bucket.put("cat", first_bytes(form) * 9, form=FORMATS[form].folder, suffix=FORMATS[form].suffix, kind=kind)
    assert fetch(bucket, folder, format=form).fetched == ["cat"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf" + CAT, b"\n " + CAT])
def test_drawings_may_begin_with_blank_lines_or_a_byte_order_mark(bucket: Bucket, folder: Path, content: bytes) -> None:
    bucket.put("cat", content)
    bucket.fail("cat", *(Fault(cut_after=1) for _ in range(3)))
    assert fetch(bucket, folder).fetched == ["cat"]
    assert (folder / "cat.ndjson").read_bytes() == content


def test_a_page_that_a_proxy_sends_for_the_rest_of_a_file_ends_it_and_what_came_before_is_kept(
    bucket: Bucket, folder: Path
) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", Fault(cut_after=200_000), Fault(headers={"Content-Type": "text/html"}))
    assert "cat.ndjson: a web page (text/html) came" in str(failure(bucket, folder))
    assert not (folder / "cat.ndjson").exists()
    assert fetch(bucket, folder).received == len(CAT) - 200_000
    assert (folder / "cat.ndjson").read_bytes() == CAT


@pytest.mark.parametrize("drawings_per_class", [None, 1_000])
@pytest.mark.parametrize("kept", [len(PAGE), 2 * HEAD_BYTES])
def test_a_partial_file_that_is_a_page_is_not_resumed(
    bucket: Bucket, folder: Path, kept: int, drawings_per_class: int | None
) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", Fault(cut_after=20_000), *[Fault(cut_after=0)] * 2)
    failure(bucket, folder, drawings_per_class=drawings_per_class)
    (partial,) = (folder / ".download").glob("*.partial")
    partial.write_bytes((PAGE * 1_000)[:kept])
    bucket.log.clear()
    assert fetch(bucket, folder, drawings_per_class=drawings_per_class).fetched == ["cat"]
    assert (bucket.gets("cat")[0][0] or 0) == 0
    lines = CAT.splitlines(keepends=True)[:drawings_per_class]
    assert (folder / "cat.ndjson").read_bytes() == b"".join(lines)


def test_one_page_among_the_files_stops_no_other(bucket: Bucket, folder: Path) -> None:
    bucket.put("cat", PAGE)
    bucket.put("dog", CAT)
    outcome = fetch(bucket, folder, "cat", "dog")
    assert (outcome.fetched, list(outcome.failures)) == (["dog"], ["cat"])
    assert hidden(folder) == ["dog.ndjson.json", "lock"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_beginning_is_never_taken_for_something_else_however_little_of_it_is_known(form: str) -> None:
    content = first_bytes(form)
    assert {kind_of_other(content[:size], FORMATS[form], is_all=False) for size in range(len(content))} == {None}
    for other in (PAGE, *OTHERS.values()):
        assert kind_of_other(other, FORMATS[form], is_all=True) is not None


def test_real_files_are_taken(quickdraw: Path) -> None:
    for form, files in {
        "simplified": "simplified/*.ndjson",
        "raw": "raw/*.ndjson.gz",
        "binary": "binary/*.bin",
        "numpy": "bitmaps/*.npy",
    }.items():
        paths = sorted(quickdraw.glob(files))
        assert paths
        for path in paths:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                assert kind_of_other(file.read(HEAD_BYTES), FORMATS[form], is_all=False) is None, path
