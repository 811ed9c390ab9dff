"""What the options promise: choices that shells complete, wrong use in one line."""

import os
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest

from model.compute.choices import Device, Precision
from model.config import TrainConfig
from pipeline.choices import Encoding, Format, Framing, Scaling, Split, SplitOrAll
from pipeline.download.bucket import FORMATS
from pipeline.rendering.raster import ENCODINGS
from tests.small import command, in_process


def test_the_choices_of_the_options_are_what_the_stages_know() -> None:
    assert get_args(Encoding) == tuple(ENCODINGS)
    assert get_args(Format) == tuple(FORMATS)
    assert get_args(Precision) == ("auto", *get_args(TrainConfig.__annotations__["precision"]))


@pytest.mark.parametrize(
    ("words", "option", "choices"),
    [
        ("train", "device", Device),
        ("train", "precision", Precision),
        ("train", "encoding", Encoding),
        ("train", "framing", Framing),
        ("sweep", "device", Device),
        ("sweep", "precision", Precision),
        ("evaluate", "device", Device),
        ("evaluate", "split", SplitOrAll),
        ("predict", "device", Device),
        ("download", "format", Format),
        ("render sheet", "split", Split),
        ("render sheet", "encoding", Encoding),
        ("render pictures", "split", SplitOrAll),
        ("render pictures", "framing", Framing),
        ("render replay", "split", Split),
        ("render bitmaps", "scaling", Scaling),
    ],
)
def test_help_lists_choices_once_and_another_word_is_refused_with_all_of_them(
    tmp_path: Path, words: str, option: str, choices: Any
) -> None:
    ran = in_process(*words.split(), "--help", cwd=tmp_path)
    described = ran.stdout[ran.stdout.rindex(f"  --{option} ") :].partition("\n  --")[0]
    assert described.count("|".join(get_args(choices))) == 1
    assert described.count("|") == len(get_args(choices)) - 1
    ran = in_process(*words.split(), f"--{option}", "nonsense", cwd=tmp_path)
    named = ", ".join(f"'{choice}'" for choice in get_args(choices))
    invalid = f"invalid value for '--{option}': 'nonsense' is not one of {named}"
    assert ran.stderr == f"sketchpipe: {invalid} (see sketchpipe {words} --help)\n"
    assert (ran.returncode, ran.stdout) == (2, "")


def test_shells_complete_choices(tmp_path: Path) -> None:
    asked = {"_SKETCHPIPE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "sketchpipe train --device "}
    ran = subprocess.run(
        command(), env={**os.environ, **asked}, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [device for device in get_args(Device) if device in ran.stdout] == list(get_args(Device)), ran


@pytest.mark.parametrize("group", [(), ("render",)])
def test_a_group_without_a_command_shows_its_help_on_stderr(tmp_path: Path, group: tuple[str, ...]) -> None:
    ran = in_process(*group, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("Usage: sketchpipe")
    assert "Commands:" in ran.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tain"], "no such command 'tain'"),
        (["train", "--sede", "1"], "o such option"),
        (["train", "--epochs", "x"], "invalid value for '--epochs'"),
        (["render", "sheet"], "issing argument"),
        (["classes", "a", "b"], "unexpected argument: b"),
    ],
)
def test_wrong_use_is_said_in_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    ran = in_process(*words, cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert said in ran.stderr
    assert ran.stderr.endswith(" --help)\n")


@pytest.mark.parametrize("group", [[], ["render"]])
def test_the_summaries_of_all_commands_are_whole_sentences_on_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    summaries = in_process(*group, "--help", cwd=tmp_path).stdout.partition("Commands:\n")[2].splitlines()
    assert len(summaries) == (4 if group else 18)
    assert [line for line in summaries if not line.endswith(".") or line.endswith("..")] == []


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        ("shards", "SOURCE..."),
        ("inspect", "SHARDS"),
        ("repair", "SHARDS [SOURCE]..."),
        ("predict", "[FILE]..."),
        ("classes", "[TEXT]"),
        ("render bitmaps", "SOURCE..."),
        ("bench", ""),
    ],
)
def test_usage_lines_name_the_arguments_once(tmp_path: Path, words: str, usage: str) -> None:
    ran = in_process(*words.split(), "--help", cwd=tmp_path)
    assert ran.stdout.splitlines()[0] == f"Usage: sketchpipe {words} [OPTIONS] {usage}".rstrip()
