"""Small shards for the tests of loader, training and commands: made once a session, in its base folder."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import run
from pipeline.jit import COMPILING
from pipeline.kernel_cache import user_cache
from pipeline.sample.doodles import write_sample
from pipeline.shards.folder import build_folder
from pipeline.shards.options import USUAL_SIZES, BuildOptions, BuildSizes
from pipeline.shards.schema import SCHEMA
from pipeline.sources.files import SAMPLE_MARK

DRAWINGS_PER_CLASS = 60
SMALL = ("--network", "sketch-classifier", "--batch", "64")


def sample_sketches(factory: pytest.TempPathFactory) -> Path:
    """A folder of ndjson: ten classes of synthetic doodles."""
    folder = factory.getbasetemp() / "small-sketches"
    if not folder.exists():
        write_sample(folder, drawings_per_class=DRAWINGS_PER_CLASS)
        (folder / SAMPLE_MARK).touch()
    return folder


def sample_shards(
    factory: pytest.TempPathFactory,
    name: str = "small-shards",
    *,
    classes: Sequence[str] | None = None,
    row_group_rows: int | None = None,
    num_shards: int | None = None,
    splits: str = "0.8,0.1,0.1",
) -> Path:
    """Shards of `sample_sketches`, another name for each choice of options; nobody may write into them."""
    folder = factory.getbasetemp() / name
    if not folder.exists():
        chosen = None if classes is None else tuple(classes)
        options = BuildOptions(classes=chosen, num_shards=num_shards, splits=splits)
        sizes = USUAL_SIZES if row_group_rows is None else BuildSizes(row_group_rows=row_group_rows)
        build_folder([str(sample_sketches(factory))], folder, options, sizes=sizes)
    return folder


def beside_shards(folder: Path, factory: pytest.TempPathFactory) -> Path:
    """`folder` with `sample_shards` as its `shards/sample`, and no run."""
    (folder / "shards").mkdir()
    (folder / "shards" / "sample").symlink_to(sample_shards(factory))
    return folder


def damage(path: Path, row_group: int = 0) -> None:
    """Flip a bit in the last x of a row group of a shard, as a disk that rots: its time stays."""
    before = path.stat()
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(row_group).column(SCHEMA.get_field_index("x"))
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 1] ^= 0x10
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def damaged_copy(folder: Path, to: Path, name: str) -> Path:
    """A copy of a folder of shards with a bit flipped in the first row group of file `name`."""
    shutil.copytree(folder, to)
    damage(to / name)
    return to


def trained(factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards/sample` and a run on them, `runs/001-sketch-classifier`, of two epochs."""
    folder = factory.getbasetemp() / "small-work"
    if not folder.exists():
        folder.mkdir()
        shutil.copytree(sample_shards(factory), folder / "shards" / "sample")
        ran = in_process("train", "--shards", "shards/sample", *SMALL, "--epochs", "2", cwd=folder)
        assert ran.returncode == 0, ran.stderr
    return folder


def run_line(folder: Path) -> str:
    """What a command says of the run of `trained`, if it is not told which run to take."""
    from model.runs.overview import summarize

    best = summarize(folder / "runs" / "001-sketch-classifier").best
    assert best is not None
    return f"run: runs/001-sketch-classifier, validation top-1 {best[0]:.1%}"


def change_card(folder: Path, **changes: Any) -> None:
    """Let a run's `run.json` say something else, and prove it."""
    from model.runs.card import write_card
    from model.runs.opening import open_run

    run = open_run(folder)
    write_card(folder, replace(run.card, **changes), run.config)


def in_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command as `sketchpipe` runs it, but in this process, where jax is loaded already; `without_compiling`."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["sketchpipe", *arguments])
        try:
            run()
        except SystemExit as exit_:
            code = exit_.code
    return subprocess.CompletedProcess(arguments, code or 0, out.getvalue(), without_compiling(err.getvalue()))


def without_compiling(told: str) -> str:
    """What a command wrote to stderr, whichever kernels other tests had compiled before."""
    return told.replace(f"{COMPILING}\n", "")


def kernels_kept() -> dict[str, str]:
    """The environment, with the kernels where they are for a process that has another `XDG_CACHE_HOME` too."""
    return {"NUMBA_CACHE_DIR": str(user_cache("numba")), **os.environ}


def command(*arguments: str) -> list[str]:
    """How the command is started in this environment."""
    return [sys.executable, "-c", "from pipeline.cli.main import main; main()", *arguments]


def sketchpipe(*arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The command, run to its end in `cwd`; `without_compiling`."""
    ran = subprocess.run(command(*arguments), cwd=cwd, input=stdin, capture_output=True, text=True, check=False)
    ran.stderr = without_compiling(ran.stderr)
    return ran
