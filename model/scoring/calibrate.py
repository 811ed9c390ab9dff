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

FIT_DRAWINGS = 100_000  # at most: of 345 classes their logits are 140 MB, and more would not change the temperature
FEWEST_DRAWINGS = 100  # a temperature of 29 drawings made the calibration error of all others three times as large


def own_shards(run: Run, named: Path) -> Path:
    """The shards that a run was trained on: those named, if they are these, else where the run finds them.

    Raises:
        InputError: they are gone.
        ShardError: a manifest is damaged.
    """
    if named.is_dir() and read_manifest(named).checksum == run.card.shards_checksum:
        return named
    with contextlib.suppress(InputError):
        folder = run.shards_folder()
        if read_manifest(folder).checksum == run.card.shards_checksum:
            return folder
    raise InputError(
        f"{run.card.shards}: the shards that {run.folder} was trained on are gone, and a temperature is fitted on "
        "their validation split alone; bring them back, or name where they are with --shards"
    )


def calibrate_run(loaded: LoadedRun, folder: Path, progress: Progress = untold) -> Calibration:
    """Fit the temperature of a run on the validation split of its shards in `folder`, and store it.

    Args:
        loaded: the run.
        folder: its `own_shards`.
        progress: counts drawings.

    Raises:
        InputError: the drawings are too few, or tell no temperature; one that was stored before stands.
        OutputError: it cannot be stored; one that was there before stands.
        SketchpipeError: the shards are damaged.
    """
    stands = f"no temperature was stored in {loaded.run.folder / CALIBRATION}"
    count = read_manifest(folder).rows("validation")
    if count < FEWEST_DRAWINGS:
        raise InputError(
            f"{folder}: {count} validation drawings are too few to fit a temperature on, which takes "
            f"{FEWEST_DRAWINGS}; {stands}. Train on shards with more drawings, or a larger share for it (--splits)"
        )
    logits, labels, done = [], [], 0
    with contextlib.closing(predict_split(loaded, folder, "validation", limit=FIT_DRAWINGS)) as predicted:
        for split, found in predicted:
            logits.append(found.logits[0])
            labels.append(found.labels)
            done += len(found.labels)
            progress("calibration", done, min(len(split), FIT_DRAWINGS), unit="drawings")
    z, own = np.concatenate(logits), np.concatenate(labels)
    temperature = fit_temperature(z, own)
    if temperature in (COLDEST, HOTTEST):
        why = "all of them named right" if temperature == COLDEST else "it knows too little of them"
        raise InputError(
            f"{folder}: its {len(own):,} validation drawings tell no temperature between {COLDEST:g} and {HOTTEST:g} "
            f"({why}); {stands}"
        )
    before, after = (reliability_at(z, own, one) for one in (1.0, temperature))
    calibration = Calibration(
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
    write_calibration(loaded.run.folder, calibration)
    return calibration
