from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.sample.doodles import write_sample
from pipeline.shards.manifest import read_manifest
from tests.shards.builds import build, files_of, keys_of, records, staging, write


def test_a_rebuild_without_rejects_removes_their_list(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", cat=records("cat", range(3)) + b"bad\n")
    build(folder, tmp_path / "out", num_shards=3)
    write(folder, cat=records("cat", range(4)))
    build(folder, tmp_path / "out")
    names = set(files_of(tmp_path / "out"))
    assert "rejects.ndjson" not in names
    assert names == {"manifest.json", *(file.name for file in read_manifest(tmp_path / "out").files)}


def test_an_unchanged_build_is_left_alone_and_a_changed_one_replaced(tmp_path: Path) -> None:
    folder, out = write(tmp_path / "in", cat=records("cat", range(30))), tmp_path / "out"
    build(folder, out)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    build(folder, out)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    build(folder, out, seed=1, num_shards=2)
    assert [name[-8:] for name in files_of(out)].count(".parquet") == len(read_manifest(out).files) > 2
    write(folder, cat=records("cat", range(31)))
    build(folder, out, seed=1, num_shards=2)
    assert len(keys_of(out)) == 31
    assert staging(out) == ["lock", "sources.json"]


@pytest.mark.parametrize("damage", ["missing", "shorter", "manifest"])
def test_a_damaged_folder_is_built_anew_though_nothing_changed(tmp_path: Path, damage: str) -> None:
    folder, out = write(tmp_path / "in", cat=records("cat", range(30)) + b"bad\n"), tmp_path / "out"
    build(folder, out)
    expected = files_of(out)
    shard = out / "train-00000-of-00001.parquet"
    if damage == "missing":
        shard.unlink()
    elif damage == "shorter":
        shard.write_bytes(shard.read_bytes()[:-1])
    else:
        (out / "manifest.json").write_text("{}")
    build(folder, out)
    assert files_of(out) == expected


def test_a_folder_with_foreign_files_is_refused_even_with_force(tmp_path: Path) -> None:
    folder, out = write(tmp_path / "in", cat=records("cat", range(3))), tmp_path / "out"
    out.mkdir()
    (out / ".gitkeep").touch()
    build(folder, out)
    (out / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(OutputError, match=r"holds thesis\.txt, which sketchpipe did not make"):
            build(folder, out, force=force, seed=2)
    assert (out / "thesis.txt").read_text() == "mine"


def test_data_are_synthetic_only_if_every_source_is_the_sample(tmp_path: Path) -> None:
    mine, sample = write(tmp_path / "mine", cat=records("cat", range(3))), tmp_path / "sample"
    write_sample(sample, drawings_per_class=1)
    (sample / ".synthetic").touch()
    assert build(sample, tmp_path / "a").synthetic
    mixed = build([sample, mine], tmp_path / "b")
    assert not mixed.synthetic
    assert "CC BY 4.0" in mixed.attribution
