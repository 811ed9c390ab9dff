import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.runs.opening import open_run
from model.scoring.evaluate import EVAL_BATCH
from model.scoring.loaded import load_best
from model.scoring.predict import Predictor
from model.specs import NETWORKS
from pipeline.shards.read import open_split
from tests.small import command, in_process, run_line, sample_sketches, sketchpipe, trained
from tests.sources.naive_binary import pack
from tests.sources.other_kinds import kaggle_csv, sketch_rnn, stroke_3

RUN = "runs/001-sketch-classifier"
LAST_LINE = re.compile(r'drew "([a-z]+)", predicted "([a-z]+)" \((\d+\.\d) %\)')


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


@pytest.fixture(scope="session")
def cats(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Lines of ndjson."""
    return (sample_sketches(tmp_path_factory) / "cat.ndjson").read_text().splitlines(keepends=True)


def test_a_random_drawing_is_drawn_and_named_and_a_seed_takes_it_again(work: Path) -> None:
    (work / "image.png").unlink(missing_ok=True)
    ran = sketchpipe("predict", "--random", "--seed", "7", cwd=work)
    assert (ran.returncode, ran.stderr) == (0, f"{run_line(work)}\ndrawing: image.png\n")
    *labels, last = ran.stdout.splitlines()
    match = LAST_LINE.fullmatch(last)
    assert match
    drew, predicted, percent = match.groups()
    assert len(labels) == 10
    assert labels[0].split()[0] == predicted
    assert [line.split()[0] for line in labels if line.endswith("  <- drawn")] == [drew]
    assert 0 < float(percent) <= 100
    with Image.open(work / "image.png") as picture:
        assert (picture.size, picture.mode) == ((256 + 8 + 64, 256), "RGB")
        assert np.asarray(picture).max() > 100
    assert in_process("predict", "--random", "--seed", "7", cwd=work).stdout == ran.stdout


def test_other_seeds_take_other_drawings_of_the_test_split(work: Path) -> None:
    split = open_split(work / "shards" / "sample", "test")
    known = set(split.read_rows(np.arange(len(split))).key_id.tolist())
    found = [
        json.loads(in_process("predict", "--random", "--seed", str(seed), "--json", cwd=work).stdout)["key_id"]
        for seed in range(4)
    ]
    assert len(set(found)) > 1
    assert set(found) <= known


def test_json_has_every_label_with_its_probability(work: Path) -> None:
    found = json.loads(in_process("predict", "--random", "--seed", "1", "--json", cwd=work).stdout)
    assert set(found) == {"drew", "predicted", "probability", "key_id", "labels"}
    assert found["labels"][found["predicted"]] == found["probability"] == max(found["labels"].values())
    assert set(found["labels"]) == set(open_run(work / RUN).config.classes)
    assert sum(found["labels"].values()) == pytest.approx(1, abs=1e-5)  # float32


def test_a_file_is_named_line_by_line_as_stdin_is(work: Path, cats: list[str], tmp_path: Path) -> None:
    (tmp_path / "cats.ndjson").write_text("".join(cats[:3]))
    of_file = in_process("predict", str(tmp_path / "cats.ndjson"), "--json", cwd=work)
    of_stdin = sketchpipe("predict", "-", "--json", cwd=work, stdin="".join(cats[:3]))
    assert of_file.returncode == of_stdin.returncode == 0
    assert of_file.stdout == of_stdin.stdout
    found = [json.loads(line) for line in of_file.stdout.splitlines()]
    assert [one["key_id"] for one in found] == [int(json.loads(line)["key_id"]) for line in cats[:3]]
    assert {one["drew"] for one in found} == {"cat"}


@pytest.mark.parametrize("word", ["", '"word": null, ', '"word": "", '])
def test_a_drawing_without_a_word_is_predicted_and_none_is_marked(work: Path, tmp_path: Path, word: str) -> None:
    path, plot = tmp_path / "nolabel.ndjson", tmp_path / "plot.png"
    path.write_text(f'{{{word}"drawing": [[[20, 128, 236, 20], [110, 20, 110, 110]]]}}\n')
    ran = in_process("predict", str(path), "--plot", str(plot), "--image", str(tmp_path / "image.png"), cwd=work)
    assert ran.returncode == 0
    assert re.fullmatch(r'predicted "[a-z]+" \(\d+\.\d %\)', ran.stdout.splitlines()[-1])
    assert "drawn" not in ran.stdout
    assert plot.exists()
    found = json.loads(in_process("predict", str(path), "--json", cwd=work).stdout)
    assert found["drew"] is None
    assert found["predicted"] in found["labels"]


def test_files_of_several_words_keep_each_its_own(work: Path, cats: list[str], tmp_path: Path) -> None:
    (tmp_path / "cats.ndjson").write_text(cats[0])
    (tmp_path / "more.ndjson").write_text(cats[1].replace('"cat"', '"zebra"') + cats[2])
    ran = in_process("predict", str(tmp_path / "cats.ndjson"), str(tmp_path / "more.ndjson"), "--json", cwd=work)
    assert [json.loads(line)["drew"] for line in ran.stdout.splitlines()] == ["cat", "zebra", "cat"]


def test_a_bad_line_is_said_and_left_out(work: Path, cats: list[str], tmp_path: Path) -> None:
    path = tmp_path / "cats.ndjson"
    path.write_text(cats[0] + "no drawing\n" + cats[1])
    ran = in_process("predict", str(path), cwd=work)
    assert ran.returncode == 0
    assert len([line for line in ran.stdout.splitlines() if LAST_LINE.fullmatch(line)]) == 2
    assert re.search(r"cats\.ndjson:2: .*; skipped", ran.stderr)


@pytest.mark.parametrize("text", ["", "\n", "no drawing\n", '{"word":"cat"}\n'])
def test_a_file_without_a_drawing_is_an_error(work: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "cats.ndjson").write_text(text)
    ran = in_process("predict", str(tmp_path / "cats.ndjson"), cwd=work)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "no drawing" in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize(("top", "lines"), [("3", 3), ("10", 10), ("99", 10), ("all", 10)])
def test_top_chooses_how_many_labels_are_shown(work: Path, top: str, lines: int) -> None:
    *labels, last = in_process("predict", "--random", "--top", top, cwd=work).stdout.splitlines()
    assert LAST_LINE.fullmatch(last)
    if lines < 10:
        assert labels.pop() == f"... and {10 - lines} more (--top all)"
    assert len(labels) == lines


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give FILEs"),
        (["--random", "x.ndjson"], 2, "--random and x.ndjson: give FILEs or --random, not both"),
        (["--random", "--run", "runs"], 3, f"runs: is a folder of runs; name one of them, such as {RUN}"),
        (
            ["--random", "--run", f"{RUN}/run.json"],
            3,
            "run.json: is a file, not the folder of a run; `sketchpipe runs`",
        ),
        (["--random", "--run", f"{RUN}/checkpoints"], 3, "checkpoints: no run here"),
        (["x.ndjson", "--shards", "shards/sample"], 2, "--shards goes with --random"),
        (["--random", "--top", "0"], 2, 'top "0": expected a number from 1, or all'),
        (["--random", "--top", "²"], 2, 'top "²"'),
        (["none.ndjson"], 3, "none.ndjson: no such file"),
        (["--random", "--run", "runs/none"], 3, "runs/none: no run here"),
        (["--random", "--shards", "none"], 3, "none: no such folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(work: Path, arguments: list[str], code: int, message: str) -> None:
    ran = in_process("predict", *arguments, cwd=work)
    assert ran.returncode == code
    assert message in ran.stderr.splitlines()[-1]


def test_probabilities_do_not_depend_on_how_many_drawings_come_together(work: Path) -> None:
    predictor = Predictor(load_best(open_run(work / RUN)))
    split = open_split(work / "shards" / "sample", "train")
    images = predictor.images(split.read_row_group(0).slice(0, EVAL_BATCH + 9))
    together = predictor.probabilities(images)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)  # float32
    # One image, or 256, are two compilations, which may round otherwise.
    for k in (0, EVAL_BATCH + 8):
        np.testing.assert_allclose(predictor.probabilities(images[k : k + 1])[0], together[k], atol=1e-5)
    assert predictor.probabilities(images[:0]).shape == (0, 10)


def test_networks_lists_each_with_its_recipe_and_parameters() -> None:
    ran = sketchpipe("networks", "--classes", "345", cwd=Path.cwd())
    assert ran.returncode == 0
    for name, spec in NETWORKS.items():
        head = rf"^{name}( \(the default\))?: {re.escape(spec.description)}; [\d,]+ parameters"
        assert re.search(head, ran.stdout, re.MULTILINE)
    assert re.search(r"^  dense +1352x345 +466,785$", ran.stdout, re.MULTILINE)
    assert ran.stdout.count("recipe: optimizer") == len(NETWORKS)
    assert in_process("networks", "--classes", "0", cwd=Path.cwd()).returncode == 2


def test_plot_shows_the_drawing_beside_its_probabilities_and_changes_nothing_else(work: Path, tmp_path: Path) -> None:
    plain = in_process("predict", "--random", "--seed", "7", "--image", str(tmp_path / "plain.png"), cwd=work)
    to = [str(tmp_path / name) for name in ("image.png", "new/plot.png")]
    ran = in_process("predict", "--random", "--seed", "7", "--image", to[0], "--plot", to[1], cwd=work)
    assert (ran.returncode, ran.stdout) == (0, plain.stdout)
    assert ran.stderr == f"{run_line(work)}\ndrawing: {to[0]}\nplot: {to[1]}\n"
    assert (tmp_path / "image.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    first = (tmp_path / "new" / "plot.png").read_bytes()
    assert len(first) < 80_000
    with Image.open(to[1]) as picture:
        assert picture.size == (900, 432)
    assert in_process("predict", "--random", "--seed", "7", "--plot", to[1], cwd=work).returncode == 0
    assert (tmp_path / "new" / "plot.png").read_bytes() == first
    mirrored = in_process("predict", "--random", "--seed", "7", "--mirror", "--plot", to[1], cwd=work)
    assert mirrored.returncode == 0
    assert (tmp_path / "new" / "plot.png").read_bytes() != first


def test_plot_takes_the_first_drawing_of_files_and_of_stdin(work: Path, cats: list[str], tmp_path: Path) -> None:
    (tmp_path / "one.ndjson").write_text(cats[0])
    (tmp_path / "three.ndjson").write_text("no drawing\n" + "".join(cats[:3]))
    for name in ("one", "three"):
        to = str(tmp_path / f"{name}.png")
        ran = in_process("predict", str(tmp_path / f"{name}.ndjson"), "--plot", to, "--json", cwd=work)
        assert ran.returncode == 0
    ran = sketchpipe("predict", "-", "--plot", str(tmp_path / "stdin.png"), cwd=work, stdin="".join(cats[:3]))
    assert (ran.returncode, ran.stderr) == (0, f"{run_line(work)}\nplot: {tmp_path / 'stdin.png'}\n")
    pictures = {(tmp_path / f"{name}.png").read_bytes() for name in ("one", "three", "stdin")}
    assert len(pictures) == 1
    assert not (tmp_path / "image.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--plot", "plot.svg"], 2, "plot.svg: the picture is a PNG file"),
        (["--plot", "shards"], 6, "shards: is a folder"),
        (["--plot", "image.png"], 2, "--plot image.png: the drawing is written to that file"),
        (["--plot", "./new/../image.png"], 2, "image.png: the drawing is written to that file"),
        (["--plot", "/proc/plot.png"], 6, "/proc/plot.png: cannot be written (no file can be created in /proc: "),
        (["--image", "-"], 2, "-: the picture goes to a file; give it a name that ends in .png"),
    ],
)
def test_a_plot_that_cannot_be_written_is_said_before_anything_is_named(
    work: Path, arguments: list[str], code: int, message: str
) -> None:
    ran = in_process("predict", "--random", *arguments, cwd=work)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["evaluate"], ["predict", "--random", "--run", "none"]])
def test_a_run_that_is_missing_is_reported_before_jax_is_imported(tmp_path: Path, arguments: list[str]) -> None:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    ran = subprocess.run(
        [*command(), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    imported = {line.split("|")[-1].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    assert ran.returncode == 3
    assert "model.runs.find" in imported
    assert "jax" not in imported


def test_every_format_that_shards_takes_is_predicted(work: Path, cats: list[str], tmp_path: Path) -> None:
    lines = [json.loads(line) for line in cats[:3]]
    (tmp_path / "cat.ndjson").write_text("".join(cats[:3]))
    (tmp_path / "cat.json").write_text(json.dumps(lines, indent=1))
    (tmp_path / "cat.csv").write_bytes(kaggle_csv(lines))
    (tmp_path / "cat.bin").write_bytes(b"".join(pack(int(line["key_id"]), line["drawing"]) for line in lines))
    sketch_rnn(tmp_path / "cat.npz", train=[stroke_3(line["drawing"]) for line in lines])
    found = [
        [
            {key: value for key, value in json.loads(line).items() if key != "key_id"}
            for line in in_process("predict", str(path), "--json", cwd=work).stdout.splitlines()
        ]
        for path in sorted(tmp_path.iterdir(), key=lambda path: path.suffix)
    ]
    assert [len(one) for one in found] == [3] * 5
    assert [one["drew"] for one in found[0]] == ["cat"] * 3
    assert found[:4] == [found[0]] * 4  # sketch-rnn's are moved to 0, so that they may be framed otherwise


def test_of_many_rejects_ten_are_said_and_the_rest_is_counted(work: Path, cats: list[str], tmp_path: Path) -> None:
    (tmp_path / "cat.ndjson").write_text(cats[0] * 40 + "{}\n" * 37)
    ran = in_process("predict", str(tmp_path / "cat.ndjson"), cwd=work)
    assert ran.returncode == 0
    assert ran.stderr.count("; skipped\n") == 10
    assert "27 more lines skipped\n" in ran.stderr


@pytest.mark.parametrize("stdin", [False, True])
def test_a_picture_without_a_line_is_told_in_one_line(work: Path, tmp_path: Path, stdin: bool) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path)
    ran = subprocess.run(
        command("predict", "-" if stdin else str(path)),
        cwd=work,
        input=path.read_bytes(),
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 3
    said = ran.stderr.decode().splitlines()[-1]
    assert f"{'stdin' if stdin else path}: no line was found in the picture" in said
    assert len([line for line in ran.stderr.decode().splitlines() if "skipped" in line]) == 0
