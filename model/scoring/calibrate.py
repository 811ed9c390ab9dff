"""Fits a run's temperature on the validation drawings of its own shards."""

import contextlib
from pathlib import Path

import numpy as np

from model.runs.calibration import CALIBRATION, COLDEST, HOTTEST, Calibration, write_calibration
from model.runs.folder import Run
from model.scoring.evaluate import predict_split
from model.scoring.loaded import LoadedRun
from model.scoring.reliability import fit_temperature, negative_log_likelihood, reliability_at
from pipeline.errors import InputError
from pipeline.progress import Progress, untold
from pipeline.shards.manifest import read_manifest
from pipeline.wording import counted

FIT_DRAWINGS = 100_000  # the most; more would not change the temperature
FIT_LOGITS = 345 * FIT_DRAWINGS  # the most: 140 MB; of more classes fewer drawings are predicted
FEWEST_DRAWINGS = 100  # a temperature fitted on 29 drawings tripled the calibration error of all others


def own_shards(run: Run, named: Path) -> Path:
    """The folder of the shards that a run was trained on: `named` if it has them, otherwise the one that the run finds.

    Raises:
        InputError: the shards are missing.
        ShardError: a manifest is damaged.
    """
    if named.is_dir() and read_manifest(named).checksum == run.card.shards_checksum:
        return named
    with contextlib.suppress(InputError):
        folder = run.shards_folder()
        if read_manifest(folder).checksum == run.card.shards_checksum:
            return folder
    raise InputError(
        f"{run.card.shards}: the shards that {run.folder} was trained on are missing, and a temperature is fitted only "
        "on their validation split; restore them, or name their folder by --shards"
    )


def calibrate_run(loaded: LoadedRun, folder: Path, progress: Progress = untold) -> Calibration:
    """Fit the temperature of a run by `fit_calibration`, which explains arguments and errors, and store it.

    Raises:
        OutputError: it cannot be stored; an earlier one is unchanged.
    """
    calibration = fit_calibration(loaded, folder, progress)
    write_calibration(loaded.run.folder, calibration)
    return calibration


def fit_calibration(loaded: LoadedRun, folder: Path, progress: Progress = untold) -> Calibration:
    """Fit the temperature of a run on the validation split of its shards in `folder`.

    Args:
        loaded: the run.
        folder: the `own_shards` of the run.
        progress: counts drawings.

    Raises:
        InputError: the drawings are too few, or do not determine a temperature.
        SketchpipeError: the shards are damaged.
    """
    stands = f"no temperature was stored in {loaded.run.folder / CALIBRATION}"
    count = read_manifest(folder).rows("validation")
    if count < FEWEST_DRAWINGS:
        verb = "is" if count == 1 else "are"
        raise InputError(
            f"{folder}: {counted(count, 'validation drawing')} {verb} too few to fit a temperature, which needs "
            f"{FEWEST_DRAWINGS}; {stands}. Train on shards with more drawings, or with a larger validation split "
            "(--splits)"
        )
    limit = min(FIT_DRAWINGS, max(FEWEST_DRAWINGS, FIT_LOGITS // len(loaded.run.config.classes)))
    logits, labels, done = [], [], 0
    with contextlib.closing(predict_split(loaded, folder, "validation", limit=limit)) as predicted:
        for split, found in predicted:
            logits.append(found.logits[0])
            labels.append(found.labels)
            done += len(found.labels)
            progress("calibration", done, min(len(split), limit), unit="drawings")
    z, own = np.concatenate(logits), np.concatenate(labels)
    temperature = fit_temperature(z, own)
    if temperature in (COLDEST, HOTTEST):
        why = "all are predicted correctly" if temperature == COLDEST else "the predictions are near chance"
        raise InputError(
            f"{folder}: its {len(own):,} validation drawings determine no temperature between {COLDEST:g} and "
            f"{HOTTEST:g} ({why}); {stands}"
        )
    before, after = (reliability_at(z, own, one) for one in (1.0, temperature))
    return Calibration(
        temperature=temperature,
        checkpoint=loaded.checkpoint,
        arrays_sha256=loaded.arrays_sha256,
        shards_checksum=read_manifest(folder).checksum,
        drawings=len(own),
        nll_before=negative_log_likelihood(z, own),
        nll_after=negative_log_likelihood(z, own, temperature),
        ece_before=before.ece,
        ece_after=after.ece,
    )
