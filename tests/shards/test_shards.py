import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.classes import WORDS
from pipeline.errors import UsageError
from pipeline.shards.options import BuildOptions
from pipeline.shards.shuffle import first_of_part, order_hash, parse_splits, part_of, partition_of, split_of
from tests import naive_hashing
from tests.shards.builds import build, counts_of, files_of, keys_of, random_drawings, record, records, rows_of, write
from tests.sources import naive_ndjson

SPLITS = ("train", "validation", "test")


def as_row(drawing: dict[str, Any]) -> str:
    stamp = drawing["timestamp"]
    return repr(
        (drawing["key_id"], drawing["word"], drawing["drawing"], drawing["recognized"], drawing["countrycode"], stamp)
    )


def test_every_drawing_is_in_the_shards_exactly_once(tmp_path: Path) -> None:
    stamps = {"timestamp": "2017-03-02 23:25:10.5 UTC", "recognized": True}
    text = random_drawings("cat", 40, 1, **stamps) + b"bad\n" + random_drawings("hot dog", 30, 2, recognized=False)
    folder = write(tmp_path / "in", a=text, b=random_drawings("cat", 20, 3))
    manifest = build(folder, tmp_path / "out")
    expected = naive_ndjson.parse_text(text)[0] + naive_ndjson.parse_text((folder / "b.ndjson").read_bytes())[0]
    found = Counter(
        repr((*row[:5], None if row[5] is None else int(row[5].timestamp() * 1e6)))  # a stamp without thousandths
        for row in rows_of(tmp_path / "out")
    )
    assert found == Counter(map(as_row, expected))
    assert counts_of(manifest) == {"a.ndjson": (71, 70, 0, 0, 1), "b.ndjson": (20, 20, 0, 0, 0)}
    assert sum(map(sum, manifest.counts.values())) == 90


def test_shard_and_place_follow_from_the_mixed_key_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(300)))
    build(folder, tmp_path / "out", num_shards=3, splits="1,0,0", seed=5)
    hashes = {key: naive_hashing.mix64((key << 21) ^ 5) for key in range(300)}
    for shard in range(3):
        expected = sorted((key for key in hashes if hashes[key] * 3 >> 64 == shard), key=hashes.__getitem__)
        assert keys_of(tmp_path / "out", f"train-0000{shard}") == expected


def many_sources(folder: Path) -> list[Path]:
    """Three files of more than two chunks each, with bad lines, duplicates, and countrycodes that come late."""
    cats = random_drawings("cat", 160, 1) + b"bad\n" + record("cat", 1, countrycode="ZZ")
    dogs = record("dog", 1) + random_drawings("dog", 130, 2) + b"\xff\n" + record("dog", 2, countrycode="QQ")
    more = random_drawings("cat", 60, 1) + b"[1]\n" + random_drawings("dog", 60, 3) + b"x" * 1_200_000 + b"\n"
    write(folder, cat=cats, dog=dogs, more=more)
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": 9, "num_shards": 3, "splits": "0.5,0.5,0"},
        {"drawings_per_class": 20},
        {"drawings_per_class": 150, "skip_per_class": 3},
        {"classes": ("cat",), "num_shards": 2},
    ],
)
def test_bytes_do_not_depend_on_workers_chunks_or_the_order_of_inputs(tmp_path: Path, options: dict[str, Any]) -> None:
    paths = many_sources(tmp_path / "in")
    build(tmp_path / "in", tmp_path / "out", chunk_bytes=1 << 20, **options)
    expected = files_of(tmp_path / "out")
    for k, (inputs, how) in enumerate(
        [
            (tmp_path / "in", {"chunk_bytes": 1 << 22}),
            (tmp_path / "in", {"chunk_bytes": 1 << 21, "workers": 2}),
            (paths[::-1], {"workers": 2}),
            ([paths[1], tmp_path / "in", paths[0]], {"chunk_bytes": 1 << 20, "workers": 3}),
        ]
    ):
        build(inputs, tmp_path / f"out{k}", **how, **options)
        assert files_of(tmp_path / f"out{k}") == expected


