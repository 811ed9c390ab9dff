"""Disks that fill up or fail: every write, sync, rename and opening fails once, each in a build of its own."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.shards.manifest import SHARDS
from tests.shards.builds import build, files_of, keyless, records, staging, write
from tests.shards.faults import CALLS, Faults

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    write(
        folder / "in",
        cat=records("cat", range(60)) + b"bad\n",
        dog=records("dog", range(60, 90)) + keyless(records("dog", range(60, 70))),
    )
    return folder / "in"


def calls_of_a_build(sources: Path, out: Path, call: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch, call, None, 0)
        build(sources, out, num_shards=2)
    return faults.count


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", CALLS)
def test_whatever_write_fails_the_old_set_or_the_new_one_stands_and_the_next_build_is_whole(
    sources: Path, tmp_path: Path, call: str, code: int
) -> None:
    count = calls_of_a_build(sources, tmp_path / "whole", call)
    whole = files_of(tmp_path / "whole")
    assert count >= 2 or call == "ftruncate"
    build(sources, tmp_path / "old", classes=("cat",))
    old = files_of(tmp_path / "old")
    for fails in range(count):
        out = Path(shutil.copytree(tmp_path / "old", tmp_path / str(fails)))
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, call, fails, code)
            with pytest.raises(OutputError, match=f"^{out}: .*{os.strerror(code)}.*") as error:
                build(sources, out, num_shards=2)
        assert faults.failed
        assert "\n" not in str(error.value)
        if SHARDS.is_pending(out):
            assert "run the command again to finish it" in str(error.value)
        else:
            assert files_of(out) in (old, whole)
            assert set(staging(out)) <= {"lock", "sources.json"}
        build(sources, out, num_shards=2)
        assert files_of(out) == whole
