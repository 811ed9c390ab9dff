"""Disturbs sketchpipe in every way that docs/trust.md speaks of, and tabulates how it ends.

    python benchmarks/faults.py [PIECE ...] [--trials N] [--seed S] [--quick] [--json FILE] [--work DIR] [--list]

A PIECE is the beginning of a name that --list prints, such as "disk:" or "flips: runs"; without one, all are run, each
in less than ten minutes. Faults are found at disk operations by a library of faults_shim.c, compiled when it is needed;
without a C compiler, and on macOS, these pieces are skipped. --trials bounds the trials of each kind in a piece;
--quick takes a sample in some three minutes, of all pieces but the costliest. --json adds the rows to a file, from
which `make docs` writes the table of docs/trust.md. The exit code is 1 if a fault was found.
"""

import argparse
import json
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import faults_disk
import faults_hostile
import faults_rot
import faults_scale
import faults_signals
from faults_trials import Row, Shim, load_shim
from faults_world import World
from machine import machine, say

PACKAGES = ("sketchpipe", "numpy", "pyarrow", "numba", "jax")
COSTLIEST = ("disk: export", "disk: sweep", "signals: train", "signals: sweep")  # not in a sample
MEMORY = Path("/dev/shm")  # where a sync takes no time: what was not synced is known to the shim, not to the disk


def main() -> None:
    load_shim()
    arguments = parse_arguments()
    folder = Path(
        arguments.work or tempfile.mkdtemp(prefix="sketchpipe-faults-", dir=MEMORY if MEMORY.is_dir() else None)
    )
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    code = 0
    try:
        world = World(folder.resolve(), arguments.seed, arguments.trials, arguments.quick, Shim())
        for name, piece in chosen(world, arguments).items():
            for row in safely(name, piece):
                rows.append(row)
                say(line(row))
                if arguments.json:
                    add_to(arguments.json, row, arguments.seed)
    except KeyboardInterrupt:
        say("interrupted: the table holds what was done")
        code = 130
    finally:
        if arguments.work is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{machine(PACKAGES)}; seed {arguments.seed}.\n")
    print("\n".join(table(rows)))
    sys.exit(1 if any(row.faults for row in rows) else code)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help="the beginnings of their names; all by default")
    parser.add_argument("--trials", type=int, help="the most trials of a kind in a piece; each piece's own by default")
    parser.add_argument("--seed", type=int, default=0, help="chooses operations, bits and moments (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a sample of all pieces but the costliest")
    parser.add_argument("--json", type=Path, help="add the rows to this file")
    parser.add_argument("--work", type=Path, help="an empty folder to work in, kept; a temporary one by default")
    parser.add_argument("--list", action="store_true", help="print the names of the pieces")
    return parser.parse_args()


def chosen(world: World, arguments: argparse.Namespace) -> dict[str, Callable[[], Iterator[Row]]]:
    """The pieces to run, in their order."""
    every = {name: piece for module in MODULES for name, piece in module.pieces(world).items()}
    if arguments.list:
        print("\n".join(every))
        sys.exit()
    if unknown := [name for name in arguments.pieces if not any(one.startswith(name) for one in every)]:
        sys.exit(f"faults: no piece begins with {unknown[0]!r}; --list prints them")
    if not arguments.pieces and arguments.quick:
        return {name: piece for name, piece in every.items() if name not in COSTLIEST}
    return {name: piece for name, piece in every.items() if name.startswith(tuple(arguments.pieces or [""]))}


def safely(name: str, piece: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    """The rows of a piece; an error in it is a fault, and the other pieces are run all the same."""
    try:
        yield from piece()
    except Exception:  # whatever a piece meets, its row says so and the table is still printed
        yield Row(name, faults=[traceback.format_exc()])


def line(row: Row) -> str:
    """A row in a line."""
    return f"{row.what}: {cells(row)[1]}; {cells(row)[2]}; {len(row.faults)} faults, {row.seconds:.0f} s"


def cells(row: Row) -> list[str]:
    """The cells of a row."""
    if row.skipped:
        return [row.what, f"skipped: {row.skipped}", "", "", ""]
    injected, outcomes = (
        [f"{name} {count:,}" for name, count in sorted(counter.items())] for counter in (row.injected, row.outcomes)
    )
    return [
        row.what,
        f"{row.trials:,}: {', '.join(injected)}",
        "; ".join(filter(None, (*outcomes, row.note))),
        str(len(row.faults)),
        f"{row.seconds:.0f}",
    ]


def table(rows: list[Row]) -> Iterator[str]:
    """The table of all rows, and each fault below it."""
    yield "| piece | trials | ended | faults | seconds |"
    yield "|---|---|---|---|---|"
    yield from (f"| {' | '.join(cells(row))} |" for row in rows)
    yield ""
    yield f"{sum(row.trials for row in rows):,} trials, {sum(len(row.faults) for row in rows):,} faults"
    yield from (f"- {row.what}: {fault}" for row in rows for fault in row.faults)


def add_to(path: Path, row: Row, seed: int) -> None:
    """Write a row into a file of JSON, in place of an older one of its name."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    told = {"cells": cells(row)[1:], "trials": row.trials, "faults": row.faults, "seed": seed}
    kept[row.what] = told | {"machine": machine(PACKAGES)}
    path.write_text(json.dumps(kept, indent=1) + "\n")


MODULES = (faults_disk, faults_rot, faults_hostile, faults_signals, faults_scale)

if __name__ == "__main__":
    main()