def test_a_flush_of_the_spill_in_between_changes_no_byte(tmp_path: Path) -> None:
    many_sources(tmp_path / "in")
    build(tmp_path / "in", tmp_path / "one")
    build(tmp_path / "in", tmp_path / "many", chunk_bytes=1 << 20, segment_bytes=3000)
    assert files_of(tmp_path / "many") == files_of(tmp_path / "one")


def test_row_groups_are_full_but_for_the_last_and_keep_the_order(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(205)))
    build(folder, tmp_path / "whole", splits="1,0,0")
    build(folder, tmp_path / "cut", splits="1,0,0", row_group_rows=20)
    file = pq.ParquetFile(tmp_path / "cut" / "train-00000-of-00001.parquet")
    assert [file.metadata.row_group(k).num_rows for k in range(11)] == [20] * 10 + [5]
    assert rows_of(tmp_path / "cut") == rows_of(tmp_path / "whole")


def test_another_seed_shuffles_anew_and_moves_no_drawing_to_another_split(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(400)))
    for seed in (0, 2**64 - 1):
        build(folder, tmp_path / str(seed), seed=seed)
    for split in SPLITS:
        first, other = (keys_of(tmp_path / str(seed), split) for seed in (0, 2**64 - 1))
        assert first != other
        assert sorted(first) == sorted(other)


def test_added_drawings_move_none_to_another_split(tmp_path: Path) -> None:
    few = write(tmp_path / "few", cat=records("cat", range(200)))
    more = write(tmp_path / "more", ant=records("ant", range(200, 700)), cat=records("cat", range(200)))
    build(few, tmp_path / "a")
    build(more, tmp_path / "b", num_shards=2)
    for split in SPLITS:
        assert set(keys_of(tmp_path / "a", split)) == {key for key in keys_of(tmp_path / "b", split) if key < 200}


def test_splits_have_the_shares_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(4000)))
    manifest = build(folder, tmp_path / "out", splits="1/2, 0.3, 0.2")
    # Five standard deviations of a binomial are 158 at most.
    for split, share in zip(SPLITS, (2000, 1200, 800), strict=True):
        assert abs(manifest.rows(split) - share) < 160


def test_an_empty_split_has_no_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(50)))
    build(folder, tmp_path / "out", splits="1,0,0")
    assert sorted(files_of(tmp_path / "out")) == ["manifest.json", "train-00000-of-00001.parquet"]


@pytest.mark.parametrize("num_shards", [1, 2, 7, 60])
def test_there_are_just_as_many_training_shards_as_asked_for(tmp_path: Path, num_shards: int) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(50)))
    build(folder, tmp_path / "out", num_shards=num_shards)
    names = [name for name in files_of(tmp_path / "out") if name.startswith("train-")]
    assert names == [f"train-{k:05d}-of-{num_shards:05d}.parquet" for k in range(num_shards)]
    assert sorted(keys_of(tmp_path / "out")) == list(range(50))


@pytest.mark.parametrize(
    "text", ["", "1", "0.8,0.2", "0.8,0.1,0.2", "0,0.5,0.5", "1.1,-0.1,0", "a,b,c", "nan,0,0", "1/0,0,0", "0.8;0.1;0.1"]
)
def test_splits_that_are_no_three_shares_of_one_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected three shares that sum to 1, such as 0\.8,0\.1,0\.1"):
        BuildOptions(splits=text)


