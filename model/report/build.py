"""A report from a run and shards to a file."""

from collections.abc import Callable
from pathlib import Path

from model.config import TrainConfig
from model.evaluate import load_network
from model.metrics import Scores
from model.predict import Predictor
from model.report.outputs import Outputs
from model.report.page import Subject, make_page
from model.runs.folder import Run
from pipeline.shards.manifest import SYNTHETIC, Manifest


def make_report(
    run: Run,
    folder: Path,
    split: str,
    scores: Scores,
    outputs: Outputs,
    *,
    mirror: bool = False,
    progress: Callable[[int, int], None] = lambda _count, _total: None,
) -> str:
    """The page of a run's evaluation, with nothing in it that another moment would change.

    Args:
        run: that was evaluated.
        folder: the shards.
        split: theirs, or "all".
        scores: of the drawings, as `evaluate` prints them.
        outputs: what the network says of each of them, one or more.
        mirror: whether it looked at mirror images too.
        progress: told of so many more images of unfinished drawings, and of how many there are.

    Raises:
        SketchpipeError: shards or checkpoint are missing or damaged.
    """
    predictor = Predictor(run, mirror)
    manifest = outputs.splits[0].manifest
    trained_on = any(one.name == "train" for one in outputs.splits) and _same_source(run, manifest)
    subject = Subject(
        facts=_facts(run, folder, split, scores, manifest, predictor),
        notes=_notes(run, manifest, trained_on),
        attribution=manifest.attribution,
        synthetic=manifest.synthetic,
        trained_on=trained_on,
    )
    return make_page(subject, scores, outputs, predictor, progress)


def _same_source(run: Run, manifest: Manifest) -> bool:
    """Whether drawings are in the split that they were in when the run was trained."""
    return run.card.splits is None or manifest.options["splits"] == run.card.splits


def _facts(
    run: Run, folder: Path, split: str, scores: Scores, manifest: Manifest, predictor: Predictor
) -> tuple[tuple[str, str], ...]:
    config = run.config
    present = int((scores.drawings > 0).sum())
    classes = f"{len(config.classes):,}" + (f", {present:,} of them here" if present < len(config.classes) else "")
    kind = " (synthetic sample)" if manifest.synthetic else ""
    looked = "each drawing and its mirror image" if predictor.mirror else "each drawing once"
    return (
        ("run", str(run.folder)),
        ("network", f"{config.network}, {_told_epoch(run, config)}"),
        ("classes", classes),
        ("shards", f"{folder}{kind}"),
        ("split", f"{split}, {scores.drawings.sum():,} drawings"),
        ("looked at", f"{looked}, {config.image_size} x {config.image_size} pixels, encoding {config.encoding}"),
        ("temperature", _told_temperature(predictor.temperature)),
    )


def _told_epoch(run: Run, config: TrainConfig) -> str:
    _, _, position = load_network(run)
    steps = f" and {position.step:,} steps" if position.step else ""
    return f"its best checkpoint, after {position.epoch:,} of {config.epochs:,} epochs{steps}"


def _told_temperature(temperature: float) -> str:
    return "1, none was fitted" if temperature == 1 else f"{temperature:.4f}, fitted on validation drawings"


def _notes(run: Run, manifest: Manifest, trained_on: bool) -> tuple[str, ...]:
    notes = []
    if manifest.synthetic:
        notes.append(f"These drawings are {SYNTHETIC}: what is said here says little of drawings by people.")
    if trained_on:
        notes.append("The run was trained on some of these drawings: its scores flatter it. The test split does not.")
    if run.card.shards_checksum != manifest.checksum:
        notes.append(f"These are other shards than {run.card.shards}, which the run was trained on.")
    return tuple(notes)
