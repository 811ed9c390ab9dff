"""Writes and reads a network without its training: weights in half precision, configuration and card, under seal.

model.safetensors  parameters and batch statistics, float16, each under its name in a checkpoint
config.json        the whole configuration of the run that trained them
card.json          what they were trained on, how, and how they score
manifest.json      the SHA-256 of these three files, and its own checksum

A folder for the Hugging Face Hub (`model.export.hub`) has these files too, and others beside them. There the
configuration is the field `RUN_CONFIG` of config.json, among fields for other readers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.runs.calibration import FITTED, Calibration
from model.runs.card import CARD as RUN_CARD
from model.runs.card import CONFIG, MOST_EPOCHS, RunCard, check_settings
from model.runs.sealed_folder import MANIFEST, SealedFolder, write_sealed
from pipeline.errors import CheckpointError, OutputError
from pipeline.storage.fields import FLAG, FieldError, optional, real, record, text, values, whole
from pipeline.storage.sealed import parse_object

if TYPE_CHECKING:
    from model.config import TrainConfig

BUILT_IN = Path(__file__).parents[1] / "pretrained"  # the networks that come with sketchpipe, each a folder
WEIGHTS, CARD = "model.safetensors", "card.json"
README, ONNX = "README.md", "onnx/model.onnx"  # of a folder for the Hub
RUN_CONFIG = "run_config"
_NEEDED = {  # fields of a card; the others are for people
    "training": record(
        {
            **dict.fromkeys(("drawings", "validation_drawings"), optional(whole())),  # null: the shards were gone
            "splits": optional(text(100)),
            "shards_checksum": text(64),
            "synthetic": FLAG,
            "validation_top1": optional(real(0, 1)),
            "epochs": whole(0, MOST_EPOCHS),
            "minutes": real(0),
            "machine": optional(text(1000)),  # null: a run does not record it
            "versions": values(text(100)),
        }
    ),
    "calibration": optional(record(FITTED)),  # null: no temperature was fitted
}


@dataclass(frozen=True)
class Weights:
    """A network without its training.

    Attributes:
        sha256: the SHA-256 of the file of the weights.
        variables: `params` and `batch_stats`, nested dictionaries of float32 arrays that were rounded to float16.
    """

    sha256: str
    variables: dict[str, Any]


def has_weights(folder: Path) -> bool:
    """Whether a folder is one that `write_weights` wrote, of whose files one may be missing, and no run."""
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError:
        return False
    return RUN_CARD not in names and len(names & {WEIGHTS, CARD, MANIFEST}) > 1


def name_of(folder: Path) -> str:
    """What `--run` takes for weights in a folder: the name of a network that comes with sketchpipe, else the folder."""
    return folder.name if folder.parent == BUILT_IN else str(folder)


def write_weights(folder: Path, config: "TrainConfig", card: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
    """Write a network's weights to `folder`, which must not exist and appears only when it is complete.

    Args:
        folder: the folder.
        config: the configuration of the run that trained them.
        card: what they were trained on, how, and how they score; JSON.
        variables: `params` and `batch_stats`, nested dictionaries of float32 arrays.

    Raises:
        CheckpointError: a weight is not finite in float16.
        ValueError: the card lacks what `read_description` needs.
        OutputError: it cannot be written, or exists; no part of it is left.
    """
    if folder.exists():
        raise OutputError(f"{folder}: exists already; choose a folder that does not")
    try:
        write_sealed(folder, weight_files(config.to_json(), card, variables))
    except OSError as error:
        raise OutputError(
            f"{folder}: the weights cannot be written ({error.strerror or error}); make room, or choose another folder"
        ) from error


def weight_files(settings: str, card: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, bytes]:
    """The contents of the three files of weights, under their names; `settings` is the text of config.json.

    Raises:
        CheckpointError: a weight is not finite in float16.
        ValueError: the card lacks what `read_description` needs.
    """
    from flax.traverse_util import flatten_dict
    from safetensors.numpy import save

    _check_card(card)
    return {
        WEIGHTS: save(flatten_dict(halved(variables), sep="/")),
        CONFIG: settings.encode(),
        CARD: (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode(),
    }


def halved(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries of arrays in half precision.

    Raises:
        CheckpointError: a weight is not finite in it.
    """
    import numpy as np
    from flax.traverse_util import flatten_dict, unflatten_dict

    arrays = {}
    for name, one in flatten_dict(dict(variables), sep="/").items():
        with np.errstate(over="ignore"):
            arrays[name] = np.asarray(one, order="C").astype(np.float16)
        if not np.isfinite(arrays[name]).all():
            raise CheckpointError(f"{name}: has a weight that is not finite in half precision; train a new run")
    halves: dict[str, Any] = unflatten_dict(arrays, sep="/")
    return halves


