"""The programs that benchmarks/shards.py compares, and a function that runs one and checks its result."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from children import SKETCHPIPE, Finished, run_child

from pipeline.bench.replicas import MARK, Replicated

HERE = Path(__file__).parent
PROGRAMS = (sys.executable, str(HERE / "peer_programs.py"))

Command = list[str]


@dataclass(frozen=True)
class Peer:
    """A program that turns ndjson into shuffled drawings.

    Attributes:
        title: its name in the table.
        cores: on how many cores it may run.
        result: a glob of the files that it writes to its output folder.
        commands: gives the commands to run, one after the other, for an input and an output folder.
        programs: the programs that have to be installed.
    """

    title: str
    cores: int
    result: str
    commands: Callable[[Path, Path], list[Command]]
    programs: tuple[str, ...] = ()


def sketchpipe(workers: int) -> Peer:
    def commands(folder: Path, out: Path) -> list[Command]:
        return [[*SKETCHPIPE, "shards", str(folder), "--to", str(out), "--workers", str(workers)]]

    cores = f"{workers} core{'s' if workers > 1 else ''}"
    return Peer(f"sketchpipe, --workers {workers}, {cores}", workers, "*.parquet", commands)


def library(name: str, title: str) -> Peer:
    def commands(folder: Path, out: Path) -> list[Command]:
        return [[*PROGRAMS, name, str(folder), str(out / "shuffled.parquet"), str(out / "temporary")]]

    return Peer(title, 1, "*.parquet", commands)


def node_and_shuf() -> Peer:
    def commands(folder: Path, out: Path) -> list[Command]:
        kept, shuffled = str(out / "kept.txt"), str(out / "shuffled.ndjson")
        return [
            ["node", str(HERE / "baseline_filter.mjs"), str(folder), kept],
            ["shuf", kept, "-o", shuffled],
        ]

    return Peer("node filter, then shuf (ndjson), 1 core", 1, "shuffled.ndjson", commands, ("node", "shuf"))


PEERS = {
    "duckdb": library("duckdb", "DuckDB, 512 MB, 1 core"),
    "sketchpipe-1": sketchpipe(1),
    "sketchpipe-2": sketchpipe(2),
    "polars": library("polars", "polars streaming, 1 core"),
    "node": node_and_shuf(),
}


@dataclass(frozen=True)
class Row:
    """A peer's figures for an input; `failure` says why there are none, `wrong` that its result was wrong."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    output_bytes: int = 0
    failure: str | None = None
    wrong: bool = False


def run_peer(peer: Peer, folder: Path, work: Path, most_bytes: int | None) -> Row:
    """Run a peer once, check its result, and remove it."""
    out = work / "benchmark-output"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    try:
        runs: list[Finished] = []
        for command in peer.commands(folder, out):
            runs.append(run_child(command, cores=peer.cores, most_bytes=most_bytes))
            if runs[-1].code:
                return Row(failure=f"failed: {runs[-1].killed or runs[-1].complaint}")
        results = sorted(out.glob(peer.result), key=lambda path: (not path.name.startswith("train"), path.name))
        wrong = check(results, replicated(folder))
        if wrong:
            return Row(failure=f"WRONG: {peer.title}, {folder.name}: {wrong}", wrong=True)
        return Row(
            seconds=sum(run.seconds for run in runs),
            cpu_seconds=sum(run.cpu_seconds for run in runs),
            peak_bytes=max(run.peak_bytes for run in runs),
            output_bytes=sum(path.stat().st_size for path in results),
        )
    finally:
        shutil.rmtree(out)


def check(results: Sequence[Path], made: Replicated) -> str | None:
    """What is wrong with a result: lines lost or duplicated, or an order that is not shuffled; None if it is right."""
    if not results:
        return "it wrote no file"
    checked = run_child([*PROGRAMS, "check", *map(str, results)])
    if checked.code:
        return f"its result cannot be read ({checked.complaint})"
    found = json.loads(checked.said)
    if found["rows"] != made.total_lines:
        return f"{found['rows']:,} rows of {made.total_lines:,} lines"
    if found["key_sum"] not in (None, made.key_sum):
        return "its key_ids differ from the input's"
    first = len(found["words"])
    # Expected of a random choice; a fifth less is many standard deviations away, and unshuffled rows have few words.
    expected = sum(1 - (1 - lines / made.total_lines) ** first for lines in made.lines.values())
    distinct = len(set(found["words"]))
    return f"{distinct} words in the first {first:,} rows, not {expected:.0f}" if distinct < 0.8 * expected else None


def replicated(folder: Path) -> Replicated:
    return Replicated(**json.loads((folder / MARK).read_text()))
