"""`sketchpipe runs`: what is told of runs whatever is left of them."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.runs.card import FORMAT_VERSION
from model.runs.opening import open_run
from model.runs.overview import summarize
from pipeline.cli.comparing import tell_sweep
from pipeline.storage.sealed import seal, unseal
from tests.runs.made_runs import made
from tests.small import command, in_process, trained

RUN = "runs/001-sketch-classifier"
SCORES = ["best", "top-1", "at", "epoch", "last", "top-1", "epochs", "minutes"]


@pytest.fixture
def work(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run of two epochs."""
    shutil.copytree(trained(tmp_path_factory) / RUN, tmp_path / RUN)
    return tmp_path


def reseal(path: Path, **changes: Any) -> None:
    """Change fields of a file that holds its own checksum."""
    path.write_text(seal({**unseal(path.read_text())[0], **changes}))


def row_of(work: Path, name: str) -> str:
    ran = in_process("runs", "runs", cwd=work)
    assert (ran.returncode, ran.stderr) == (0, "")
    (row,) = [line for line in ran.stdout.splitlines() if line.startswith(f"runs/{name} ")]
    return row


def test_a_run_is_listed_with_what_it_is_and_how_good_it_became(work: Path) -> None:
    ran = in_process("runs", "runs", cwd=work)
    assert (ran.returncode, ran.stderr) == (0, "")
    head, row = (line.split() for line in ran.stdout.splitlines())
    assert head == ["run", "network", "classes", "shards", "lr", "batch", *SCORES, "parameters", "state"]
    lines = [json.loads(line) for line in (work / RUN / "metrics.jsonl").read_text().splitlines()]
    best = max(lines, key=lambda line: line["validation_top1"])
    assert row == [
        RUN, "sketch-classifier", "10", "shards/sample", "0.001", "64",
        f"{best['validation_top1']:.1%}", str(best["epoch"] + 1),
        f"{lines[-1]['validation_top1']:.1%}", "2/2", f"{lines[-1]['seconds'] / 60:.1f}", "14,642", "finished",
    ]  # fmt: skip


def test_runs_are_listed_by_number_the_newest_last(work: Path) -> None:
    for name in ("mine", "002-b", "1000-d", "010-c"):
        made(work / "runs" / name, 0.5)
    (work / "runs" / "notes").mkdir()
    (work / "runs" / "sweep.png").touch()
    listed = [line.split()[0] for line in in_process("runs", "runs", cwd=work).stdout.splitlines()[1:]]
    assert listed == [RUN, "runs/002-b", "runs/010-c", "runs/1000-d", "runs/mine"]
    told = json.loads(in_process("runs", "runs", "--json", cwd=work).stdout)
    assert [one["run"] for one in told["runs"]] == listed
    assert told["runs"][1].pop("settings")["lr"] == 0.008
    assert told["runs"][1] == {
        "run": "runs/002-b", "state": "finished", "note": "", "network": "sketchnet", "classes": 3,
        "shards": "shards/a", "shards_checksum": "aa", "epochs": 1, "epochs_done": 1, "best_validation_top1": 0.5,
        "best_epoch": 1, "last_validation_top1": 0.5, "parameters": None, "seconds": 30.0, "added": [],
    }  # fmt: skip


def test_the_network_that_comes_with_sketchpipe_is_listed_last(work: Path) -> None:
    lines = in_process("runs", cwd=work).stdout.splitlines()
    assert lines[:-1] == in_process("runs", "runs", cwd=work).stdout.splitlines()
    assert lines[-1].startswith("sketchnet-345  built in, for --run: sketchnet, 345 classes, ")
    told = json.loads(in_process("runs", "--json", cwd=work).stdout)["runs"]
    assert [one["run"] for one in told] == [RUN, "sketchnet-345"]


def test_five_runs_of_one_network_are_told_apart_by_what_differs_between_them(tmp_path: Path) -> None:
    recipe = {"optimizer": "adam", "schedule": "constant", "encoding": "palette"}
    made(tmp_path / "runs" / "001-other", 0.5, network="sketch-classifier", **recipe)
    for number, (lr, batch, seed) in enumerate([(0.01, 64, 0), (0.01, 64, 1), (0.02, 64, 0), (0.02, 32, 1)], 2):
        made(tmp_path / "runs" / f"{number:03d}-sketchnet", 0.5, lr=lr, batch=batch, seed=seed)
    (tmp_path / "runs" / "006-spoilt").mkdir()
    (tmp_path / "runs" / "006-spoilt" / "run.json").touch()
    head, *rows = (line.split() for line in in_process("runs", "runs", cwd=tmp_path).stdout.splitlines())
    assert head[:7] == ["run", "network", "classes", "shards", "lr", "batch", "seed"]
    assert [row[4:7] for row in rows[1:]] == [
        ["0.01", "64", "0"], ["0.01", "64", "1"], ["0.02", "64", "0"], ["0.02", "32", "1"], ["-", "-", "-"],
    ]  # fmt: skip