def test_parts_of_all_hashes_meet_without_a_gap() -> None:
    assert sum(parse_splits("0.8,0.1,0.1")) == 1  # as floats they sum to more
    for parts in (1, 2, 3, 256, 99_999):
        for part in {0, 1, parts // 2, parts - 1} & set(range(parts)):
            first = first_of_part(part, parts)
            around = np.array([first, max(first - 1, 0)], np.uint64)
            assert part_of(around, parts).tolist() == [part, max(part - 1, 0) if first else 0]
        assert part_of(np.array([2**64 - 1], np.uint64), parts).tolist() == [parts - 1]


@pytest.mark.parametrize("splits", ["0.8,0.1,0.1", "1,0,0", "0.5,0,0.5", "1/3,1/3,1/3"])
def test_a_partition_is_the_split_and_the_part_of_the_hash(splits: str) -> None:
    keys = np.concatenate([np.arange(300, dtype=np.uint64) << np.uint64(21), np.array([0, 2**64 - 1], np.uint64)])
    shares = parse_splits(splits)
    for seed in (0, 7, 2**64 - 1):
        expected = split_of(keys, shares) * 512 + part_of(order_hash(keys, seed), 512)
        assert partition_of(keys, seed, shares, 512).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drawings_per_class": 0}, "drawings_per_class 0: expected 1 or more"),
        ({"skip_per_class": -1}, "skip_per_class -1: expected 0 or more"),
        ({"num_shards": 0}, "num_shards 0: expected 1 or more"),
        ({"num_shards": 100_000}, "num_shards 100000: expected at most 99999"),
        ({"seed": -1}, "seed -1: expected a whole number from 0"),
        ({"seed": 2**64}, "expected a whole number from 0"),
        ({"classes": ("cat", "cat")}, "a class is named twice"),
    ],
)
def test_options_that_cannot_be_built_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BuildOptions(**options)


# The drawings in golden/, among them raw ones, duplicates and bad lines: a new hash of the order or of the content
# means that every build comes out otherwise than before, so it belongs in the changelog.
GOLDEN = Path(__file__).parent / "golden"
ORDER = "f32920e3e9bea9d29f17850a2b62d8b461d61e323dd611a86c4a122e20544245"
CONTENT = "f3d1378c4a9486c9f5175b7f68fbafc71b8915afc63004e6bd1b206ff17de67f"
BYTES, BYTES_WRITER = "a5b88e52c3cc8ba8f30b7a3f7355e54211d807d56f9d6bd32e129744fdab092b", "26.0.1"


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden") / "shards"
    build(GOLDEN, folder, num_shards=2, seed=1)
    return folder


def sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def test_the_order_of_a_known_build_stays_what_it_was(golden: Path) -> None:
    assert sha256(repr([(split, keys_of(golden, split)) for split in SPLITS]).encode()) == ORDER


def test_the_content_of_a_known_build_stays_what_it_was(golden: Path) -> None:
    assert sha256(repr(rows_of(golden)).encode()) == CONTENT


def test_the_bytes_of_a_known_build_stay_what_they_were(golden: Path) -> None:
    if pa.__version__ != BYTES_WRITER:
        pytest.skip(f"Parquet names its writer: the bytes are known for pyarrow {BYTES_WRITER}, not {pa.__version__}")
    shards = {name: text for name, text in files_of(golden).items() if name.endswith(".parquet")}
    assert sha256(b"".join(shards.values())) == BYTES


def test_all_of_google_s_excerpts_are_read_without_a_reject(quickdraw: Path, tmp_path: Path) -> None:
    manifest = build(quickdraw / "simplified", tmp_path / "out", workers=2)
    assert manifest.classes == tuple(sorted(WORDS))
    assert (sum(map(sum, manifest.counts.values())), manifest.rejects, manifest.same_key) == (33_481, {}, 0)
    assert len(keys_of(tmp_path / "out", "validation")) == manifest.rows("validation")


@pytest.mark.parametrize(("name", "drawings"), [("parts", 12_722), ("nokey", 12_723)])
def test_google_s_drawings_with_fewer_fields_are_read_without_a_reject(
    quickdraw: Path, tmp_path: Path, name: str, drawings: int
) -> None:
    manifest = build(quickdraw / name, tmp_path / "out")
    assert (sum(map(sum, manifest.counts.values())), manifest.rejects) == (drawings, {})


def test_google_s_raw_drawings_come_out_as_google_simplified_them(quickdraw: Path, tmp_path: Path) -> None:
    manifest = build([quickdraw / "raw", quickdraw / "simplified"], tmp_path / "out", workers=2)
    assert manifest.rejects == {}
    assert sum(source.read for source in manifest.sources) == 8_277 + 33_481
    # 6,441 stand in both: none of them came out otherwise, or it would be counted here.
    assert (manifest.same_key, sum(source.duplicates for source in manifest.sources)) == (0, 6_441)
