"""Writes a run as a folder for the Hugging Face Hub, which `--run` takes as well.

model.safetensors, config.json, card.json, manifest.json    weights without their training (`model.runs.weights`)
onnx/model.onnx                                             the same weights as an ONNX model, if it can be made
README.md                                                   the model card (`model.export.readme`)

config.json has the configuration of the run as one field, beside fields for readers that are not sketchpipe.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.export.card import metadata_of
from model.export.readme import readme_of
from model.runs.card import CONFIG
from model.runs.sealed_folder import MANIFEST, remove_leftovers, write_sealed
from model.runs.weights import CARD, ONNX, README, RUN_CONFIG, WEIGHTS, sealed_weights, weight_files
from model.scoring.loaded import LoadedRun
from pipeline.errors import CheckpointError, OutputError
from pipeline.shards.manifest import ATTRIBUTION, SYNTHETIC, Manifest
from pipeline.storage.commit import HARMLESS, refuse_foreign
from pipeline.storage.outputs import check_place
from pipeline.storage.reading import open_regular

NOT_FOR = (
    "Drawings of other things than these classes: it names one of them all the same. Photographs, writing, and any "
    "judgement about the person who draws."
)
_FILES, _FOLDER = (WEIGHTS, CONFIG, CARD, MANIFEST, README), "onnx"


def hub_files(loaded: LoadedRun, onnx: bytes | None, manifest: Manifest | None) -> dict[str, bytes]:
    """The contents of the files of the folder, without its manifest; the same run gives the same bytes.

    Args:
        loaded: the run.
        onnx: the ONNX model of the `rounded` run; None leaves it out.
        manifest: the manifest of the shards that the run was trained on; None if they are not there any more.

    Raises:
        CheckpointError: a weight is not finite in float16.
    """
    card = _card_of(loaded, manifest)
    metadata = metadata_of(loaded)
    files = weight_files(_settings(loaded, metadata), card, loaded.variables)
    files[README] = readme_of(loaded, card, metadata, has_onnx=onnx is not None).encode()
    return files if onnx is None else {**files, ONNX: onnx}


def check_hub_folder(folder: Path) -> None:
    """Raise an error unless `folder` can be written, or is a folder of this kind that was not changed since.

    Raises:
        OutputError: it holds something else, or it cannot be written.
    """
    refuse_foreign(folder, _foreign_in)
    if folder.exists() and folder.samefile(Path()):
        raise OutputError(f"{folder}: is the current folder, which cannot be replaced; name one in it or beside it")
    if any(os.path.lexists(folder / name) for name in (*_FILES, ONNX)):
        _refuse_changed(folder)
    check_place(folder)


def write_hub_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the folder in one step, in place of an earlier one; a link to a folder is kept.

    Raises:
        OutputError: it cannot be written, or holds something else; what was there is unchanged.
    """
    check_hub_folder(folder)
    target = Path(os.path.realpath(folder))
    try:
        remove_leftovers(target)
        write_sealed(target, files, replace=True)
    except OSError as error:
        why = error.strerror or error
        raise OutputError(f"{folder}: cannot be written ({why}); make room, or choose another folder") from error


def _settings(loaded: LoadedRun, metadata: Mapping[str, str]) -> str:
    """The text of config.json."""
    config = loaded.run.config
    settings = {
        "model_type": config.network,
        "library_name": "sketchpipe",
        "image_size": config.image_size,
        "num_channels": config.render_config().channels,
        "render": dataclasses.asdict(config.render_config()),
        "drawing": metadata["drawing"],
        "temperature": loaded.temperature,
        "attribution": metadata["attribution"],
        "id2label": {str(label): word for label, word in enumerate(config.classes)},
        "label2id": {word: label for label, word in enumerate(config.classes)},
        RUN_CONFIG: json.loads(config.to_json()),
    }
    return json.dumps(settings, indent=1, ensure_ascii=False) + "\n"


def _card_of(loaded: LoadedRun, manifest: Manifest | None) -> dict[str, Any]:
    """What card.json says: that of weights as it is, of a run what its folder tells."""
    run, position = loaded.run, loaded.position
    if run.about is not None:
        return dict(run.about)
    fitted = {} if loaded.fitted is None else dataclasses.asdict(loaded.fitted)
    for name in ("checkpoint", "arrays_sha256"):  # of the run, whose weights are not rounded
        fitted.pop(name, None)
    return {
        "name": metadata_of(loaded)["run"],
        "training": {
            "drawings": None if manifest is None else manifest.rows("train"),
            "validation_drawings": None if manifest is None else manifest.rows("validation"),
            "splits": run.card.splits,
            "shards_checksum": run.card.shards_checksum,
            "synthetic": run.card.synthetic,
            "epochs": position.epoch,
            "minutes": round(position.seconds / 60, 1),
            "machine": None,
            "versions": run.card.versions,
            "validation_top1": None if position.validation_top1 is None else round(position.validation_top1, 4),
        },
        "attribution": SYNTHETIC if run.card.synthetic else ATTRIBUTION,
        "precision": "float16",
        "calibration": fitted or None,
        "not_for": NOT_FOR,
    }


def _foreign_in(folder: Path) -> list[str]:
    """The names in a folder that no folder of this kind has."""
    found = [entry.name for entry in folder.iterdir() if entry.name not in (*_FILES, *HARMLESS, _FOLDER)]
    inner = folder / _FOLDER
    if inner.is_dir() and not inner.is_symlink():
        found += [f"{_FOLDER}/{entry.name}" for entry in inner.iterdir() if f"{_FOLDER}/{entry.name}" != ONNX]
    elif os.path.lexists(inner):
        found.append(_FOLDER)
    return sorted(found)


def _refuse_changed(folder: Path) -> None:
    """Raise an error if a file is not as it was written, or if there is no manifest that tells."""
    remedy = "move it away, or choose another folder with --to"
    try:
        hashes = sealed_weights(folder).hashes
    except CheckpointError as error:
        raise OutputError(
            f"{folder}: is not replaced, because sketchpipe did not write it ({error}); {remedy}"
        ) from error
    if README not in hashes:
        raise OutputError(f"{folder}: is not replaced, because `sketchpipe export` did not write it; {remedy}")
    for name in (*_FILES, ONNX):
        if name == MANIFEST or (name not in hashes and not os.path.lexists(folder / name)):
            continue
        try:
            with open_regular(folder / name, link=False) as file:
                is_same = hashlib.file_digest(file, "sha256").hexdigest() == hashes.get(name)
        except OSError:
            is_same = False
        if not is_same:
            raise OutputError(f"{folder / name}: was changed since it was written, and is not replaced; {remedy}")
