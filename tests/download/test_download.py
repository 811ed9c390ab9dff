"""`sketchpipe download`, the real command against a real server: files, codes, messages, and every way to die."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from pipeline.classes import WORDS
from tests.download.bucket_server import Bucket, Fault, first_bytes, free_port, lines_of, serve
from tests.download.downloads import CAT, SKETCHPIPE, begin, fails, run, wait_for_bytes

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_words_are_fetched_into_the_set_s_folder_and_a_second_run_fetches_nothing(bucket: Bucket) -> None:
    bucket.put("cat", CAT)
    bucket.put("hot dog", lines_of("hot dog", 5))
    code, said = run(bucket, "cat", "hot dog", "cat")
    assert code == 0
    begun, ended = said
    assert f"sketches/quickdraw: downloading 2 files from {bucket.url}: 1.6 MB needed, " in begun
    assert begun.endswith(" free")
    assert ended.startswith("sketches/quickdraw: 2 files downloaded, 1.6 MB in ")
    assert Path("sketches/quickdraw/cat.ndjson").read_bytes() == CAT
    assert Path("sketches/quickdraw/hot dog.ndjson").read_bytes() == lines_of("hot dog", 5)
    code, said = run(bucket, "hot dog", "cat")
    assert (code, said) == (0, ["sketches/quickdraw: nothing to download, 2 files already there"])
    assert sum(one.method == "GET" for one in bucket.log) == 2


def test_all_words_are_asked_for_and_those_that_failed_are_named(bucket: Bucket) -> None:
    for word in WORDS[:-2]:
        bucket.put(word, lines_of(word, 2))
    code, said = run(bucket, "--all")
    assert code == 3
    assert (
        said[-1] == "sketchpipe: 2 files could not be downloaded: zebra, zigzag; the others are in sketches/quickdraw"
    )
    assert (
        f"  {bucket.url}/simplified/zebra.ndjson: cannot be downloaded (404 Not Found); check --source and --format"
        in said
    )
    assert sorted(path.stem for path in Path("sketches/quickdraw").glob("*.ndjson")) == sorted(WORDS[:-2])


def test_of_very_many_failures_the_last_line_names_five(bucket: Bucket) -> None:
    ended = run(bucket, *WORDS[:9])
    fails(
        ended, 3, f"9 files could not be downloaded: {', '.join(WORDS[:5])} and 4 more; none is in sketches/quickdraw"
    )
    assert [said.split(": cannot be downloaded")[0].rpartition("/")[2] for said in ended[1][:-1]] == [
        f"{word.replace(' ', '%20')}.ndjson" for word in WORDS[:9]
    ]


@pytest.mark.parametrize(
    ("form", "folder", "suffix"),
    [("raw", "raw", ".ndjson"), ("binary", "binary", ".bin"), ("numpy", "numpy_bitmap", ".npy")],
)
def test_every_format_has_a_folder_of_its_own(bucket: Bucket, form: str, folder: str, suffix: str) -> None:
    content = first_bytes(form) * 99
    bucket.put("hot dog", content, form=folder, suffix=suffix)
    assert run(bucket, "hot dog", "--format", form)[0] == 0
    assert Path(f"sketches/quickdraw-{form}/hot dog{suffix}").read_bytes() == content


def test_classes_come_from_a_list_or_a_file_too(bucket: Bucket) -> None:
    for word in ("cat", "dog", "owl", "ant"):
        bucket.put(word, lines_of(word, 2))
    Path("words.txt").write_text("dog\nowl\n")
    assert run(bucket, "--classes", "@words.txt", "--to", "a")[0] == 0
    assert run(bucket, "cat", "--classes", "ant,cat", "--to", "b")[0] == 0
    assert [sorted(path.stem for path in Path(name).glob("*.ndjson")) for name in "ab"] == [
        ["dog", "owl"],
        ["ant", "cat"],
    ]


def test_the_head_of_a_file_is_said_to_be_one(bucket: Bucket) -> None:
    bucket.put("cat", CAT)
    code, said = run(bucket, "cat", "--drawings-per-class", "50")
    assert code == 0
    assert ": about 26.1 kB needed, " in said[0]
    assert "only the first 50 drawings of each: the beginning of a file may be biased, and no checksum" in said[1]
    assert Path("sketches/quickdraw/cat.ndjson").read_bytes().count(b"\n") == 50


def test_a_smaller_head_than_before_is_said_to_be_there_already(bucket: Bucket) -> None:
    for word in ("cat", "dog", "owl"):
        bucket.put(word, CAT)
    assert run(bucket, "cat", "--drawings-per-class", "1200")[0] == 0
    assert run(bucket, "dog", "--drawings-per-class", "50")[0] == 0
    assert run(bucket, "owl")[0] == 0
    assert run(bucket, "cat", "dog", "owl", "--drawings-per-class", "50") == (
        0,
        [
            "sketches/quickdraw: nothing to download, 3 files already there",
            "  more than the first 50 drawings are already there, and are kept: cat (1,200), owl (all)",
        ],
    )


def test_a_server_without_checksums_is_said_to_be_one(bucket: Bucket) -> None:
    bucket.put("cat", CAT, hashes=())
    code, said = run(bucket, "cat")
    assert (code, said[-1]) == (0, "  the server gave no checksum for 1 of them: only their size was checked")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["hotdog"], 3, "class \"hotdog\": not one of Google's 345 words; did you mean 'hot dog' or"),
        (["../x"], 3, 'class "../x": not one of Google\'s 345 words; `sketchpipe classes` lists them'),
        ([], 2, "no class is named: give words"),
        ([""], 2, 'class "": the name is empty; `sketchpipe classes` lists the words'),
        (["cat", " "], 2, 'class " ": the name is empty; `sketchpipe classes` lists the words'),
        (["cat", "--all"], 2, "--all and 'cat': name classes or take all, not both"),
        (["cat", "--format", "png"], 2, "'--format': 'png' is not one of 'simplified', 'raw', 'binary', 'numpy'"),
        (["cat", "--format", "numpy", "--drawings-per-class", "5"], 2, "its files have no lines; leave out --drawings"),
        (["cat", "--drawings-per-class", "0"], 2, "drawings_per_class 0: expected 1 or more"),
        (["--classes", "@none.txt"], 3, "none.txt: cannot be read as a list"),
    ],
)
def test_a_command_that_makes_no_sense_asks_no_server(bucket: Bucket, words: list[str], code: int, said: str) -> None:
    ended = run(bucket, *words)
    fails(ended, code, said)
    assert len(ended[1]) == 1
    assert bucket.log == []
    assert list(Path().iterdir()) == []


def test_an_address_that_makes_no_sense_is_a_usage_error() -> None:
    fails(run("storage.googleapis.com", "cat"), 2, 'source "storage.googleapis.com": expected https://HOST/FOLDER')


def test_what_cannot_be_had_is_named_with_its_address(bucket: Bucket) -> None:
    fails(
        run(bucket, "cat"),
        3,
        f"{bucket.url}/simplified/cat.ndjson: cannot be downloaded (404 Not Found); check --source",
    )
    fails(run(f"http://127.0.0.1:{free_port()}/full", "cat", "dog"), 3, "cannot be reached", "check the network")
    bucket.put("cat", CAT, hashed=b"other bytes")
    fails(run(bucket, "cat"), 4, "cat.ndjson: its md5 should be", "choose a mirror with --source")
    bucket.put("cat", CAT, size=10**18)
    fails(run(bucket, "cat"), 6, "sketches/quickdraw: 1,000,000,000,000,000,000 bytes are needed", "make room")
    assert list(Path("sketches").iterdir()) == []


def test_a_503_is_waited_out(bucket: Bucket) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", *[Fault(status=503, headers={"Retry-After": "0"})] * 5)
    assert run(bucket, "cat")[0] == 0
    assert len(bucket.gets("cat")) == 6


def test_a_wait_for_the_server_is_said(bucket: Bucket) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", Fault(status=503, headers={"Retry-After": "2"}))
    code, said = run(bucket, "cat")
    host = bucket.url.removeprefix("http://").removesuffix("/full")
    waiting = "the server responded 503 Service Unavailable and asks to wait 2 s, waiting 2 s"
    assert (code, said[1]) == (0, f"  {host}: {waiting}")


def test_a_file_where_the_hidden_folder_belongs_is_named(bucket: Bucket) -> None:
    Path("mine").mkdir()
    Path("mine/.download").write_text("mine")
    fails(run(bucket, "cat", "--to", "mine"), 6, "mine/.download: is not a folder; move it, or choose another folder")
    assert Path("mine/.download").read_text() == "mine"


@pytest.mark.parametrize("target", ["file", "file/below", "sample"])
def test_a_folder_that_is_not_ours_to_fill_is_refused(bucket: Bucket, target: str) -> None:
    Path("file").write_text("mine")
    Path("sample").mkdir()
    Path("sample/.synthetic").touch()
    bucket.put("cat", CAT)
    fails(run(bucket, "cat", "--to", target), 6, f"{target}: ", "choose another folder with --to")
    assert bucket.log == []
    assert sorted(path.name for path in Path().rglob("*")) == [".synthetic", "file", "sample"]


def test_a_killed_download_goes_on_and_asks_only_for_the_rest(bucket: Bucket) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", Fault(hold_after=500_000), Fault(hold_after=300_000))
    for size in (500_000, 800_000):
        with begin(bucket, "cat") as process:
            wait_for_bytes(size)
            process.kill()
    assert not Path("sketches/quickdraw/cat.ndjson").exists()
    code, said = run(bucket, "cat")
    assert code == 0
    assert "769.8 kB needed, 800.0 kB more are already there, " in said[0]
    assert bucket.gets("cat") == [(None, None), (500_000, len(CAT)), (800_000, len(CAT))]
    assert Path("sketches/quickdraw/cat.ndjson").read_bytes() == CAT
    assert sorted(os.listdir("sketches/quickdraw/.download")) == ["cat.ndjson.json", "lock"]  # noqa: PTH208 - hidden ones


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_download_says_so_and_goes_on(bucket: Bucket, number: int, code: int) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", Fault(hold_after=500_000))
    with begin(bucket, "cat") as process:
        wait_for_bytes(500_000)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == code
    assert said[1:] == [
        f"sketchpipe: {'interrupted' if code == 130 else 'terminated'}; "
        "sketches/quickdraw keeps what was downloaded, and the same command resumes",
    ]
    assert run(bucket, "cat")[0] == 0
    assert bucket.gets("cat")[1:] == [(500_000, len(CAT))]
    assert Path("sketches/quickdraw/cat.ndjson").read_bytes() == CAT


def test_a_second_download_into_the_folder_says_who_holds_it(bucket: Bucket) -> None:
    bucket.put("cat", CAT)
    bucket.fail("cat", Fault(hold_after=500_000))
    with begin(bucket, "cat") as process:
        wait_for_bytes(500_000)
        ended = run(bucket, "cat")
        process.kill()
    fails(ended, 7, f"sketches/quickdraw: process {process.pid} is downloading into it; wait for it to end, or stop it")
    assert run(bucket, "cat")[0] == 0


def test_a_disk_that_takes_no_more_ends_with_6_and_what_came_is_kept(bucket: Bucket) -> None:
    bucket.put("cat", CAT)
    command = f'ulimit -f 512; exec "{SKETCHPIPE}" download cat --source {bucket.url}'
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    fails(
        (ended.returncode, ended.stderr.splitlines()),
        6,
        ".partial: cannot be written (File too large); what was downloaded is kept",
    )
    assert run(bucket, "cat")[0] == 0
    start = bucket.gets("cat")[-1][0]
    assert start is not None
    assert 0 < start <= 512 * 1024
    assert Path("sketches/quickdraw/cat.ndjson").read_bytes() == CAT


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here to make a certificate")
def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    Path("both.pem").write_text(Path("key.pem").read_text() + Path("cert.pem").read_text())
    with serve(certificate=Path("both.pem")) as bucket:
        bucket.put("cat", CAT)
        fails(run(bucket, "cat"), 3, "its certificate cannot be verified (self", "SSL_CERT_FILE")
        assert bucket.log == []
        assert run(bucket, "cat", SSL_CERT_FILE="cert.pem")[0] == 0
    assert Path("sketches/quickdraw/cat.ndjson").read_bytes() == CAT


def test_a_proxy_from_the_environment_is_used_unless_the_host_is_excepted(bucket: Bucket) -> None:
    bucket.put("cat", CAT)
    proxy = bucket.url.removesuffix("/full")
    assert run("http://bucket.invalid/full", "cat", http_proxy=proxy)[0] == 0
    assert Path("sketches/quickdraw/cat.ndjson").read_bytes() == CAT
    fails(run("http://bucket.invalid/full", "dog", http_proxy=proxy, no_proxy="bucket.invalid"), 3, "cannot be reached")
    fails(
        run("http://bucket.invalid/full", "cat", http_proxy="socks5://h:1"), 2, "proxy socks5://h:1: expected http://"
    )


def test_what_was_fetched_is_built_into_shards(bucket: Bucket, quickdraw: Path) -> None:
    real = {word: (quickdraw / "simplified" / f"{word}.ndjson").read_bytes() for word in ("zigzag", "hot dog")}
    for word, content in real.items():
        bucket.put(word, content)
    assert run(bucket, *real)[0] == 0
    assert run(bucket, *real, "--drawings-per-class", "5", "--to", "sketches/five")[0] == 0
    for name, count in (("quickdraw", sum(content.count(b"\n") for content in real.values())), ("five", 10)):
        subprocess.run([SKETCHPIPE, "shards", f"sketches/{name}"], check=True, capture_output=True, timeout=60)
        shown = subprocess.run([SKETCHPIPE, "inspect", f"shards/{name}", "--json"], check=True, capture_output=True)
        found = json.loads(shown.stdout)
        assert (found["read"], found["rejects"]) == (count, {})
