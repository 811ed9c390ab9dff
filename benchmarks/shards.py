"""Measures building shuffled Parquet from ndjson against DuckDB, polars, and node with `shuf`.

    python benchmarks/shards.py SOURCE [--gigabytes 1 3] [--peers duckdb sketchpipe-1 ...] [--work DIR] [--rounds 1]

SOURCE holds Google's simplified ndjson; pipeline.bench.replicas repeats its lines to each size in the work folder,
once. Every peer is a process of its own on the last core or cores of the machine. Before it is timed its kernels are
compiled and its input is in the system's file cache; its output is checked and removed before the next peer starts. The
best round counts.

The outputs differ. sketchpipe writes three splits, points as binary columns, and checksums, and syncs to the disk;
DuckDB and polars write one file, with drawings as lists of lists of bytes; all three use zstd at level 1. node and
`shuf` write ndjson of word, recognized and drawing.

This needs 4 GB of disk for the two inputs and up to 20 GB more for the outputs, if DuckDB uses all that it may.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from children import can_pin, run_child
from machine import machine, say
from peers import PEERS, PROGRAMS, Peer, Row, replicated, run_peer

from pipeline.bench.replicas import GIGABYTE, MARK

REPLICATE = """
import pathlib, sys
from pipeline.bench.replicas import replicate
replicate(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]))
"""
WARM_UP_BYTES = 2_000_000
SCAN_BYTES = 256_000_000
DISK_FACTOR = 4  # free disk for a row's temporary files and output, as a multiple of its input


def main() -> None:
    arguments = parse_arguments()
    sizes = sorted(round(gigabytes * GIGABYTE) for gigabytes in arguments.gigabytes)
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        need_disk(work, sizes)
        warm = make_input(arguments.source, work, WARM_UP_BYTES)
        inputs = {size: make_input(arguments.source, work, size) for size in sizes}
        most_bytes = round(arguments.memory_gigabytes * GIGABYTE)
        skipped = {name: why for name in arguments.peers if (why := warm_up(PEERS[name], warm, work))}

        print(heading(arguments.source))
        print("\n| build | input | s | CPU s | MB/s | x DuckDB | peak MB | output MB |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        rows: dict[tuple[str, int], Row] = {}
        for size, folder in inputs.items():
            rows |= {(name, size): Row(failure=why) for name, why in skipped.items()}
            running = [name for name in arguments.peers if name not in skipped]
            for name, row in run_rounds(running, folder, work, arguments.rounds, most_bytes).items():
                rows[name, size] = row
            for name in arguments.peers:
                print(table_line(name, size, folder, rows), flush=True)
        notes = [*memory_and_workers(rows, sizes), scanner(inputs[sizes[0]], work)]
        print("", *(f"- {note}" for note in notes), sep="\n")
    bad = [row.failure for (name, _), row in rows.items() if row.failure and (row.wrong or "sketchpipe" in name)]
    if bad:
        sys.exit("shards benchmark: " + "; ".join(bad))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare programs that turn Quick, Draw! ndjson into shuffled Parquet."
    )
    parser.add_argument("source", type=Path, help="folder of simplified ndjson")
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1.0, 3.0], help="sizes of the input, 10^9 bytes")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="which to run; all by default")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is run, alternating (%(default)s)")
    parser.add_argument("--work", type=Path, help="folder for inputs, kept, and outputs; a temporary one by default")
    parser.add_argument(
        "--memory-gigabytes", type=float, default=12.0, help="a peer that uses more memory is stopped (%(default)s)"
    )
    arguments = parser.parse_args()
    if min(arguments.gigabytes) <= 0 or arguments.rounds < 1 or arguments.memory_gigabytes <= 0:
        parser.error("--gigabytes, --rounds and --memory-gigabytes: expected more than 0")
    return arguments


def need_disk(work: Path, sizes: Sequence[int]) -> None:
    """Exit with a message if the disk is too small for all files."""
    missing = sum(size for size in sizes if not (input_folder(work, size) / MARK).exists())
    needed, free = missing + DISK_FACTOR * max(sizes), shutil.disk_usage(work).free
    if free < needed:
        sys.exit(
            f"shards benchmark: {work}: {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB needed; name another --work"
        )


def input_folder(work: Path, size: int) -> Path:
    return work / f"sketches-{size / 1e6:g}mb"


def make_input(source: Path, work: Path, size: int) -> Path:
    """Make the folder of replicated lines in a process of its own, so that this process uses little memory."""
    folder = input_folder(work, size)
    say(f"input of {size / 1e6:,.0f} MB: {folder}")
    made = run_child([sys.executable, "-c", REPLICATE, str(source), str(folder), str(size)])
    if made.code:
        sys.exit(made.complaint)
    return folder


def warm_up(peer: Peer, folder: Path, work: Path) -> str | None:
    """Run a peer once to compile kernels and load libraries; returns why it cannot run, or None."""
    say(f"warming up: {peer.title}")
    absent = [program for program in peer.programs if shutil.which(program) is None]
    if absent:
        return f"skipped: {' and '.join(absent)} not installed"
    return run_peer(peer, folder, work, None).failure


def run_rounds(names: Sequence[str], folder: Path, work: Path, rounds: int, most_bytes: int) -> dict[str, Row]:
    """Run the peers in turn; returns each one's fastest round with the most memory of any, or the first that failed."""
    rows: dict[str, list[Row]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            if any(row.failure for row in rows[name]):
                continue
            read_all(folder)
            row = run_peer(PEERS[name], folder, work, most_bytes)
            say(f"{PEERS[name].title}, {folder.name}, round {number + 1}: {row.failure or f'{row.seconds:.2f} s'}")
            rows[name].append(row)
    return {name: best(of_name) for name, of_name in rows.items()}


def best(rows: Sequence[Row]) -> Row:
    if rows[-1].failure:
        return rows[-1]
    return replace(min(rows, key=lambda row: row.seconds), peak_bytes=max(row.peak_bytes for row in rows))


def read_all(folder: Path) -> None:
    """Read every file, so that each peer finds its input in the system's file cache."""
    block = bytearray(1 << 20)
    for path in folder.glob("*.ndjson"):
        with path.open("rb", buffering=0) as file:
            while file.readinto(block):
                pass


def table_line(name: str, size: int, folder: Path, rows: dict[tuple[str, int], Row]) -> str:
    row, title = rows[name, size], PEERS[name].title
    if row.failure:
        return f"| {title} | {size / 1e9:g} GB | {row.failure} | | | | | |"
    duckdb = rows.get(("duckdb", size))
    ratio = f"{duckdb.seconds / row.seconds:.2f}" if duckdb and not duckdb.failure else "-"
    rate = replicated(folder).size / row.seconds / 1e6
    return (
        f"| {title} | {size / 1e9:g} GB | {row.seconds:.1f} | {row.cpu_seconds:.1f} | {rate:.0f} | {ratio} "
        f"| {row.peak_bytes / 1e6:.0f} | {row.output_bytes / 1e6:.0f} |"
    )


def memory_and_workers(rows: dict[tuple[str, int], Row], sizes: Sequence[int]) -> list[str]:
    """How memory grows with the input and the workers, and the gain of a second worker, for the rows that exist."""
    lines, least, most = [], sizes[0], sizes[-1]
    peaks = {key: row.peak_bytes for key, row in rows.items() if not row.failure}
    for workers in (1, 2):
        small, large = peaks.get((f"sketchpipe-{workers}", least)), peaks.get((f"sketchpipe-{workers}", most))
        if small and large and least < most:
            times = f"{large / small:.3f} times that at {least / 1e9:g} GB"
            lines.append(f"--workers {workers}: peak memory at {most / 1e9:g} GB is {times}")
    for size in sizes:
        one, two = rows.get(("sketchpipe-1", size)), rows.get(("sketchpipe-2", size))
        if one and two and not one.failure and not two.failure:
            more = (two.peak_bytes - one.peak_bytes) / 1e6
            lines.append(
                f"{size / 1e9:g} GB: two workers {one.seconds / two.seconds:.2f} times as fast as one, {more:+.0f} MB"
            )
    return lines


def scanner(folder: Path, work: Path) -> str:
    """The rate of the scanner alone, by CPU time, over chunks in memory."""
    joined, lines, of_file = work / "benchmark-joined.ndjson", 0, replicated(folder).lines
    try:
        with joined.open("wb") as file:
            for path in sorted(folder.glob("*.ndjson")):
                if file.tell() < SCAN_BYTES:
                    file.write(path.read_bytes())
                    lines += of_file[path.name]
        ran = run_child([*PROGRAMS, "scan", str(joined)], cores=1)
    finally:
        joined.unlink(missing_ok=True)
    if ran.code:
        return f"scanner alone: failed: {ran.complaint}"
    found = json.loads(ran.said)
    if found["drawings"] != lines:
        return f"scanner alone: WRONG: {found['drawings']:,} drawings of {lines:,} lines"
    rates = sorted(found["bytes"] / seconds / 1e9 for seconds in found["seconds"])
    return (
        f"scanner alone, {found['bytes'] / 1e6:.0f} MB in chunks of 1 MiB: {rates[-1]:.3f} GB/s of CPU time on one "
        f"core (best of {len(rates)} rounds, median {rates[len(rates) // 2]:.3f})"
    )


def heading(source: Path) -> str:
    """The machine, versions, date and a description of the input."""
    versions = [machine(("sketchpipe", "numba", "numpy", "pyarrow", "duckdb", "polars"))]
    for program in ("node", "shuf"):
        if shutil.which(program):
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            versions.append(f"{program} {said.splitlines()[0].split()[-1]}" if said else program)
    pinned = "" if can_pin() else " This system cannot pin a process to a core."
    return f"{', '.join(versions)}. Input: the lines of {source.name}/, replicated with fresh key_ids.{pinned}"


if __name__ == "__main__":
    main()
