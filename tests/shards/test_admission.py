import gzip
import itertools
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.shards.manifest import read_manifest
from tests.shards.builds import (
    STROKES,
    build,
    counts_of,
    keys_of,
    random_drawings,
    record,
    records,
    rows_of,
    write,
)


def test_a_file_given_twice_is_read_once_and_its_copy_counts_as_duplicates(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(30)), copy=records("cat", range(30)))
    manifest = build([folder, folder / "cat.ndjson", folder / "cat.ndjson"], tmp_path / "out")
    assert counts_of(manifest) == {"cat.ndjson": (30, 30, 0, 0, 0), "copy.ndjson": (30, 0, 30, 0, 0)}
    assert sorted(keys_of(tmp_path / "out")) == list(range(30))


def test_the_same_key_with_other_strokes_or_another_word_is_kept_and_counted(tmp_path: Path) -> None:
    other = [[[1, 2], [3, 4]]]
    lines = [record("cat", 5), record("cat", 5, other), record("cat", 5), record("dog", 5), record("cat", 6)]
    manifest = build(write(tmp_path / "in", all=b"".join(lines)), tmp_path / "out")
    assert counts_of(manifest) == {"all.ndjson": (5, 4, 1, 0, 0)}
    assert manifest.same_key == 2
    found = {(row[0] >> 21, row[1], str(row[2])) for row in rows_of(tmp_path / "out")}
    assert found == {
        (5, "cat", str(STROKES)),
        (5, "cat", str(other)),
        (5, "dog", str(STROKES)),
        (6, "cat", str(STROKES)),
    }


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_duplicates_the_one_that_says_most_stays_whatever_the_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    stamp = "2017-03-02 23:25:10 UTC"
    lines = [
        record("cat", 5),
        record("cat", 5, countrycode="US"),
        record("cat", 5, countrycode="DE", recognized=True, timestamp=stamp),
    ]
    build(write(tmp_path / "in", cat=b"".join(lines[k] for k in order)), tmp_path / "out")
    ((_, _, _, recognized, code, found),) = rows_of(tmp_path / "out")
    assert (recognized, code, str(found)[:19]) == (True, "DE", "2017-03-02 23:25:10")


def test_drawings_without_key_are_duplicates_by_word_and_strokes(tmp_path: Path) -> None:
    lines = [record("cat", None), record("cat", None, recognized=True), record("dog", None)]
    manifest = build(write(tmp_path / "in", all=b"".join(lines)), tmp_path / "out")
    assert counts_of(manifest) == {"all.ndjson": (3, 2, 1, 0, 0)}


def test_filter_then_skip_then_take_goes_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    odd = b"".join(record("cat", key, recognized=key % 2 == 1) for key in range(20))
    folder = write(tmp_path / "in", a=odd, b=records("cat", range(20, 30), recognized=True))
    manifest = build(
        folder, tmp_path / "out", recognized_only=True, skip_per_class=3, drawings_per_class=9, splits="1,0,0"
    )
    assert sorted(keys_of(tmp_path / "out")) == [7, 9, 11, 13, 15, 17, 19, 20, 21]
    assert counts_of(manifest) == {"a.ndjson": (20, 7, 0, 13, 0), "b.ndjson": (10, 2, 0, 8, 0)}


def test_reading_stops_early_where_the_name_declares_the_only_class(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    text = records("hot dog", range(5)) + b"bad\n" + records("hot dog", range(5, 10))
    write(folder, **{"full_simplified_hot%20dog": text, "hot_dog": text, "Hot__Dog": text, "mine": text})
    manifest = build(folder, tmp_path / "out", drawings_per_class=3)
    counts = counts_of(manifest)
    assert list(counts) == [
        "Hot Dog.ndjson",
        "full_simplified_hot%20dog.ndjson",
        "hot_dog.ndjson",
        "mine.ndjson",
    ]
    # The first gives its three; one line tells the next that enough were taken; an undeclared file is read to its end.
    assert list(counts.values()) == [(3, 3, 0, 0, 0), (1, 0, 0, 1, 0), (1, 0, 0, 1, 0), (11, 0, 0, 10, 1)]
    assert manifest.sources[0].bytes == len(records("hot dog", range(3)))


def test_the_word_in_the_line_wins_over_the_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("dog", range(4)) + records("cat", range(4, 8)))
    manifest = build(folder, tmp_path / "out", classes=("dog",), drawings_per_class=2)
    assert counts_of(manifest) == {"cat.ndjson": (8, 2, 0, 6, 0)}
    assert manifest.classes == ("dog",)


