"""`sketchpipe runs`: what is told of runs whatever is left of them, and in what they differ."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small import command, in_process, trained

from model.networks import make_config
from model.runs.comparison import differing, ranked
from model.runs.folder import open_run
from model.runs.overview import FORMAT_VERSION, RunSummary, summarize
from pipeline.cli.comparing import tell_sweep
from pipeline.cli.tables import grid, seeds_table
from pipeline.sealed import seal, unseal

RUN = "runs/001-sketch-classifier"
SCORES = ["best", "top-1", "at", "epoch", "last", "top-1", "epochs", "minutes"]
AUGMENT = "rotation=15,shift=3"


@pytest.fixture
def work(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run of two epochs."""
    shutil.copytree(trained(tmp_path_factory) / RUN, tmp_path / RUN)
    return tmp_path


def made(folder: Path, *scores: float, card: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A run as its text files are, with a validation top-1 for each epoch."""
    config = make_config("sketchnet", ("ant", "bee", "cat"), drawings=1000, epochs=len(scores), augment="off")
    folder.mkdir(parents=True)
    settings = json.dumps({**json.loads(config.to_json()), **changes}).encode()
    (folder / "config.json").write_bytes(settings)
    fields = {"shards": "shards/a", "shards_checksum": "aa", "finished": True, "format_version": FORMAT_VERSION}
    proof = {"config_sha256": hashlib.sha256(settings).hexdigest()}
    (folder / "run.json").write_text(seal({**fields, **proof, **(card or {})}))
    lines = [
        {"epoch": epoch, "seconds": 30.0 * (epoch + 1), "validation_top1": top1, "train_loss": 1 / (epoch + 1),
         "validation_drawings": 100}
        for epoch, top1 in enumerate(scores)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def reseal(path: Path, **changes: Any) -> None:
    """Change fields of a file that proves itself."""
    path.write_text(seal({**unseal(path.read_text())[0], **changes}))


def row_of(work: Path, name: str) -> str:
    ran = in_process("runs", cwd=work)
    assert (ran.returncode, ran.stderr) == (0, "")
    (row,) = [line for line in ran.stdout.splitlines() if line.startswith(f"runs/{name} ")]
    return row


def test_a_run_is_listed_with_what_it_is_and_how_good_it_became(work: Path) -> None:
    ran = in_process("runs", cwd=work)
    assert (ran.returncode, ran.stderr) == (0, "")
    head, row = (line.split() for line in ran.stdout.splitlines())
    assert head == ["run", "network", "classes", "shards", *SCORES, "parameters", "state"]
    lines = [json.loads(line) for line in (work / RUN / "metrics.jsonl").read_text().splitlines()]
    best = max(lines, key=lambda line: line["validation_top1"])
    assert row == [
        RUN, "sketch-classifier", "10", "shards/sample", f"{best['validation_top1']:.1%}", str(best["epoch"] + 1),
        f"{lines[-1]['validation_top1']:.1%}", "2/2", f"{lines[-1]['seconds'] / 60:.1f}", "14,642", "finished",
    ]  # fmt: skip


def test_runs_are_listed_by_number_the_newest_last(work: Path) -> None:
    for name in ("mine", "002-b", "1000-d", "010-c"):
        made(work / "runs" / name, 0.5)
    (work / "runs" / "notes").mkdir()
    (work / "runs" / "sweep.png").touch()
    listed = [line.split()[0] for line in in_process("runs", cwd=work).stdout.splitlines()[1:]]
    assert listed == [RUN, "runs/002-b", "runs/010-c", "runs/1000-d", "runs/mine"]
    told = json.loads(in_process("runs", "--json", cwd=work).stdout)
    assert [one["run"] for one in told["runs"]] == listed
    assert told["runs"][1] == {
        "run": "runs/002-b", "state": "finished", "note": "", "network": "sketchnet", "classes": 3,
        "shards": "shards/a", "shards_checksum": "aa", "epochs": 1, "epochs_done": 1, "best_validation_top1": 0.5,
        "best_epoch": 1, "last_validation_top1": 0.5, "parameters": None, "seconds": 30.0,
    }  # fmt: skip


def test_of_equal_scores_the_earlier_epoch_is_the_best(tmp_path: Path) -> None:
    assert summarize(made(tmp_path / "run", 0.25, 0.5, 0.5, 0.125)).best == (0.5, 2)


def test_an_unfinished_run_tells_who_trains_it_or_how_it_goes_on(work: Path) -> None:
    reseal(work / RUN / "run.json", finished=False)
    assert row_of(work, "001-sketch-classifier").endswith(
        f"unfinished: goes on with `sketchpipe train --resume --run {RUN}`"
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


def in_place_of(name: str) -> Callable[[Path], object]:
    def change(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (overwrite("run.json", b""), "damaged: run.json cannot be read (no JSON)"),
        (overwrite("run.json", b"\xff\xfe"), "damaged: run.json cannot be read (no JSON)"),
        (overwrite("run.json", b"[1]"), "damaged: run.json is no JSON object"),
        (overwrite("run.json", b"[" * 100_000), "damaged: run.json cannot be read (no JSON)"),
        (in_place_of("run.json"), "damaged: run.json cannot be read (Is a directory)"),
        (lambda run: (run / "run.json").unlink(), "damaged: run.json is missing"),
        (lambda run: (run / "config.json").unlink(), "damaged: config.json is missing"),
        (overwrite("config.json", b'{"network": 3}'), "damaged: config.json lacks network, classes, epochs"),
        (lambda run: (run / "metrics.jsonl").unlink(), "damaged: metrics.jsonl is missing"),
        (overwrite("metrics.jsonl", b'{"epoch": 0}\n{"ep'), "damaged: metrics.jsonl: line 2 is not an epoch's"),
        (overwrite("metrics.jsonl", b'{"epoch": 3}\n{"epoch": 3}\n'), "metrics.jsonl: line 2 is not an epoch's"),
        (in_place_of("metrics.jsonl"), "damaged: metrics.jsonl cannot be read (Is a directory)"),
        (lambda run: flip(run / "run.json", b"finished"), "damaged: run.json has another checksum than its own"),
        (
            lambda run: flip(run / "config.json", b"palette"),
            "damaged: config.json has another SHA-256 than run.json says",
        ),
        (overwrite("run.json", b'{"format_version": 2}'), f"run format 2, this version reads {FORMAT_VERSION}"),
        (shutil.rmtree, ""),
    ],
)
def test_what_is_damaged_is_said_in_its_line_and_the_others_stand(
    work: Path, spoil: Callable[[Path], object], said: str
) -> None:
    shutil.copytree(work / RUN, work / "runs" / "002-spoilt")
    spoil(work / "runs" / "002-spoilt")
    ran = in_process("runs", cwd=work)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "  finished" in ran.stdout.splitlines()[1]
    assert said in (ran.stdout.splitlines()[2] if said else "")
    told = json.loads(in_process("runs", "--json", cwd=work).stdout)
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
    assert ran.stdout.splitlines()[1].split()[4:] == ["-", "-", "-", "1/2", "-", "-", "finished"]


def test_where_there_are_no_runs_it_says_so(tmp_path: Path) -> None:
    ran = in_process("runs", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == "runs/: no runs here; train one with `sketchpipe train --shards DIR`\n"
    assert json.loads(in_process("runs", "--json", cwd=tmp_path).stdout) == {"runs": []}
    ran = in_process("runs", "none", cwd=tmp_path)
    assert (ran.returncode, "none: no run here" in ran.stderr) == (3, True)


def test_a_list_needs_neither_jax_nor_numba_nor_matplotlib(work: Path) -> None:
    code = (
        "import sys; sys.argv = ['sketchpipe', 'runs']\nfrom pipeline.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in ('jax', 'flax', 'numba', 'matplotlib', 'polars') if name in sys.modules])"
    )
    ran = subprocess.run([*command()[:2], code], cwd=work, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_comparison_shows_the_settings_that_differ_and_no_others(tmp_path: Path) -> None:
    made(tmp_path / "a", 0.5, 0.75, lr=0.01, batch=64)
    made(tmp_path / "b", 0.5, 0.25, lr=0.0001, batch=64)
    ran = in_process("runs", "a", "b", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    head, *rows = (line.split() for line in ran.stdout.splitlines())
    assert head == ["run", "lr", *SCORES, "parameters", "state"]
    assert [row[:5] for row in rows] == [["a", "0.01", "75.0%", "2", "75.0%"], ["b", "0.0001", "50.0%", "1", "25.0%"]]
    told = json.loads(in_process("runs", "a", "b", "--json", cwd=tmp_path).stdout)
    assert told["differ"] == {"lr": [0.01, 0.0001]}
    same = made(tmp_path / "c", 0.5, 0.75, lr=0.01, batch=64)
    assert "no setting differs" in in_process("runs", "a", same.name, cwd=tmp_path).stderr


def compared(tmp_path: Path, *changes: dict[str, Any]) -> dict[str, list[Any]]:
    folders = [made(tmp_path / f"{place}", 0.5, **one) for place, one in enumerate(changes)]
    return differing([summarize(folder) for folder in folders])


def test_augmentation_is_compared_amount_by_amount(tmp_path: Path) -> None:
    on = AUGMENT.replace("15", "30")
    assert compared(tmp_path / "two", {"augment": AUGMENT}, {"augment": on}) == {"augment rotation": ["15", "30"]}
    assert compared(tmp_path / "off", {"augment": AUGMENT}, {"augment": "off"}) == {"augment": ["on", "off"]}


def test_of_classes_those_are_named_that_not_all_have(tmp_path: Path) -> None:
    found = compared(tmp_path, {"classes": ["ant", "bee"]}, {"classes": ["ant", "bee", "cat"]})
    assert found == {"classes": ["2", "3, with cat"]}


def test_a_setting_that_an_older_format_lacks_differs(tmp_path: Path) -> None:
    made(tmp_path / "old", 0.5, card={"format_version": 1})
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    del config["precision"]
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    runs = [summarize(tmp_path / "old"), summarize(made(tmp_path / "new", 0.5))]
    assert differing(runs) == {"precision": [None, "float32"]}


def test_runs_on_other_shards_are_said_to_have_other_validation_drawings(tmp_path: Path) -> None:
    made(tmp_path / "a", 0.5)
    made(tmp_path / "b", 0.5, card={"shards": "shards/b", "shards_checksum": "bb"})
    made(tmp_path / "anew", 0.5, card={"shards_checksum": "cc"})
    made(tmp_path / "link", 0.5, card={"shards": "shards/link"})
    ran = in_process("runs", "a", "b", cwd=tmp_path)
    assert [line.split()[1] for line in ran.stdout.splitlines()] == ["shards", "shards/a", "shards/b"]
    assert "their shards differ" in ran.stderr
    ran = in_process("runs", "a", "anew", cwd=tmp_path)
    assert [line.split()[1:3] for line in ran.stdout.splitlines()][1:] == [["shards/a", "(aa)"], ["shards/a", "(cc)"]]
    assert "no setting differs" in in_process("runs", "a", "link", cwd=tmp_path).stderr


def test_curves_are_drawn_of_what_is_named(tmp_path: Path) -> None:
    runs = [made(tmp_path / f"{k}", 0.5, 0.6, lr=0.01 * k, batch=2**k % 7) for k in range(1, 12)]
    ran = in_process("runs", *map(str, runs), "--curves", "all.png", cwd=tmp_path)
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (0, "all.png: the curves")
    with Image.open(tmp_path / "all.png") as picture:
        assert picture.format == "PNG"
    ran = in_process("runs", str(runs[0]), "--curves", "all.jpg", cwd=tmp_path)
    assert (ran.returncode, "let its name end in .png" in ran.stderr) == (2, True)


def seeded(tmp_path: Path) -> list[RunSummary]:
    """Two settings of two seeds each: the one with the best run, and the one that is better on average."""
    scores = {(0.01, 0): 0.9, (0.01, 1): 0.5, (0.001, 0): 0.8, (0.001, 1): 0.7}
    return [summarize(made(tmp_path / f"{lr}-{seed}", top1, lr=lr, seed=seed)) for (lr, seed), top1 in scores.items()]


def test_settings_are_ranked_by_their_mean_over_seeds(tmp_path: Path) -> None:
    first, second = ranked(seeded(tmp_path), ["lr", "seed"])
    assert (first.values, first.mean) == ({"lr": 0.001}, pytest.approx(0.75))
    assert (second.values, second.mean) == ({"lr": 0.01}, pytest.approx(0.7))
    assert [line.split() for line in seeds_table([first, second]).splitlines()] == [
        ["lr", "mean", "top-1", "lowest", "highest", "seeds"],
        ["0.001", "75.0%", "70.0%", "80.0%", "2", "of", "2"],
        ["0.01", "70.0%", "50.0%", "90.0%", "2", "of", "2"],
    ]


def test_a_sweep_over_seeds_tells_the_better_mean_and_marks_its_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = {"lr": [0.01, 0.001], "seed": [0, 1]}
    tell_sweep(seeded(tmp_path), swept, Path("shards/a"), tmp_path / "curves.png", test=False, as_json=False)
    table, means, best = capsys.readouterr().out.split("\n\n")
    assert [line.split()[:5] for line in table.splitlines()[1:]] == [
        ["*", "0.001", "64", "0", "80.0%"],
        ["*", "0.001", "64", "1", "70.0%"],
        ["0.01", "64", "0", "90.0%", "1"],
        ["0.01", "64", "1", "50.0%", "1"],
    ]
    assert means.splitlines()[1].split()[:2] == ["0.001", "75.0%"]
    assert best == ("best: lr 0.001: validation top-1 75.0% on 100 drawings, standard error 4.3 points\n")


def test_a_setting_of_which_a_seed_diverged_comes_after_those_that_are_whole(tmp_path: Path) -> None:
    diverged = {"finished": False, "diverged": "the loss is nan in step 3 of epoch 2"}
    lost = summarize(made(tmp_path / "lost", 0.95, lr=0.01, seed=2, card=diverged))
    assert lost.state == "diverged"
    settings = ranked([*seeded(tmp_path), lost], ["lr", "seed"])
    assert [one.values["lr"] for one in settings] == [0.001, 0.01]
    for one in settings:
        one.values["batch"] = 32  # type: ignore[index] # a dictionary here
    table = grid(settings, ("lr", [0.01, 0.001]), ("batch", [32, 64]))
    assert [line.split() for line in table.splitlines()] == [
        ["lr", "\\", "batch", "32", "64"],
        ["0.01", "70.0%,", "1", "diverged", "-"],
        ["0.001", "75.0%", "-"],
    ]
