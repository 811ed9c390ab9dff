"""Shards whose manifest fits whatever was put in their place, and everything that reads a folder of shards."""

import contextlib
import dataclasses
import json
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.errors import InputError, MismatchError, ShardError
from pipeline.loading.loader import Loader
from pipeline.shards.contents import read_contents
from pipeline.shards.manifest import MANIFEST, file_hash, footer_hash
from pipeline.shards.read import open_split
from pipeline.shards.verify import verify_folder
from pipeline.storage.sealed import seal
from tests.shards.builds import build, records, write

SHARD = "train-00000-of-00001.parquet"


def small_set(folder: Path) -> Path:
    """Shards of 40 drawings, all in the training split, with rejects."""
    write(
        folder / "in",
        cat=records("cat", range(20), countrycode="FI", recognized=True),
        dog=records("dog", range(20, 40)) + b"bad\n",
    )
    build(folder / "in", folder / "shards", splits="1,0,0", row_group_rows=16)
    return folder / "shards"


def fit_manifest(folder: Path) -> None:
    """Let the manifest say that the shard, whatever it is, is as it was built."""
    path = folder / SHARD
    fields = json.loads((folder / MANIFEST).read_text())
    del fields["checksum"]
    (file,) = fields["files"]
    rows = file["rows"]
    with contextlib.suppress(Exception):  # of many kinds: pyarrow's
        rows = pq.read_metadata(path).num_rows
    more = rows - file["rows"]
    with path.open("rb") as opened:
        footer, length = footer_hash(opened)
    hashes = {"sha256": file_hash(path), "footer_sha256": footer, "footer_bytes": length}
    file |= {"rows": rows, "bytes": path.stat().st_size, **hashes}
    fields["counts"]["train"][0] += more
    fields["sources"][0]["written"] += more
    fields["sources"][0]["read"] += more
    (folder / MANIFEST).write_text(seal(fields))


def refusals(folder: Path) -> tuple[list[str], list[str]]:
    """What each reader of a folder says against it, and what `verify --deep` says.

    Any error but of exit codes 3, 4 and 5 is raised.
    """
    said, found = [], []
    for reads in (_read_all, _load_all, lambda one: json.dumps(dataclasses.asdict(read_contents(one)))):
        try:
            reads(folder)
        except (InputError, ShardError, MismatchError) as error:
            said.append(str(error))
    try:
        found = list(map(str, verify_folder(folder, deep=True)))
    except (InputError, ShardError, MismatchError) as error:
        found = [str(error)]
    return said, found


def _read_all(folder: Path) -> None:
    split = open_split(folder, "train")
    drawings = split[:]
    assert all(0 <= word < len(drawings.words) for word in drawings.word.tolist())


def _load_all(folder: Path) -> None:
    loader = Loader(folder, batch=8, threads=1)
    for batches in (loader.once(), loader.epoch(0)):
        for batch in batches:
            assert batch.labels.max() < len(loader.split.manifest.classes)
