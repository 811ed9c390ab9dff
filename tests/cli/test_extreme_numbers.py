"""Numbers that no machine holds, in every option of every command that takes one: usage, before any work is done."""

import inspect
from pathlib import Path
from typing import get_args

import pytest
import typer

from pipeline.cli.app import app
from tests.small import in_process, sample_shards, sample_sketches

pytestmark = pytest.mark.long

WHOLE = (str(1 << 64), str(-(1 << 63) - 1), "1" + "0" * 400, "-1" + "0" * 400, "1" + "0" * 5_000, "1e3", "0x10", "nan")
REAL = ("nan", "inf", "-inf", "1e999", "x")
LISTS = {"--batch": WHOLE, "--epochs": WHOLE, "--seed": WHOLE, "--lr": REAL}  # of sweep, and --top of predict


def commands(group: typer.Typer, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], inspect.Signature]]:
    """Every command: the words that call it, and its parameters."""
    found = [
        ((*words, str(one.name)), inspect.signature(one.callback))
        for one in group.registered_commands
        if one.callback is not None
    ]
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            found += commands(inner.typer_instance, (*words, "render"))
    return found


def numeric() -> list[tuple[tuple[str, ...], str, str]]:
    """Each command's words, each of its numeric options, and each extreme value."""
    found = [(("predict",), "--top", value) for value in ("0", "-1", "1" + "0" * 5_000, "\u00b2")]
    for words, signature in commands(app):
        for name, parameter in signature.parameters.items():
            kinds = {get_args(parameter.annotation)[0], *get_args(get_args(parameter.annotation)[0])}
            option = f"--{name.replace('_', '-')}"
            listed = LISTS.get(option, ()) if words == ("sweep",) else ()
            values = WHOLE if int in kinds else REAL if float in kinds else listed
            found += [(words, option, value) for value in values]
    return found


@pytest.fixture
def work(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (tmp_path / "sketches").symlink_to(sample_sketches(tmp_path_factory))
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "x").symlink_to(sample_shards(tmp_path_factory))
    return tmp_path


ARGUMENTS = {
    ("download",): ("cat", "--source", "http://127.0.0.1:1"),
    ("shards",): ("sketches", "--to", "built", "--dry-run"),
    ("simplify",): ("sketches", "--to", "simplified"),
    ("repair",): ("shards/x",),
    ("render", "sheet"): ("shards/x",),
    ("render", "pictures"): ("shards/x", "--to", "pictures"),
    ("render", "bitmaps"): ("sketches", "--to", "bitmaps"),
    ("render", "replay"): ("shards/x", "--random"),
    ("train",): ("--shards", "shards/x", "--device", "cpu"),
    ("sweep",): ("--shards", "shards/x", "--device", "cpu"),
    ("predict",): ("--random",),
}


def test_every_command_with_a_numeric_option_is_tried() -> None:
    options = {(words, option) for words, option, _ in numeric()}
    assert len(options) > 25
    assert {words for words, _ in options} >= set(ARGUMENTS)


def test_extreme_numbers_are_wrong_usage_in_one_line(work: Path) -> None:
    wrong = []
    for words, option, value in numeric():
        given = ("--key-id",) if option == "--key-id" else ()
        rest = [one for one in ARGUMENTS.get(words, ()) if not (given and one == "--random")]
        ran = in_process(*words, *rest, f"{option}={value}", cwd=work)
        lines = ran.stderr.splitlines()
        if (ran.returncode, len(lines), ran.stdout) != (2, 1, "") or not lines[0].startswith("sketchpipe: "):
            wrong.append((words, option, value[:30], ran.returncode, ran.stderr[:300]))
    assert wrong == []
    assert sorted(path.name for path in work.iterdir()) == ["shards", "sketches"]
