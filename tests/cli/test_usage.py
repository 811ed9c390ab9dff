"""Wrong command lines: one line on stderr that names the option and the remedy, exit code 2, and nothing else."""

from pathlib import Path

import pytest

from tests.small import in_process

LINES = {
    ("train", "--learning-rate", "0.1"): "no such option: --learning-rate; here it is --lr",
    ("train", "--batch-size=3"): "no such option: --batch-size; here it is --batch",
    ("evaluate", "--batch-size", "3"): "no such option: --batch-size",
    ("sweep", "--gpu"): "no such option: --gpu; here it is --device gpu",
    ("render", "sheet", "x", "--output", "y"): "no such option: --output; here it is --to",
    ("predict", "--rando"): "no such option: --rando; did you mean --random or --run?",
    ("predict", "--zzz"): "no such option: --zzz",
    ("trian",): "no such command 'trian'; did you mean train?",
    ("render", "sheets"): "no such command 'sheets'; did you mean sheet?",
    ("train", "--epochs", "x"): "invalid value for '--epochs': expected a whole number, found \"x\"",
    ("train", "--lr=x"): "invalid value for '--lr': expected a number, found \"x\"",
    ("train", "--network"): "option '--network' requires an argument",
    ("shards",): "missing argument 'SOURCE'",
    ("evaluate", "runs/001-x"): "unexpected argument: runs/001-x; a folder is given with --run or --shards",
    ("train", "shards/x"): "unexpected argument: shards/x; a folder is given with --run or --shards",
    ("inspect", "shards/x", "shards/y"): "unexpected argument: shards/y",
    ("train", "--device", "tpu"): "invalid value for '--device': 'tpu' is not one of 'auto', 'cpu', 'gpu'",
}  # fmt: skip


@pytest.mark.parametrize("words", LINES)
def test_a_wrong_command_line_is_told_in_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    ran = in_process(*words, cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert ran.stderr.startswith(f"sketchpipe: {LINES[words]} (see sketchpipe ")
    assert ran.stderr.endswith(" --help)\n")


@pytest.mark.parametrize("words", [(), ("render",)])
def test_lists_of_commands_show_whole_sentences_on_80_columns(words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        ran = in_process(*words, "--help", cwd=tmp_path)
    listed = ran.stdout.partition("Commands:\n")[2].splitlines()
    assert len(listed) >= 4
    assert all(line.endswith(".") and not line.endswith("...") and len(line) <= 80 for line in listed)