def test_what_a_shell_makes_of_a_star_is_compared_without_what_is_no_run(tmp_path: Path) -> None:
    for name in ("001-a", "002-b"):
        made(tmp_path / "runs" / name, 0.5, lr=float(name[2]))
    (tmp_path / "runs" / "sweep.png").touch()
    (tmp_path / "runs" / "notes").mkdir()
    ran = in_process("runs", "runs/001-a", "runs/002-b", "runs/notes", "runs/sweep.png", cwd=tmp_path)
    assert [line.split()[:2] for line in ran.stdout.splitlines()] == [
        ["run", "lr"], ["runs/001-a", "1"], ["runs/002-b", "2"],
    ]  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "passed over, because no run is there: runs/notes, runs/sweep.png\n")
    for arguments in (["runs/sweep.png"], ["runs/001-a", "runs/003-typo"]):
        ran = in_process("runs", *arguments, cwd=tmp_path)
        assert (ran.returncode, ran.stdout) == (3, "")
        assert f"{arguments[-1]}: no run here" in ran.stderr


def test_of_equal_scores_the_earlier_epoch_is_the_best(tmp_path: Path) -> None:
    assert summarize(made(tmp_path / "run", 0.25, 0.5, 0.5, 0.125)).best == (0.5, 2)


def test_an_unfinished_run_tells_who_trains_it_or_how_it_goes_on(work: Path) -> None:
    reseal(work / RUN / "run.json", finished=False)
    assert row_of(work, "001-sketch-classifier").endswith(
        f"unfinished: resume it with `sketchpipe train --resume --run {RUN}`"
    )
    with open_run(work / RUN).locked():
        assert row_of(work, "001-sketch-classifier").endswith(f"training: being trained by process {os.getpid()}")
    (work / RUN / "lock").write_text(str(2**22 + 1))  # no process has such a number
    assert "  unfinished: " in row_of(work, "001-sketch-classifier")


def overwrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes(content)


def flip(path: Path, text: bytes) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(text, bytes([text[0] ^ 1]) + text[1:], 1))


def replace_in(path: Path, text: bytes, other: bytes) -> None:
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, other, 1))


def recoded(name: str, encoding: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes((run / name).read_text(encoding="utf-8").encode(encoding))


def in_place_of(name: str) -> Callable[[Path], object]:
    def change(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (overwrite("run.json", b""), "damaged: run.json is no JSON object"),
        (overwrite("run.json", b"\xff\xfe"), "damaged: run.json is no JSON object"),
        (overwrite("run.json", b"[1]"), "damaged: run.json is no JSON object"),
        (overwrite("run.json", b"{}"), "damaged: run.json names no format_version"),
        (recoded("run.json", "utf-8-sig"), "damaged: run.json is no JSON object"),
        (recoded("run.json", "utf-16"), "damaged: run.json is no JSON object"),
        (
            lambda run: replace_in(run / "run.json", b"sample", rb"sample\ud800"),
            "damaged: run.json does not match its checksum",
        ),
        (
            lambda run: replace_in(run / "run.json", b'"format_version": 5', b'"format_version": 4'),
            "damaged: run.json does not match its checksum",
        ),
        (overwrite("run.json", b"[" * 100_000), "damaged: run.json is no JSON object"),
        (in_place_of("run.json"), "damaged: run.json is a folder, not a file"),
        (lambda run: (run / "run.json").unlink(), "damaged: run.json is missing"),
        (lambda run: (run / "config.json").unlink(), "damaged: config.json is missing"),
        (
            overwrite("config.json", b'{"network": 3}'),
            "damaged: config.json has a field that is wrong (classes is missing)",
        ),
        (lambda run: (run / "metrics.jsonl").unlink(), "damaged: metrics.jsonl is missing"),
        (
            overwrite("metrics.jsonl", b'{"epoch": 0}\n{"ep'),
            "finished: metrics.jsonl: skipped line 2, not the metrics of an epoch",
        ),
        (
            overwrite("metrics.jsonl", b'{"epoch": 3}\n{"epoch": 3}\n\n{"epoch": true}\n'),
            "finished: metrics.jsonl: skipped lines 2, 3, 4, not the metrics of an epoch",
        ),
        (overwrite("metrics.jsonl", b"\n"), "damaged: metrics.jsonl has no line of an epoch"),
        (in_place_of("metrics.jsonl"), "damaged: metrics.jsonl is a folder, not a file"),
        (lambda run: flip(run / "run.json", b"finished"), "damaged: run.json does not match its checksum"),
        (
            lambda run: flip(run / "config.json", b"palette"),
            "damaged: config.json does not match the SHA-256 in run.json",
        ),
        (overwrite("run.json", b'{"format_version": 2}'), f"run format 2, this version reads 4 and {FORMAT_VERSION}"),
        (shutil.rmtree, ""),
    ],
)
def test_what_is_damaged_is_said_in_its_line_and_the_others_stand(
    work: Path, spoil: Callable[[Path], object], said: str
) -> None:
    shutil.copytree(work / RUN, work / "runs" / "002-spoilt")
    spoil(work / "runs" / "002-spoilt")
    ran = in_process("runs", "runs", cwd=work)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "  finished" in ran.stdout.splitlines()[1]
    assert said in (ran.stdout.splitlines()[2] if said else "")
    told = json.loads(in_process("runs", "runs", "--json", cwd=work).stdout)
    assert len(told["runs"]) == (2 if said else 1)
    ran = in_process("runs", "runs", RUN, "--curves", "curves.png", cwd=work)  # compared, too
    assert (ran.returncode, (work / "curves.png").exists()) == (0, True)


