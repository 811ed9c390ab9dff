"""What a user should know of shards beside their counts: empty splits, words that look alike, files without lines."""

from collections.abc import Sequence

from pipeline.classes import WORDS, lookalikes
from pipeline.shards.manifest import Manifest
from pipeline.shards.shuffle import SPLITS, parse_splits
from pipeline.sources.files import word_of_name
from pipeline.wording import counted


def why_empty(manifest: Manifest, split: str) -> str:
    """Why a split has no drawings, and what to do, as the end of a sentence."""
    shares = str(manifest.options["splits"])
    drawings = sum(file.rows for file in manifest.files)
    if not parse_splits(shares)[SPLITS.index(split)]:
        return f"the shards were built with --splits {shares}; build them with a share for it"
    keys = drawings - manifest.same_key
    if drawings > 1 and 2 * keys < drawings:
        share = "one key_id" if keys == 1 else f"{keys:,} key_ids"
        return (
            f"all {drawings:,} drawings share {share}, and drawings of one key_id are in one split; give each drawing "
            "a key_id of its own, or leave the field out"
        )
    return (
        f"each drawing's split follows from its key_id, and none of only {counted(drawings, 'drawing')} came into it; "
        "build the shards with more drawings or other --splits"
    )


def remarks(manifest: Manifest) -> list[str]:
    """Sentences about empty splits that were given a share, and about sources without a line."""
    shares = parse_splits(manifest.options["splits"])
    empty = [split for split, share in zip(SPLITS, shares, strict=True) if share and not manifest.rows(split)]
    found = []
    if empty:
        names = " and ".join(empty)
        found.append(f"no drawings in {names}: {why_empty(manifest, empty[0])}")
    if blank := [source.name for source in manifest.sources if not source.read]:
        more = f" and {len(blank) - 1:,} more" if len(blank) > 1 else ""
        found.append(f"passed over, because without a line: {blank[0]}{more}")
    return found


def damage_remark(damaged_files: int | None) -> str | None:
    """A sentence about sources of which a damaged member was left out; None if there are none.

    >>> damage_remark(1)
    '1 file is damaged: a gzip member, zstd frame or array of it and all after it are left out; fetch it anew'
    """
    if not damaged_files:
        return None
    are, its = ("is", "it") if damaged_files == 1 else ("are", "each")
    them = "it" if damaged_files == 1 else "them"
    return (
        f"{counted(damaged_files, 'file')} {are} damaged: a gzip member, zstd frame or array of {its} and all after it "
        f"are left out; fetch {them} anew"
    )


def unread_sources(manifest: Manifest) -> list[str]:
    """The names of the sources of which only the first drawing was read, because no more of their class was wanted.

    In the counts that drawing is filtered.
    """
    chosen, limit = manifest.options["classes"], manifest.options["drawings_per_class"]
    found = [source.name for source in manifest.sources if source.read - source.rejected == source.filtered == 1]
    words = {name: word_of_name(name, WORDS) for name in found}
    return [name for name, word in words.items() if word is not None and (limit or (chosen and word not in chosen))]


def lookalike_remark(classes: Sequence[str]) -> str | None:
    """A sentence about classes that differ only in case, spaces or underscores; None if there are none.

    >>> lookalike_remark(["Cat", "cat", "dog"])
    'classes that differ only in case, spaces or underscores, and are kept apart: "Cat" and "cat"'
    """
    groups = lookalikes(classes)
    if not groups:
        return None
    texts = [" and ".join(f'"{word}"' for word in group) for group in groups[:3]]
    more = f"; and {counted(len(groups) - 3, 'more group')}" if len(groups) > 3 else ""
    return f"classes that differ only in case, spaces or underscores, and are kept apart: {'; '.join(texts)}{more}"
