"""Makes the HTML text of a report from a run's evaluation on shards."""

from model.report.outputs import Outputs
from model.report.page import make_page
from model.runs.calibration import CALIBRATION
from model.runs.card import stretches
from model.scoring.evaluate import Evaluation
from model.scoring.loaded import LoadedRun
from model.scoring.predict import Predictor
from pipeline.progress import Progress, untold
from pipeline.shards.manifest import SYNTHETIC, Manifest
from pipeline.wording import counted


def make_report(evaluation: Evaluation, outputs: Outputs, *, progress: Progress = untold) -> str:
    """The HTML page for a run's evaluation; it has no time or date, so that the same evaluation gives the same page.

    Args:
        evaluation: the run's evaluation, as `evaluate` prints it.
        outputs: the predictions for its drawings, one or more.
        progress: counts the images of unfinished drawings.

    Raises:
        ShardError: the shards are damaged.
    """
    loaded, split = evaluation.loaded, evaluation.split
    manifest = outputs.splits[0].manifest
    trained_on = _trained_on(loaded, manifest, split, outputs)
    described = {
        "facts": _facts(evaluation, manifest),
        "notes": _notes(loaded, manifest, split, trained_on),
        "attribution": manifest.attribution,
        "synthetic": manifest.synthetic,
        "trained_on": trained_on,
    }
    return make_page(described, evaluation.scores, outputs, Predictor(loaded, evaluation.mirror), progress)


def _is_own(loaded: LoadedRun, manifest: Manifest) -> bool:
    """Whether these are the shards that the run was trained on, so that the splits are the same."""
    return loaded.run.card.shards_checksum == manifest.checksum


def _trained_on(loaded: LoadedRun, manifest: Manifest, split: str, outputs: Outputs) -> str | None:
    """The words to put before "on some of these drawings"; None if the run was not trained on any of them."""
    if _is_own(loaded, manifest):
        return "was trained" if any(one.name == "train" for one in outputs.splits) else None
    # Any drawing of other shards may be one that the run was trained on. But a drawing is in the same split of all
    # shards that were split in the same way.
    is_held_out = split in ("validation", "test") and loaded.run.card.splits == manifest.options["splits"]
    return None if is_held_out else "may have been trained"


def _facts(evaluation: Evaluation, manifest: Manifest) -> tuple[tuple[str, str], ...]:
    loaded, scores = evaluation.loaded, evaluation.scores
    config = loaded.run.config
    present = int((scores.drawings > 0).sum())
    classes = f"{len(config.classes):,}" + (f", {present:,} of them here" if present < len(config.classes) else "")
    kind = " (synthetic sample)" if manifest.synthetic else ""
    evaluated = "each drawing and its mirror image" if evaluation.mirror else "each drawing"
    return (
        ("run", str(loaded.run.folder)),
        ("network", f"{config.network}, {_checkpoint_text(loaded)}"),
        ("classes", classes),
        ("shards", f"{evaluation.shards}{kind}"),
        ("split", f"{evaluation.split}, {counted(int(scores.drawings.sum()), 'drawing')}"),
        ("images", f"{evaluated}, {config.image_size} x {config.image_size} pixels, encoding {config.encoding}"),
        ("temperature", _temperature_text(loaded)),
    )


def _checkpoint_text(loaded: LoadedRun) -> str:
    position = loaded.position
    steps = f" and {counted(position.step, 'step')}" if position.step else ""
    run = loaded.run
    more = f"; trained for {stretches(run.config.epochs, run.card.added)}" if run.card.added else ""
    return f"its best checkpoint, after {position.epoch:,} of {counted(run.epochs, 'epoch')}{steps}{more}"


def _temperature_text(loaded: LoadedRun) -> str:
    if loaded.fitted is not None:
        return f"{loaded.temperature:.4f}, fitted on validation drawings"
    if loaded.calibration is not None:
        other = loaded.calibration.checkpoint
        return f"1; the temperature in {CALIBRATION} was fitted for another checkpoint, {other}, and is not used"
    return "1, because none was fitted"


def _notes(loaded: LoadedRun, manifest: Manifest, split: str, trained_on: str | None) -> tuple[str, ...]:
    is_own, notes = _is_own(loaded, manifest), []
    if manifest.synthetic:
        notes.append(f"These drawings are {SYNTHETIC}: these scores say little about drawings by people.")
    if trained_on is not None:
        overstate = "overstate" if is_own else "may overstate"
        notes.append(
            f"The run {trained_on} on some of these drawings: its scores here {overstate} its accuracy on new "
            f"drawings. Its scores on the test split{'' if is_own else ' of its own shards'} do not."
        )
    if loaded.fitted is not None and split in ("validation", "all"):
        fitted = "was fitted" if is_own else "may have been fitted"
        notes.append(
            f"The temperature {fitted} on {'these' if split == 'validation' else 'some of these'} drawings: their "
            "calibration error says little about new drawings; use the one of the test split."
        )
    if not is_own:
        named = f", {loaded.run.card.shards}" if loaded.run.card.shards else ""
        notes.append(f"These are not the shards that the run was trained on{named}.")
    return tuple(notes)