def test_numbers_that_are_none_are_left_out(work: Path) -> None:
    line = {"epoch": 0, "seconds": "long", "validation_top1": float("nan"), "train_loss": 10**400}
    (work / RUN / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    for arrays in (work / RUN).rglob("arrays.safetensors"):
        arrays.write_bytes(b'\x08\0\0\0\0\0\0\0{"params')
    ran = in_process("runs", "--curves", "curves.png", cwd=work)
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[1].split()[6:] == ["-", "-", "-", "1/2", "-", "-", "finished"]


@pytest.mark.parametrize("epoch", [10**400, -1, 10**12])
def test_an_epoch_that_no_run_can_have_is_left_out(tmp_path: Path, epoch: int) -> None:
    with (made(tmp_path / "run", 0.5) / "metrics.jsonl").open("a") as metrics:
        metrics.write(f'{{"epoch": {epoch}, "validation_top1": 0.9}}\n')
    ran = in_process("runs", "run", "--curves", "curves.png", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "curves.png: the curves\n")
    assert ran.stdout.splitlines()[1].endswith("finished: metrics.jsonl: skipped line 2, not the metrics of an epoch")


def test_a_shape_that_no_array_has_leaves_the_parameters_unknown(work: Path) -> None:
    for shape in ([10**30, "aa"], [10**30], [2.5], [True], [-3], [10**4000, 10**4000]):
        header = json.dumps({"params/a": {"shape": shape}}).encode()
        for arrays in (work / RUN).rglob("arrays.safetensors"):
            arrays.write_bytes(len(header).to_bytes(8, "little") + header)
        assert summarize(work / RUN).parameters is None
    assert row_of(work, "001-sketch-classifier").split()[-2:] == ["-", "finished"]


def test_a_score_that_is_no_share_of_anything_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [summarize(made(tmp_path / str(lr), *scores, lr=lr)) for lr, scores in ((0.1, (0.5, 1.5)), (0.2, (-0.5,)))]
    assert [(run.best, run.last_top1) for run in runs] == [((0.5, 1), None), (None, None)]
    tell_sweep(runs, {"lr": [0.1, 0.2]}, Path("a"), tmp_path / "curves.png", test=False, as_json=False)
    assert "best: lr 0.1: validation top-1 50.0%" in capsys.readouterr().out
    drawings = {"epoch": 0, "validation_top1": 0.5, "validation_drawings": -3}
    (tmp_path / "0.1" / "metrics.jsonl").write_text(json.dumps(drawings))
    runs[0] = summarize(tmp_path / "0.1")
    tell_sweep(runs, {"lr": [0.1, 0.2]}, Path("a"), tmp_path / "curves.png", test=False, as_json=False)
    assert capsys.readouterr().out.endswith("best: lr 0.1: validation top-1 50.0%\n")


def test_where_there_are_no_runs_it_says_so(tmp_path: Path) -> None:
    ran = in_process("runs", cwd=tmp_path)
    assert (ran.returncode, ran.stdout.count("\n")) == (0, 1)  # the network that comes with sketchpipe
    assert ran.stderr == "runs/: no runs here; train one with `sketchpipe train --shards DIR`\n"
    (told,) = json.loads(in_process("runs", "--json", cwd=tmp_path).stdout)["runs"]
    assert told["run"] == "sketchnet-345"
    ran = in_process("runs", "none", cwd=tmp_path)
    assert (ran.returncode, "none: no run here" in ran.stderr) == (3, True)


def loaded_after(work: Path, code: str) -> str:
    """Which of the large libraries are loaded when `code` has run in a process of its own."""
    names = ("jax", "flax", "optax", "numba", "numpy", "matplotlib", "polars")
    told = f"{code}\nimport sys; print([name for name in {names} if name in sys.modules])"
    ran = subprocess.run([*command()[:2], told], cwd=work, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()[-1]


def test_a_list_needs_neither_jax_nor_numpy_nor_matplotlib(work: Path) -> None:
    code = (
        "import sys; sys.argv = ['sketchpipe', 'runs']\nfrom pipeline.cli.main import run\n"
        "try: run()\nexcept SystemExit: pass"
    )
    assert loaded_after(work, code) == "[]"


def test_the_newest_run_and_its_best_checkpoint_are_found_without_jax(work: Path) -> None:
    code = (
        "from model.runs.find import newest_run\nrun = newest_run()\n"
        f"assert run.folder.name == '{Path(RUN).name}' and run.checkpoint(best=True).is_dir()"
    )
    assert loaded_after(work, code) == "['numba', 'numpy']"  # the configuration knows what the renderer takes
