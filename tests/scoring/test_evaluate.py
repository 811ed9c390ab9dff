import itertools
import json
import math
import shutil
import tracemalloc
from pathlib import Path

import jax
import numpy as np
import pytest

from model.runs.opening import open_run
from model.scoring.evaluate import Predictions, labels_in
from model.scoring.loaded import load_best
from model.scoring.metrics import Scores, score
from model.scoring.predict import Predictor
from pipeline.errors import MismatchError
from pipeline.rendering.raster import render_batch
from pipeline.rendering.render import render
from pipeline.shards.folder import build_folder
from pipeline.shards.options import BuildOptions
from pipeline.shards.read import open_split
from tests.small import damaged_copy, in_process, run_line, sample_shards, sample_sketches, sketchpipe, trained

WORDS = ("ant", "bird", "cat", "dog")
RUN = "runs/001-sketch-classifier"


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


def naive_scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss, top-1, top-3 and MAP@3, one drawing at a time; of equal logits the lower label comes first."""
    loss = top1 = top3 = map3 = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        place = sorted(range(len(row)), key=lambda k: (-row[k], k)).index(label)
        top1 += place == 0
        top3 += place < 3
        map3 += [1, 1 / 2, 1 / 3][place] if place < 3 else 0
        loss += math.log(sum(math.exp(logit) for logit in row)) - row[label]
    return {
        "loss": loss / len(labels),
        "top1": top1 / len(labels),
        "top3": top3 / len(labels),
        "map3": map3 / len(labels),
    }


@pytest.mark.parametrize("ties", [False, True])
def test_scores_are_those_of_the_slow_version(ties: bool) -> None:
    dice = np.random.default_rng(0)
    logits = dice.normal(size=(200, 4)).astype(np.float32)
    if ties:
        logits = np.round(logits)
    labels = dice.integers(0, 3, 200).astype(np.int32)  # no dog
    found = score(logits, labels, WORDS).as_dict()
    for name, expected in naive_scores(logits, labels).items():
        assert found[name] == pytest.approx(expected, rel=1e-12)  # sums of halves and thirds in another order
    assert found["drawings"] == 200
    for label, word in enumerate(WORDS[:3]):
        mine = labels == label
        assert found["classes"][word]["drawings"] == mine.sum()
        assert found["classes"][word]["top1"] == naive_scores(logits[mine], labels[mine])["top1"]
    assert found["classes"]["dog"] == {"drawings": 0, "top1": None}


def test_confusions_count_each_drawing_at_its_label_and_at_the_best_one() -> None:
    logits = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 5, 5], [0, 9, 0, 0]], np.float32)
    found = score(logits, np.array([0, 1, 3, 1], np.int32), WORDS)
    assert found.confusion.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]


def test_the_loss_of_a_sure_and_wrong_network_is_finite() -> None:
    logits = np.array([[2000, 0, 0, 0]], np.float32)
    assert score(logits, np.array([1], np.int32), WORDS).as_dict()["loss"] == 2000


def test_scores_of_parts_add_up_to_those_of_the_whole() -> None:
    dice = np.random.default_rng(1)
    logits, labels = dice.normal(size=(50, 4)).astype(np.float32), dice.integers(0, 4, 50).astype(np.int32)
    parts: list[Scores] = [score(logits[a:b], labels[a:b], WORDS) for a, b in itertools.pairwise((0, 0, 20, 50))]
    found, whole = sum(parts, Scores.of_none(WORDS)).as_dict(), score(logits, labels, WORDS).as_dict()
    for name in ("loss", "map3"):  # summed in another order
        assert found.pop(name) == pytest.approx(whole.pop(name))
    assert found == whole


def test_the_confusions_of_many_batches_are_those_of_all_drawings() -> None:
    dice = np.random.default_rng(2)
    logits, labels = dice.normal(size=(900, 4)).astype(np.float32), dice.integers(0, 4, 900).astype(np.int32)
    cuts = [0, *np.sort(dice.integers(0, 900, 60)).tolist(), 900]
    found = sum((score(logits[a:b], labels[a:b], WORDS) for a, b in itertools.pairwise(cuts)), Scores.of_none(WORDS))
    confusion = np.zeros((4, 4), np.int64)
    np.add.at(confusion, (labels, logits.argmax(axis=1)), 1)
    assert found.confusion.tolist() == confusion.tolist()
    assert found.drawings.tolist() == confusion.sum(axis=1).tolist()
    assert found.right.tolist() == confusion.diagonal().tolist()
    assert len(found.cells) < 5


def test_scoring_10_000_classes_takes_no_memory_for_each_pair_of_classes() -> None:
    classes, dice = tuple(str(k) for k in range(10_000)), np.random.default_rng(3)
    logits = [dice.normal(size=(16, 10_000)).astype(np.float32) for _ in range(4)]
    labels = dice.integers(0, 10_000, 16).astype(np.int32)
    tracemalloc.start()
    try:
        found = sum((score(one, labels, classes) for one in logits), Scores.of_none(classes))
        assert found.as_dict()["drawings"] == 64
        assert tracemalloc.get_traced_memory()[1] < 30e6  # a matrix takes 800 MB
    finally:
        tracemalloc.stop()


def test_labels_whose_probabilities_are_all_0_keep_their_order_in_a_mirror_too() -> None:
    logits = np.array([[400, -30, 0, -10], [400, -10, -30, 0]], np.float32)
    for looked in ((logits,), (logits, logits[:, [0, 1, 3, 2]])):
        found = Predictions(np.arange(2), np.array([1, 3], np.int32), looked, temperature=2.0)
        assert found.probabilities[:, 1:].max() == 0
        assert found.ranked.argsort(axis=1)[0].tolist()[0] == 1
        assert found.scores(WORDS).in_top3 == 1
        assert found.scores(WORDS).as_dict()["loss"] == pytest.approx(naive_loss(looked, found.labels, 2.0))


def naive_loss(looked: tuple[np.ndarray, ...], labels: np.ndarray, temperature: float) -> float:
    """The mean of -ln of the mean probability, for drawings whose best logit is 400 and far above the others."""
    of_true = [(one[np.arange(len(labels)), labels] - 400.0) / temperature for one in looked]
    return -float(np.mean(np.logaddexp.reduce(of_true, axis=0) - np.log(len(looked))))


def test_labels_are_matched_by_word() -> None:
    assert labels_in(WORDS, ("dog", "ant"), Path("shards")).tolist() == [3, 0]
    with pytest.raises(MismatchError, match="its classes eel, fox, gnu and 1 more are none of the run's 4"):
        labels_in(WORDS, ("ant", "eel", "fox", "gnu", "hen"), Path("shards"))


def test_evaluate_scores_every_drawing_of_the_split_as_the_slow_version_does(work: Path) -> None:
    ran = sketchpipe("evaluate", "--json", cwd=work)
    assert (ran.returncode, ran.stderr) == (0, f"{run_line(work)}\n")
    found = json.loads(ran.stdout)
    run, split = open_run(work / RUN), open_split(work / "shards" / "sample", "test")
    drawings = split.read_rows(np.arange(len(split)))
    images = render_batch(
        drawings.x, drawings.y, drawings.stroke_end, drawings.drawing_end,
        size=run.config.image_size, line_width=run.config.line_width,
    )  # fmt: skip
    loaded = load_best(run)
    expected = naive_scores(np.asarray(loaded.step(jax.device_put(loaded.variables), images)), drawings.word)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert all(0 <= found[name] <= 1 for name in ("top1", "top3", "map3"))
    assert found["drawings"] == len(split) == sum(one["drawings"] for one in found["classes"].values())
    assert list(found["classes"]) == list(run.config.classes)
    assert (found["run"], found["split"]) == (RUN, "test")


def test_a_mirror_makes_it_the_mean_of_the_drawing_and_its_mirror_image(work: Path) -> None:
    ran = in_process("evaluate", "--mirror", "--json", cwd=work)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    run, split = open_run(work / RUN), open_split(work / "shards" / "sample", "test")
    drawings, config = split.read_rows(np.arange(len(split))), run.config.render_config()
    loaded = load_best(run)
    both = [
        jax.nn.softmax(loaded.step(loaded.variables, render(drawings, config, mirrored=one))) for one in (False, True)
    ]
    expected = naive_scores(np.log(np.mean(np.asarray(both, np.float64), axis=0)), drawings.word)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["mirror"] is True
    predictor = Predictor(load_best(run), mirror=True)
    # Batches of another size: float32 rounding.
    np.testing.assert_allclose(predictor.predict(drawings), np.asarray(both[0] + both[1]) / 2, atol=1e-5)


def test_evaluate_as_text_has_a_line_a_class_and_one_for_all(work: Path) -> None:
    ran = in_process("evaluate", "--run", RUN, "--split", "validation", cwd=work)
    lines = ran.stdout.splitlines()
    assert (ran.returncode, ran.stderr, len(lines)) == (0, "", 1 + 10 + 2)
    assert lines[-1].startswith("validation: top-1 ")
    assert lines[-1].endswith("on 52 drawings of shards/sample")


def test_all_splits_together_are_every_drawing(work: Path) -> None:
    assert json.loads(in_process("evaluate", "--split", "all", "--json", cwd=work).stdout)["drawings"] == 600


def test_shards_with_some_of_the_classes_score_as_those_classes_do_in_the_whole(
    work: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    some = ["cat", "fish", "tree"]  # labels 0 to 2 in the shards, others in the run
    shards = sample_shards(tmp_path_factory, "some-classes", classes=some)
    found = json.loads(in_process("evaluate", "--shards", str(shards), "--json", cwd=work).stdout)
    whole = json.loads(in_process("evaluate", "--json", cwd=work).stdout)
    assert {word: found["classes"][word] for word in some} == {word: whole["classes"][word] for word in some}
    assert found["drawings"] == sum(whole["classes"][word]["drawings"] for word in some)
    assert found["classes"]["apple"] == {"drawings": 0, "top1": None}


def test_shards_with_a_class_that_the_run_does_not_know_are_refused(
    work: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = (sample_sketches(tmp_path_factory) / "cat.ndjson").read_text().replace('"word":"cat"', '"word":"zebra"')
    (tmp_path / "zebra.ndjson").write_text(lines)
    build_folder([str(tmp_path / "zebra.ndjson")], tmp_path / "shards", BuildOptions())
    ran = in_process("evaluate", "--shards", str(tmp_path / "shards"), cwd=work)
    assert ran.returncode == 5
    assert "its classes zebra are none of the run's 10; build shards of the run's classes" in ran.stderr


def test_no_run_no_shards_and_an_unknown_split_are_said(work: Path, tmp_path: Path) -> None:
    ran = in_process("evaluate", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith("sketchpipe: runs/: no trained run here; train one with `sketchpipe train")
    assert in_process("evaluate", "--run", "none", cwd=work).returncode == 3
    assert in_process("evaluate", "--shards", "none", cwd=work).returncode == 3
    ran = in_process("evaluate", "--split", "tests", cwd=work)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "'--split': 'tests' is not one of 'train', 'validation', 'test', 'all'" in ran.stderr


def test_a_damaged_shard_is_said(work: Path, tmp_path: Path) -> None:
    name = "test-00000-of-00001.parquet"
    damaged_copy(work / "shards" / "sample", tmp_path / "damaged", name)
    ran = in_process("evaluate", "--shards", str(tmp_path / "damaged"), cwd=work)
    assert (ran.returncode, ran.stderr.count("\n")) == (4, 2)
    assert f"{name}: damaged" in ran.stderr


def test_a_checkpoint_cut_short_is_said(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / RUN, tmp_path / "run")
    for arrays in (tmp_path / "run").glob("checkpoints/*/arrays.safetensors"):
        arrays.write_bytes(arrays.read_bytes()[:-100])
    ran = sketchpipe("evaluate", "--run", str(tmp_path / "run"), cwd=work)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (4, "", 1)
    assert "arrays.safetensors: damaged" in ran.stderr


def test_a_run_without_a_checkpoint_is_said(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / RUN, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    ran = in_process("evaluate", "--run", str(tmp_path / "run"), cwd=work)
    assert ran.returncode == 4
    assert "has no checkpoint yet" in ran.stderr


def test_shards_that_were_split_in_another_way_are_refused_but_as_a_whole(
    work: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = sample_shards(tmp_path_factory, "small-splits", splits="0.1,0.1,0.8")
    for command in ("evaluate", "predict --random"):
        done = in_process(*command.split(), "--shards", str(other), cwd=work)
        assert done.returncode == 5
        assert "split 0.1,0.1,0.8, but" in done.stderr
        assert "trained on shards split 0.8,0.1,0.1" in done.stderr
    assert in_process("evaluate", "--shards", str(other), "--split", "all", cwd=work).returncode == 0
