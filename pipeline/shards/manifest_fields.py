"""Checks of the fields of `manifest.json` by type and range, and the names that shards may have."""

import re
from typing import Any, get_args

from pipeline.choices import Split
from pipeline.storage.fields import FLAG, PATH, SHA256, each, optional, record, text, values, whole

SHARD_NAME = re.compile(r"(train|validation|test)-[0-9]{5,9}-of-[0-9]{5,9}\.parquet")
MOST_SHARDS = 99_999  # of the training split
_SPLITS: tuple[str, ...] = get_args(Split)
_OPTIONS = record(
    {
        "classes": optional(each(text())),
        "drawings_per_class": optional(whole(1)),
        "skip_per_class": whole(),
        "recognized_only": FLAG,
        "leave_out": each(whole(0, 2**64 - 1)),
        "num_shards": optional(whole(1, MOST_SHARDS)),
        "splits": text(200),
        "seed": whole(0, 2**64 - 1),
    },
    may_lack=("leave_out",),
)


def check_options(name: str, value: Any) -> None:
    """Check the options of a build as files store them.

    Raises:
        ValueError: they are not what `BuildOptions.stored` gives.
    """
    from pipeline.shards.shuffle import parse_splits  # with numba, which a list of runs does not need

    _OPTIONS(name, value)
    parse_splits(value["splits"])


_COUNTS = values(whole())
FIELDS = record(
    {
        "synthetic": FLAG,
        "attribution": text(1000),
        "writer": values(text(100)),
        "options": check_options,
        "classes": each(text(), most=1 << 16),  # labels have 16 bits
        "counts": record(dict.fromkeys(_SPLITS, each(whole())), may_lack=_SPLITS),  # those without rows
        "same_key": whole(),
        "files": each(
            record(
                {
                    "name": text(pattern=SHARD_NAME),
                    "split": text(20),
                    "rows": whole(),
                    "bytes": whole(),
                    "sha256": SHA256,
                    "footer_sha256": SHA256,
                    "footer_bytes": whole(8),
                }
            )
        ),
        "sources": each(
            record(
                {
                    "name": PATH,
                    "hash": SHA256,
                    **dict.fromkeys(("bytes", "read", "written", "duplicates", "filtered", "rejected"), whole()),
                }
            )
        ),
        "rejects": _COUNTS,
        "rejects_sha256": optional(SHA256),
        "left_out": whole(),
        "keyless_duplicates": optional(whole()),
        "damaged_files": optional(whole()),
        "notes": optional(_COUNTS),
    },
    may_lack=("left_out", "keyless_duplicates", "notes", "damaged_files"),
)
