"""A report from a run and shards to a file."""

from collections.abc import Callable

from model.report.outputs import Outputs
from model.report.page import Subject, make_page
from model.runs.calibration import CALIBRATION
from model.scoring.evaluate import Evaluation
from model.scoring.loaded import LoadedRun
from model.scoring.predict import Predictor
from pipeline.shards.manifest import SYNTHETIC, Manifest


def make_report(
    evaluation: Evaluation, outputs: Outputs, *, progress: Callable[[int, int], None] = lambda _count, _total: None
) -> str:
    """The page of a run's evaluation, with nothing in it that another moment would change.

    Args:
        evaluation: of the run, as `evaluate` prints it.
        outputs: what the network says of each of its drawings, one or more.
        progress: told of so many more images of unfinished drawings, and of how many there are.

    Raises:
        ShardError: the shards are damaged.
    """
    loaded, split, scores = evaluation.loaded, evaluation.split, evaluation.scores
    manifest = outputs.splits[0].manifest
    trained_on = _trained_on(loaded, manifest, split, outputs)
    subject = Subject(
        facts=_facts(evaluation, manifest),
        notes=_notes(loaded, manifest, split, trained_on),
        attribution=manifest.attribution,
        synthetic=manifest.synthetic,
        trained_on=trained_on,
    )
    return make_page(subject, scores, outputs, Predictor(loaded, evaluation.mirror), progress)


def _is_own(loaded: LoadedRun, manifest: Manifest) -> bool:
    """Whether these are the shards that the run was trained on, so that splits are what they were then."""
    return loaded.run.card.shards_checksum == manifest.checksum


def _trained_on(loaded: LoadedRun, manifest: Manifest, split: str, outputs: Outputs) -> str | None:
    """What to say of the run and some of these drawings, before "on some of these drawings"; None: it saw none."""
    if _is_own(loaded, manifest):
        return "was trained" if any(one.name == "train" for one in outputs.splits) else None
    # Of other shards any drawing may be one it was trained on, unless a split that both have in common says not.
    told_apart = split in ("validation", "test") and loaded.run.card.splits == manifest.options["splits"]
    return None if told_apart else "may have been trained"


def _facts(evaluation: Evaluation, manifest: Manifest) -> tuple[tuple[str, str], ...]:
    loaded, scores = evaluation.loaded, evaluation.scores
    config = loaded.run.config
    present = int((scores.drawings > 0).sum())
    classes = f"{len(config.classes):,}" + (f", {present:,} of them here" if present < len(config.classes) else "")
    kind = " (synthetic sample)" if manifest.synthetic else ""
    looked = "each drawing and its mirror image" if evaluation.mirror else "each drawing once"
    return (
        ("run", str(loaded.run.folder)),
        ("network", f"{config.network}, {_told_epoch(loaded)}"),
        ("classes", classes),
        ("shards", f"{evaluation.shards}{kind}"),
        ("split", f"{evaluation.split}, {scores.drawings.sum():,} drawings"),
        ("looked at", f"{looked}, {config.image_size} x {config.image_size} pixels, encoding {config.encoding}"),
        ("temperature", _told_temperature(loaded)),
    )


def _told_epoch(loaded: LoadedRun) -> str:
    position = loaded.position
    steps = f" and {position.step:,} steps" if position.step else ""
    return f"its best checkpoint, after {position.epoch:,} of {loaded.run.config.epochs:,} epochs{steps}"


def _told_temperature(loaded: LoadedRun) -> str:
    if loaded.fitted is not None:
        return f"{loaded.temperature:.4f}, fitted on validation drawings"
    if loaded.calibration is not None:
        other = loaded.calibration.checkpoint
        return f"1; that of {CALIBRATION} is of another checkpoint, {other}, and was left aside"
    return "1, none was fitted"


def _notes(loaded: LoadedRun, manifest: Manifest, split: str, trained_on: str | None) -> tuple[str, ...]:
    is_own, notes = _is_own(loaded, manifest), []
    if manifest.synthetic:
        notes.append(f"These drawings are {SYNTHETIC}: what is said here says little of drawings by people.")
    if trained_on is not None:
        flatter = "flatter" if is_own else "may flatter"
        notes.append(
            f"The run {trained_on} on some of these drawings: its scores {flatter} it. "
            f"The test split{'' if is_own else ' of its own shards'} does not."
        )
    if loaded.fitted is not None and split in ("validation", "all"):
        fitted = "was fitted" if is_own else "may have been fitted"
        notes.append(
            f"The temperature {fitted} on {'these' if split == 'validation' else 'some of these'} drawings: their "
            "calibration error says little of others; that of the test split does."
        )
    if not is_own:
        notes.append(f"These are other shards than {loaded.run.card.shards}, which the run was trained on.")
    return tuple(notes)