def test_a_file_of_a_class_that_is_not_wanted_is_left_after_a_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", ant=records("ant", range(50)), cat=records("cat", range(3)))
    manifest = build(folder, tmp_path / "out", classes=("cat",))
    assert counts_of(manifest) == {"ant.ndjson": (1, 0, 0, 1, 0), "cat.ndjson": (3, 3, 0, 0, 0)}


def test_recognized_only_leaves_out_what_does_not_say(tmp_path: Path) -> None:
    lines = [record("cat", 1, recognized=True), record("cat", 2, recognized=False), record("cat", 3)]
    build(write(tmp_path / "in", cat=b"".join(lines)), tmp_path / "out", recognized_only=True)
    assert keys_of(tmp_path / "out") == [1]


def test_classes_come_in_utf_8_order_and_words_carry_their_labels(tmp_path: Path) -> None:
    words = ["zebra", "Ä", "The Eiffel Tower", "猫", "ant", "éclair", "\U0001f600", "\uffff"]
    text = b"".join(record(word, key) for key, word in enumerate(words))
    manifest = build(write(tmp_path / "in", all=text), tmp_path / "out", splits="1,0,0")
    assert list(manifest.classes) == sorted(words, key=str.encode)
    table = pq.read_table(tmp_path / "out" / "train-00000-of-00001.parquet")
    assert table["word"].to_pylist() == [manifest.classes[label] for label in table["label"].to_pylist()]
    assert manifest.counts == {"train": (1,) * 8}


@pytest.mark.parametrize("suggested", [("caat", "cat"), ("Cat", "cat"), ("hotdog", "hot dog"), ("girafe", "giraffe")])
def test_an_unknown_class_is_an_error_that_suggests_the_nearest(tmp_path: Path, suggested: tuple[str, str]) -> None:
    folder = write(tmp_path / "in", all=records("cat", range(3)) + records("hot dog", range(3)))
    with pytest.raises(
        InputError, match=f'class "{suggested[0]}": no drawing of it in the sources; did you mean .*{suggested[1]}'
    ):
        build(folder, tmp_path / "out", classes=(suggested[0], "cat"))
    assert not (tmp_path / "out").exists()


def test_a_source_without_a_good_line_is_an_error_with_its_first_bad_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", empty=b"\n\n")
    with pytest.raises(InputError, match=r"empty\.ndjson: no drawing in it; .* \(in/empty.ndjson: it has no lines\)"):
        build(folder, tmp_path / "out")
    write(folder, cat=records("cat", range(3)), empty=b"\nnumber,word\n1,cat\n")
    with pytest.raises(InputError, match=r"in/empty\.ndjson:2: expected a JSON object, found \"n\""):
        build(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_left_by_the_options_is_an_error(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(3)))
    with pytest.raises(InputError, match="no drawing is left"):
        build(folder, tmp_path / "out", skip_per_class=3)


def test_strict_stops_at_the_first_bad_line_with_its_place(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(3)) + b"\nbad\n", dog=b"bad\n")
    with pytest.raises(InputError, match=r'in/cat\.ndjson:5: expected a JSON object, found "b" \(--strict\)'):
        build(folder, tmp_path / "out", strict=True, workers=2)
    assert not (tmp_path / "out").exists()


def test_rejects_are_listed_in_order_with_place_and_reason_and_counted(tmp_path: Path) -> None:
    cats = records("cat", range(3)) + b"bad\n" + records("cat", range(3, 5)) + record("cat", 9, [])
    dogs = record("", 7) + records("dog", range(10, 12))
    folder = write(tmp_path / "in", cat=cats, dog=dogs)
    manifest = build(folder, tmp_path / "out")
    listed = [json.loads(line) for line in (tmp_path / "out" / "rejects.ndjson").read_text().splitlines()]
    assert [(row["file"], row["line"], row["reason"]) for row in listed] == [
        ("in/cat.ndjson", 4, "not-an-object"),
        ("in/cat.ndjson", 7, "no-strokes"),
        ("in/dog.ndjson", 1, "empty-word"),
    ]
    assert [cats[row["offset"] :].split(b"\n")[0] for row in listed[:2]] == [b"bad", record("cat", 9, [])[:-1]]
    assert manifest.rejects == {"empty-word": 1, "no-strokes": 1, "not-an-object": 1}