def read_description(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the fields of the configuration and of the card of weights, and check them, without JAX and kernels.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    sealed = sealed_weights(folder)
    try:
        place, card = CARD, parse_object(sealed.read(CARD))
        _check_card(card)
        place, settings = CONFIG, parse_object(sealed.read(CONFIG))
        settings = settings.get(RUN_CONFIG, settings)
        values(lambda _name, _value: None)(RUN_CONFIG, settings)
        check_settings(settings)
    except ValueError as error:
        raise CheckpointError(f"{folder / place}: damaged ({error}); {_remedy(folder)}") from error
    return settings, card


def read_config(folder: Path) -> "tuple[TrainConfig, dict[str, Any]]":
    """Read the configuration and the card of weights.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    from model.config import TrainConfig  # which imports kernels, as the next one does
    from model.specs import network_spec

    settings, card = read_description(folder)
    try:
        config = TrainConfig.from_json(json.dumps(settings))
        network_spec(config.network)
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG}: damaged ({error}); {_remedy(folder)}") from error
    return config, card


def read_weights(folder: Path, config: "TrainConfig") -> Weights:
    """Read the weights of the network of a configuration.

    Raises:
        CheckpointError: a file is missing or damaged, or the arrays are not those of the network.
    """
    import numpy as np
    from flax.traverse_util import unflatten_dict
    from safetensors.numpy import load

    from model.networks import array_shapes

    expected, sealed = array_shapes(config), sealed_weights(folder)
    limit = (1 << 20) + 2 * sum(int(np.prod(shape)) for shape in expected.values())
    content = sealed.read(WEIGHTS, limit)
    try:
        arrays = load(content)
    except Exception as error:  # of many kinds: whatever the header says
        raise CheckpointError(f"{folder / WEIGHTS}: damaged (no safetensors file); {_remedy(folder)}") from error
    found = {name: one.shape for name, one in arrays.items() if one.dtype == np.float16}
    if found != expected or len(arrays) > len(found):
        raise CheckpointError(f"{folder / WEIGHTS}: its arrays are not those of {config.network}; {_remedy(folder)}")
    variables = unflatten_dict({name: one.astype(np.float32) for name, one in arrays.items()}, sep="/")
    return Weights(sealed.hashes[WEIGHTS], {"batch_stats": {}, **variables})


def _check_card(card: Mapping[str, Any]) -> None:
    for name, check in _NEEDED.items():
        if name not in card:
            raise FieldError(f"{name} is missing")
        check(name, card[name])


def run_card_of(card: Mapping[str, Any]) -> RunCard:
    """What `run.json` would say of the run that trained the weights with this card; its shards are not known."""
    training = card["training"]
    return RunCard(
        "", "", training["shards_checksum"], training["synthetic"], training["versions"], finished=True,
        splits=training["splits"],
    )  # fmt: skip


def calibration_of(card: Mapping[str, Any], checkpoint: str, sha256: str) -> Calibration | None:
    """The temperature of the weights with this card and SHA-256; None if none was fitted."""
    fitted = card["calibration"]
    return None if fitted is None else Calibration(**fitted, checkpoint=checkpoint, arrays_sha256=sha256)


def sealed_weights(folder: Path) -> SealedFolder:
    """The files of weights in a folder, and those of a folder for the Hub, to be read and checked."""
    return SealedFolder(folder, (WEIGHTS, CONFIG, CARD), _remedy(folder), others=(README, ONNX))


def _remedy(folder: Path) -> str:
    return "install sketchpipe again" if folder.parent == BUILT_IN else f"replace {folder} by a copy that is whole"
