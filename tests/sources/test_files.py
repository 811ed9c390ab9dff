"""Which files are found, what is told of the others, and which words their names declare."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.classes import lookalikes
from pipeline.errors import InputError, UsageError
from pipeline.pictures.npy import find_bitmaps, word_of_file
from pipeline.sources.files import find_sources
from pipeline.sources.read import read_drawings, read_named
from tests.shards.builds import record, records, write
from tests.sources.naive_binary import pack


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_endings_are_known_in_any_case(tmp_path: Path) -> None:
    touch(tmp_path, "cat.NDJSON", "dog.Bin", "sun.ndjson.GZ", "bee.Jsonl.Zst", "ant.ndjson (1).gz")
    found = {source.declared: source.unit for source in find_sources([str(tmp_path)])}
    assert found == {"cat": "line", "dog": "record", "sun": "line", "bee": "line", "ant": "line"}


def test_what_a_folder_holds_beside_sources_is_told_by_kind_and_number(tmp_path: Path) -> None:
    touch(tmp_path, "cat.ndjson", "a.csv", "B.CSV", "sun.ndjson.zip", "tree.ndjson.part", "README", ".hidden.csv")
    told: list[str] = []
    find_sources([str(tmp_path)], tell=told.append)
    assert told == [f"passed over in {tmp_path}: 2 .csv, 1 .part, 1 .zip, 1 without an ending"]


def test_pipes_devices_and_broken_links_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "mine/cat.ndjson")
    (tmp_path / "mine/notes.txt").symlink_to(tmp_path / "nowhere.txt")
    told: list[str] = []
    find_sources([str(tmp_path / "mine")], tell=told.append)
    (tmp_path / "mine/dog.ndjson").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "mine/ant.csv")
    (tmp_path / "mine/bee.npz").symlink_to("ant.csv")
    assert len(find_sources([str(tmp_path / "mine")], tell=told.append)) == 1
    assert told == [
        f"passed over in {tmp_path / 'mine'}: 1 pipe, device or broken link",
        f"passed over in {tmp_path / 'mine'}: 4 pipes, devices or broken links",
    ]
    (tmp_path / "mine/cat.ndjson").unlink()
    with pytest.raises(InputError, match="only 4 pipes, devices or broken links; give another folder"):
        find_sources([str(tmp_path / "mine")])


def test_links_to_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "mine/cat.ndjson", "other/deep/bee.ndjson", "other/.hidden/ant.ndjson", "third/sun.bin")
    (tmp_path / "mine/more").symlink_to("../other")
    (tmp_path / "mine/self").symlink_to(".")
    (tmp_path / "other/up").symlink_to(tmp_path)  # everything once more, and the third folder
    (tmp_path / "third/more").symlink_to("../other/deep")
    told: list[str] = []
    names = [source.name for source in find_sources([str(tmp_path / "mine")], tell=told.append)]
    assert names == ["mine/cat.ndjson", "mine/more/deep/bee.ndjson", "mine/more/up/third/sun.bin"]
    assert told == []


def test_a_folder_that_two_links_reach_has_the_name_of_the_first(tmp_path: Path) -> None:
    touch(tmp_path, "mine/real/cat.ndjson", "mine/z.ndjson", "mine/b/ant.ndjson")
    (tmp_path / "mine/link").symlink_to("real")
    (tmp_path / "mine/b/again").symlink_to("../real")
    names = [source.name for source in find_sources([str(tmp_path / "mine")])]
    assert names == ["mine/b/again/cat.ndjson", "mine/b/ant.ndjson", "mine/z.ndjson"]


def test_a_file_that_several_paths_reach_is_read_once_and_told(tmp_path: Path) -> None:
    touch(tmp_path, "mine/cat.ndjson", "mine/dog.bin", "other/cat.ndjson")
    (tmp_path / "mine/a.ndjson").symlink_to("cat.ndjson")
    (tmp_path / "link").symlink_to("mine")
    told: list[str] = []
    inputs = [str(tmp_path / name) for name in ("mine", "mine/cat.ndjson", "link", "other")]
    for given in (inputs, inputs[::-1]):
        told.clear()
        names = [source.name for source in find_sources(given, tell=told.append)]
        assert names == ["link/a.ndjson", "link/dog.bin", "other/cat.ndjson"]
        assert told == [
            "passed over, because read under another name: link/cat.ndjson (the file of link/a.ndjson) and 3 more"
        ]
    (tmp_path / "mine/cow.bin").symlink_to("dog.bin")  # another class
    declared = [source.declared for source in find_sources([str(tmp_path / "mine")])]
    assert declared == [None, "cow", "dog"]


@pytest.mark.parametrize("name", ["dog.ndjson", "dog.ndjson.gz", "dog.bin", "dog.csv", "dog.npz"])
def test_a_broken_link_that_may_be_a_source_is_an_error(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "mine/cat.ndjson")
    for target in ("nowhere", name):
        (tmp_path / "mine" / name).symlink_to(target)
        for given in (tmp_path / "mine", tmp_path / "mine" / name, tmp_path / "mine/*"):
            message = f"^{tmp_path}/mine/{name}: is a link to {target}, which leads to no file; restore the file"
            with pytest.raises(InputError, match=message):
                find_sources([str(given)])
        (tmp_path / "mine" / name).unlink()
    (tmp_path / "mine/dog.npy").symlink_to("nowhere")
    assert len(find_sources([str(tmp_path / "mine")])) == 1
    with pytest.raises(InputError, match=r"dog\.npy: is a link to nowhere"):
        find_bitmaps([str(tmp_path / "mine")])


def test_what_may_not_be_read_is_an_error() -> None:
    """In another process, whose user is not root, who may read everything."""
    program = """