def test_a_damaged_end_that_is_not_needed_is_not_read_whatever_the_workers(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=b"")
    first, second = (gzip.compress(random_drawings("cat", 100, seed)) for seed in (1, 2))
    (folder / "cat.ndjson").write_bytes(first + second[:-8])
    for workers in (1, 3):
        manifest = build(folder, tmp_path / str(workers), drawings_per_class=5, workers=workers, chunk_bytes=1 << 20)
        assert counts_of(manifest) == {"cat.ndjson": (5, 5, 0, 0, 0)}


def test_names_of_files_that_are_not_utf_8_do_no_harm(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(3)))
    (folder / os.fsdecode(b"caf\xe9.ndjson")).write_bytes(records("cat", range(3, 6)) + b"bad\n")
    manifest = build(folder, tmp_path / "out")
    assert [source.name for source in manifest.sources] == ["in/caf\\xe9.ndjson", "in/cat.ndjson"]
    assert read_manifest(tmp_path / "out") == manifest


def naive_admission(
    files: list[tuple[str | None, list[tuple[str, bool]]]], options: dict[str, Any]
) -> tuple[list[int], list[int]]:
    """The numbers of the drawings taken, and how many of each file are read: the rule, drawing by drawing."""
    classes, skip, take = options.get("classes"), options["skip_per_class"], options["drawings_per_class"]
    passed: Counter[str] = Counter()
    taken, read, number = [], [], 0
    for declared, drawings in files:
        done = 0
        for done, (word, recognized) in enumerate(drawings, 1):
            if (classes is None or word in classes) and (recognized or not options["recognized_only"]):
                if skip <= passed[word] < skip + take:
                    taken.append(number + done - 1)
                passed[word] += 1
            only = declared is not None and all(word == declared for word, _ in drawings[:done])
            if only and ((classes is not None and declared not in classes) or passed[declared] >= skip + take):
                break
        read.append(done)
        number += len(drawings)
    return taken, read


@pytest.mark.parametrize("seed", range(25))
def test_what_is_taken_is_what_the_slow_rule_takes(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    files: list[tuple[str | None, list[tuple[str, bool]]]] = []
    number = 0
    for k in range(4):
        declared = ["cat", "dog", None][random.integers(3)]
        mixed = ["cat", "dog", "ant"] if declared is None or random.random() < 0.3 else [declared]
        drawings = [
            (mixed[random.integers(len(mixed))], bool(random.random() < 0.8)) for _ in range(random.integers(1, 30))
        ]
        lines = [record(word, number + j, recognized=known) for j, (word, known) in enumerate(drawings)]
        folder = tmp_path / "in" / str(k)
        write(folder, **{declared or "mine": b"".join(lines)})
        files.append((declared, drawings))
        number += len(drawings)
    options = {
        "classes": [None, ("cat",), ("cat", "dog")][random.integers(3)],
        "skip_per_class": int(random.integers(4)),
        "drawings_per_class": int(random.integers(1, 15)),
        "recognized_only": bool(random.integers(2)),
    }
    taken, read = naive_admission(files, options)
    words = [word for _, drawings in files for word, _ in drawings]
    if not taken or {words[key] for key in taken} < set(options["classes"] or ()):
        with pytest.raises(InputError, match="no drawing"):
            build(tmp_path / "in", tmp_path / "out", **options)
        return
    manifest = build(tmp_path / "in", tmp_path / "out", **options)
    assert sorted(keys_of(tmp_path / "out")) == taken
    assert [source.read for source in manifest.sources] == read


def test_more_words_than_labels_can_number_are_an_error(tmp_path: Path) -> None:
    lines = b"".join(record(f"word {number}", number) for number in range((1 << 16) + 1))
    source = write(tmp_path / "words", many=lines)
    with pytest.raises(InputError, match=r"many\.ndjson: more than 65,536 words, the most classes: choose with --c"):
        build(source, tmp_path / "out")
