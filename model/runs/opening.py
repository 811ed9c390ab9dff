"""Opens what is in a folder: a run, or weights without their training."""

from pathlib import Path

from model.runs.card import CARD, CONFIG, read_card
from model.runs.checkpoint import CHECKPOINTS
from model.runs.folder import LOCK, Run
from model.runs.weights import has_weights, read_config, run_card_of
from pipeline.errors import InputError
from pipeline.storage.files import partial_path

_MADE_FIRST = {LOCK, CHECKPOINTS, CONFIG, *(partial_path(Path(name)).name for name in (CONFIG, CARD))}


def open_run(folder: Path) -> Run:
    """Open the run in a folder, or weights without their training.

    Raises:
        InputError: there is no run in it.
        CheckpointError: its files are damaged.
        MismatchError: it is of a format that this version does not read.
    """
    if has_weights(folder):
        config, about = read_config(folder)
        return Run(folder, config, run_card_of(about), about)
    if not (folder / CARD).exists():
        raise InputError(f"{folder}: no run here; train one with `sketchpipe train`")
    card, config = read_card(folder)
    return Run(folder, config, card)


def is_free(folder: Path) -> bool:
    """Whether a run can be made in a folder: it does not exist, is empty, or has only what `create` writes first."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir()}
    begun = LOCK in names and names <= _MADE_FIRST and not any((folder / CHECKPOINTS).glob("*"))
    return not names or begun