import os, sys
from pathlib import Path
from pipeline.sources.files import find_sources
folder = sys.argv[1]
for case in sys.argv[2:]:
    name, mode, pattern = case.split(":")
    closed = Path(folder, name)
    closed.chmod(int(mode, 8))
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        find_sources([f"{folder}/{pattern}"])
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
    if root:
        os.seteuid(0)
    closed.chmod(0o755)
"""
    cases = {
        "mine/deep/more:000:mine": "mine/deep/more: this folder cannot be read (Permission denied)",
        "mine/deep/more:311:mine": "mine/deep/more: this folder cannot be read (Permission denied)",
        "mine/deep:644:mine": "mine/deep/more: cannot be read (Permission denied)",
        "closed:000:mine": "mine/inside: cannot be read (Permission denied)",  # a link to a file in it
        "closed:311:mine": "mine/linked: this folder cannot be read (Permission denied)",
        "dog.csv:000:mine": "mine/dog.csv: cannot be read (Permission denied)",
        "dog.npz:000:mine": "mine/dog.npz: cannot be read (Permission denied)",
        "mine/deep:000:mine/*/*/*.ndjson": "mine/deep: this folder cannot be read (Permission denied)",
        "mine/deep:644:mine/*/more/*": "mine/deep: this folder cannot be read (Permission denied)",
        "mine/deep:000:mine/*.ndjson": "",
    }
    with tempfile.TemporaryDirectory() as name:  # pytest's own may not be searched by others
        folder = Path(name)
        folder.chmod(0o755)
        touch(folder, "mine/cat.ndjson", "mine/deep/more/dog.ndjson", "closed/bee.ndjson", "dog.csv", "dog.npz")
        for link, target in (("inside", "closed/bee.ndjson"), ("linked", "closed"), ("dog.csv",) * 2, ("dog.npz",) * 2):
            (folder / "mine" / link).symlink_to(folder / target)
        command = [sys.executable, "-c", program, name, *cases]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = [expected for expected in cases.values() if expected]
    for said, expected in zip(done.stdout.splitlines(), told, strict=True):
        assert said.startswith(f"InputError: {folder}/{expected}")


def test_a_folder_without_drawings_is_an_error_that_names_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv", "b.csv", "c.zip", *(f"x.k{k}" for k in range(9)))
    message = r"holds no file of drawings \(.*\), only 2 \.csv, 1 \.k0, .* 1 \.k4, 5 of other kinds; name a file"
    with pytest.raises(InputError, match=message):
        find_sources([str(tmp_path)])


def test_files_of_shards_and_runs_are_neither_sources_nor_told(tmp_path: Path) -> None:
    touch(tmp_path, "mine/cat.ndjson", "shards/x/manifest.json", "shards/x/rejects.ndjson", "shards/x/train.parquet")
    touch(tmp_path, "runs/001/run.json", "runs/001/metrics.jsonl", "runs/001/checkpoints/1/params.bin.part")
    touch(tmp_path, "other/rejects.ndjson", "other/metrics.jsonl")
    (tmp_path / "runs/001/best").symlink_to("checkpoints/1")
    told: list[str] = []
    found = [source.name.partition("/")[2] for source in find_sources([str(tmp_path)], tell=told.append)]
    assert (found, told) == (["mine/cat.ndjson", "other/metrics.jsonl", "other/rejects.ndjson"], [])


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("dog (1).bin", "dog"),
        ("dog(2).bin", "dog"),
        ("dog - Copy.bin", "dog"),
        ("hot dog - Copy (3).bin", "hot dog"),
        ("dog copy.bin", "dog"),
        ("dog copy 2.BIN", "dog"),
        ("full%2Fbinary%2Fdog.bin", "dog"),
        ("full_binary_hot%20dog (1).bin", "hot dog"),
        ("my robot (1).bin", "my robot"),
        ("hard copy.bin", "hard copy"),
        ("(1).bin", "(1)"),
    ],
)
def test_the_name_of_a_copy_declares_the_word(tmp_path: Path, name: str, word: str) -> None:
    (source,) = find_sources([str(touch(tmp_path, name) / name)])
    assert source.declared == word
    assert word_of_file(name.lower().replace(".bin", ".npy")) == word


def test_a_binary_file_without_a_name_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, ".bin")
    with pytest.raises(InputError, match=r"\.bin: its name declares no class; name it <class>\.bin"):
        find_sources([str(tmp_path / ".bin")])


def test_bitmaps_are_found_in_any_case_and_the_others_told(tmp_path: Path) -> None:
    touch(tmp_path, "cat.ndjson", "dog.txt")
    with pytest.raises(InputError, match=r"holds no \.npy file, only 1 \.ndjson, 1 \.txt; name a file itself"):
        find_bitmaps([str(tmp_path)])
    touch(tmp_path, "bee.NPY")
    told: list[str] = []
    with pytest.raises(InputError, match="is not a complete"):
        find_bitmaps([str(tmp_path)], told.append)
    assert told == [f"passed over in {tmp_path}: 1 .ndjson, 1 .txt"]


def test_words_that_differ_in_case_spaces_or_underscores_look_alike() -> None:
    assert lookalikes(["cat", "Cat", " cat", "cats", "hot dog", "hot_dog"]) == [
        ["cat", "Cat", " cat"],
        ["hot dog", "hot_dog"],
    ]


@pytest.mark.parametrize("address", ["s3://b/x", "gs://quickdraw_dataset/full/cat.ndjson", "https://a.b/c.ndjson"])
def test_an_address_is_no_source(address: str) -> None:
    with pytest.raises(UsageError, match=f"^{address}: object stores and web addresses are not supported yet; give a"):
        find_sources([address])
    with pytest.raises(UsageError, match="download` fetches Google's" if address[0] != "s" else "own tool$"):
        read_drawings(address)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    touch(tmp_path, "mine/cat.ndjson")
    assert [source.path for source in find_sources(["~/mine", "~/m*/*.ndjson"])] == [tmp_path / "mine" / "cat.ndjson"]


@pytest.mark.parametrize("bad", [2, 1])
def test_more_rejects_than_drawings_are_an_error_of_every_reader(tmp_path: Path, bad: int) -> None:
    folder = write(tmp_path, cat=record("cat", 1) + b"\n\n" + b"bad\n" * bad)
    path = str(folder / "cat.ndjson")
    if bad == 1:
        assert sum(map(len, read_named([path]))) == 1
        with pytest.warns(UserWarning, match="1 line rejected"):
            assert len(read_drawings(path)) == 1
        return
    message = r"cat\.ndjson: 2 of its 3 lines are rejected, more than half; .*cat\.ndjson:4: expected a JSON object"
    with pytest.raises(InputError, match=message):
        list(read_named([path]))
    with pytest.raises(InputError, match=message):
        read_drawings(path)


def test_the_damaged_end_of_a_file_is_not_counted_as_a_line(tmp_path: Path) -> None:
    (tmp_path / "dog.bin").write_bytes(pack(1 << 21, [[[0, 9], [0, 9]]]) + b"\0" * 9)
    assert sum(map(len, read_named([str(tmp_path / "dog.bin")]))) == 1


def test_a_file_without_a_line_is_an_error_only_if_there_is_no_other(tmp_path: Path) -> None:
    write(tmp_path, empty=b"", blank=b"\n\n")
    with pytest.raises(InputError, match=r"blank\.ndjson: it has no lines"):
        read_drawings(tmp_path)
    write(tmp_path, cat=records("cat", range(2)))
    assert len(read_drawings(tmp_path)) == 2
