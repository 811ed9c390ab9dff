"""`shards --leave-out FILE`: drawings that are named by their key_ids are in no shard, and are counted."""

import json
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.shards.leave_out import read_key_ids
from pipeline.shards.manifest import read_manifest
from pipeline.shards.repair import repair_folder
from tests.shards.builds import build, counts_of, files_of, keys_of, record, records, write
from tests.small import in_process


def test_key_ids_are_read_one_a_line_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"\ufeff# offensive\n\n7 # why\r\n{2**64 - 1}\n  5\n7\n", encoding="utf-8")
    assert read_key_ids(path) == (5, 7, 2**64 - 1)
    for line, found in (("-1", "'-1'"), (str(2**64), f"'{2**64}'"), ("\u0665", "'\u0665'"), ("cat, dog", "'cat, dog'")):
        path.write_text(f"5\n{line}\n", encoding="utf-8")
        with pytest.raises(InputError, match=r"list\.txt:2: expected a key_id, a whole number.*, not") as error:
            read_key_ids(path)
        assert str(error.value).endswith(found)
    for missing in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(InputError, match="cannot be read as a list with one key_id a line"):
            read_key_ids(missing)


def test_they_are_filtered_before_others_are_skipped_and_taken(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(10)) + record("cat", 2), dog=records("dog", range(20, 25)))
    out = tuple(key << 21 for key in (1, 2, 21, 99))
    manifest = build(folder, tmp_path / "out", leave_out=out, skip_per_class=1, drawings_per_class=4)
    assert sorted(keys_of(tmp_path / "out")) == [3, 4, 5, 6, 22, 23, 24]
    assert counts_of(manifest)["cat.ndjson"] == (7, 4, 0, 3, 0)
    assert manifest.left_out == 3
    assert read_manifest(tmp_path / "out").dump() == manifest.dump()


def test_shards_without_the_option_have_the_bytes_that_they_had(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(9)))
    build(folder, tmp_path / "out")
    fields = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "left_out" not in fields
    assert "leave_out" not in fields["options"]
    origin = json.loads((tmp_path / "out" / ".build" / "sources.json").read_text())
    assert "leave_out" not in origin["options"]


def test_the_command_builds_again_if_the_list_changes_and_only_then(tmp_path: Path) -> None:
    write(tmp_path / "in", cat=records("cat", range(40)), dog=records("dog", range(40, 80)))
    listed = tmp_path / "list.txt"

    def said(*key_ids: int, comment: str = "") -> list[str]:
        listed.write_text(comment + "".join(f"{key << 21}\n" for key in key_ids))
        ran = in_process("shards", "in", "--to", "out", "--leave-out", "list.txt", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        return ran.stderr.splitlines()

    lines = said(3, 44, 1000)
    assert any(line.startswith("out: 78 drawings of 2 classes") for line in lines)
    assert "  filtered by --leave-out: 2 drawings, with 3 key_ids listed" in lines
    assert not {3, 44} & set(keys_of(tmp_path / "out"))
    assert said(44, 3, 1000, comment="# in another order\n")[0].startswith("out: nothing to do")
    assert any(line.startswith("out: 77 drawings") for line in said(3, 44, 45))
    listed.write_text("cat\n")
    ran = in_process("shards", "in", "--to", "out", "--leave-out", "list.txt", cwd=tmp_path)
    assert (ran.returncode, "list.txt:1: expected a key_id" in ran.stderr) == (3, True)


def test_a_damaged_shard_is_rebuilt_without_the_list(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(40)))
    build(folder, tmp_path / "out", leave_out=(3 << 21,))
    before = files_of(tmp_path / "out")
    shard = next((tmp_path / "out").glob("train-*"))
    for name in (shard.name, "manifest.json"):
        (tmp_path / "out" / name).write_bytes(b"")
        assert [damage.name for damage in repair_folder(tmp_path / "out")] == [name]
        assert files_of(tmp_path / "out") == before
