"""A trained run as a library opens it: by its folder, or the newest there is."""

from pathlib import Path

from model.runs.card import CARD
from model.runs.find import RUNS, newest_run
from model.runs.folder import open_run
from model.scoring import loaded
from model.scoring.predict import Predictor


def load_run(run: str | Path = RUNS, *, mirror: bool = False) -> Predictor:
    """Open a trained run, ready to name drawings.

    Args:
        run: a run's folder, or a folder of runs, of which the one that saved a checkpoint last is taken.
        mirror: whether `predict` takes the mean over each drawing and its mirror image: more accurate, twice as slow.

    Raises:
        InputError: there is no trained run.
        CheckpointError: its files are damaged.
        MismatchError: it is of a format that this version does not read.
    """
    folder = Path(run)
    return Predictor(loaded.load_run(open_run(folder) if (folder / CARD).exists() else newest_run(folder)), mirror)
