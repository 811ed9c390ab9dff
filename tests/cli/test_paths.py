"""Paths on the command line: addresses never make a folder, `~` is expanded, lists are one argument."""

import re
from pathlib import Path

import pytest

import model
import pipeline
from pipeline.errors import UsageError
from tests.shards.builds import records, write
from tests.small import in_process

ADDRESS = "s3://b/x"


@pytest.mark.parametrize(
    "words",
    [
        "sample --to ADDRESS",
        "download cat --to ADDRESS",
        "download --classes @ADDRESS",
        "shards ADDRESS",
        "shards ADDRESS --to out --dry-run",
        "shards mine --to ADDRESS",
        "inspect ADDRESS",
        "verify ADDRESS",
        "repair ADDRESS",
        "render sheet mine --to ADDRESS",
        "render pictures ADDRESS --to out",
        "render bitmaps ADDRESS --to out",
        "render bitmaps mine --to ADDRESS",
        "render replay mine --to ADDRESS",
        "train --shards ADDRESS",
        "train --run ADDRESS",
        "sweep --curves ADDRESS",
        "runs ADDRESS",
        "evaluate --run ADDRESS",
        "evaluate --report ADDRESS",
        "predict ADDRESS",
        "predict --random --image ADDRESS",
        "export --to ADDRESS",
        "bench --shards ADDRESS",
    ],
)
def test_an_address_is_refused_and_makes_no_folder(tmp_path: Path, words: str) -> None:
    write(tmp_path / "mine", cat=records("cat", range(9)))
    ran = in_process(*words.replace("ADDRESS", ADDRESS).split(), cwd=tmp_path)
    given = re.search(r"(--\w+ @?)?ADDRESS", words)[0].replace("ADDRESS", ADDRESS)
    message = f"sketchpipe: {given}: object stores and web addresses are not supported yet; give a local path, and "
    assert (ran.returncode, ran.stdout, ran.stderr[: len(message)]) == (2, "", message)
    assert ran.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_addresses_are_refused_by_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine", cat=records("cat", range(9)))
    for path in (ADDRESS, Path(ADDRESS)):
        with pytest.raises(UsageError, match=f"^{ADDRESS}: object stores"):
            pipeline.build_shards("mine", path)
        with pytest.raises(UsageError, match=f"^{ADDRESS}: object stores"):
            pipeline.open_split(path, "train")
        with pytest.raises(UsageError, match=f"^{ADDRESS}: object stores"):
            model.load_run(path)
    with pytest.raises(UsageError, match=r"^file:///data/x: give the path alone, /data/x$"):
        pipeline.build_shards("mine", "file:///data/x")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_empty_path_is_not_the_current_folder(tmp_path: Path) -> None:
    write(tmp_path, cat=records("cat", range(9)))
    for words in (("shards", "", "--to", "out"), ("predict", "")):
        ran = in_process(*words, cwd=tmp_path)
        said = 'sketchpipe: "": an empty path; name a file or a folder, such as . for the current one\n'
        assert (ran.returncode, ran.stderr) == (2, said)


def test_a_tilde_is_expanded_in_sources_and_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write(tmp_path / "home" / "mine", cat=records("cat", range(9)))
    (tmp_path / "work").mkdir()
    assert in_process("shards", "~/mine", "--to", "~/out", cwd=tmp_path / "work").returncode == 0
    assert in_process("inspect", "~/out", cwd=tmp_path / "work").returncode == 0
    assert in_process("render", "sheet", "~/out", "--to", "~/sheet.png", cwd=tmp_path / "work").returncode == 0
    assert list((tmp_path / "work").iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["mine", "out", "sheet.png"]


def test_a_list_in_several_words_is_refused_with_its_spelling(tmp_path: Path) -> None:
    write(tmp_path / "mine", cat=records("cat", range(9)))
    for command in (("shards", "mine"), ("render", "bitmaps", "mine", "--to", "out")):
        ran = in_process(*command, "--classes", "cat", "dog", cwd=tmp_path)
        assert (ran.returncode, ran.stderr) == (
            2,
            'sketchpipe: dog: no such file or folder; a list is one argument with commas: --classes "cat,dog"\n',
        )
    ran = in_process("shards", "mine", "--classes", "", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (2, 'sketchpipe: --classes "": the list is empty\n')


def test_what_is_found_and_left_out_is_told(tmp_path: Path) -> None:
    lines = records("cat", range(300)) + records("Cat", range(300, 600))
    write(tmp_path / "mine", all=lines, dog=records("dog", range(9)), empty=b"")
    (tmp_path / "mine" / "notes.csv").touch()
    ran = in_process("shards", "mine", "--classes", "cat,Cat", cwd=tmp_path)
    assert ran.returncode == 0
    for line in (
        "passed over in mine: 1 .csv\n",
        "  1 file was read only to its first drawing, because no more of the class is wanted\n",
        "  passed over, because without a line: mine/empty.ndjson\n",
        '  classes that differ only in case, spaces or underscores, and are kept apart: "Cat" and "cat"\n',
    ):
        assert line in ran.stderr
    assert "not in a shard" not in ran.stderr
    assert 'kept apart: "Cat" and "cat"' in in_process("inspect", "shards/mine", cwd=tmp_path).stdout


def test_a_file_where_a_folder_is_wanted_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (("inspect",), ("verify",), ("render", "sheet"), ("bench", "--shards")):
        ran = in_process(*words, "file", cwd=tmp_path)
        assert (ran.returncode, ran.stderr) == (
            3,
            "sketchpipe: file: is a file, not a folder of shards; name the folder\n",
        )


def test_a_list_in_several_words_is_told_where_no_source_is_taken(tmp_path: Path) -> None:
    for words in (("render", "sheet", "x", "--classes", "cat", "dog"), ("sweep", "--lr", "0.1", "0.01")):
        ran = in_process(*words, cwd=tmp_path)
        assert (ran.returncode, "; a list is one argument with commas (see sketchpipe" in ran.stderr) == (2, True)
