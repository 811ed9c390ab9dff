"""What is no regular file in place of each file that sketchpipe reads or writes.

Every command ends, within its time and memory, with an exit code and one line; and nothing outside the folder named on
the command line is written, renamed or removed.
"""

import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from faults_rot import DAMAGE
from faults_trials import Arm, Ended, Row, command, replaced, visible
from faults_world import World, loaded

SECONDS = 20.0  # of a command on a small set; a longer one waits for a pipe or reads without end
PEAK_BYTES = 2 << 30
SPARSE_BYTES = 1 << 40
_CODES = (0, *DAMAGE, 6)


def _link(target: str) -> Callable[[Path, Path], None]:
    return lambda path, outside: path.symlink_to(target.format(path=path, outside=outside))


def _sparse(path: Path, _outside: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SPARSE_BYTES)


def _socket(path: Path, _outside: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may have 107 bytes
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(before)


def _device(path: Path, outside: Path) -> None:
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
    except PermissionError:  # only root makes devices
        _link("/dev/zero")(path, outside)


KINDS: dict[str, Callable[[Path, Path], None]] = {
    "link to nothing": _link("nowhere"),
    "link to itself": _link("{path}"),
    "link to /dev/zero": _link("/dev/zero"),
    "link to a folder": _link("{outside}"),
    "link to another file": _link("{outside}/file"),
    "link to what it was": lambda path, outside: path.symlink_to(outside / "was" / path.name),
    "pipe": lambda path, _: os.mkfifo(path),
    "socket": _socket,
    "device": _device,
    "folder": lambda path, _: path.mkdir(),
    "folder with a file": lambda path, _: (path / "inside").mkdir(parents=True),
    "empty file": lambda path, _: path.touch(),
    "sparse file of 1 TB": _sparse,
}


def pieces(world: World) -> dict[str, Callable[[], Iterator[Row]]]:
    """Each piece by name."""
    return {
        "hostile: shards": lambda: shards(world),
        "hostile: .build of a killed build": lambda: builds(world),
        "hostile: sources": lambda: sources(world),
        "hostile: runs": lambda: runs(world),
    }


def _put(kind: str, victim: Path, outside: Path) -> None:
    """Replace a file or folder, and move it to `outside`."""
    (outside / "was").mkdir()
    victim.rename(outside / "was" / victim.name)
    KINDS[kind](victim, outside)


def _tried(
    world: World,
    row: Row,
    start: Callable[[], Path],
    victims: Callable[[Path], list[Path]],
    commands: dict[str, Callable[[Path], Ended]],
    most: int,
    kinds: tuple[str, ...] = tuple(KINDS),
    right: dict[str, str] | None = None,
) -> None:
    """Each kind in place of each victim, before each command, which with exit code 0 makes `right` if that is given."""
    state = start()
    names = [path.relative_to(state) for path in victims(state)]
    every = [(name, kind, told) for name in names for kind in kinds for told in commands]
    count = world.count(most)
    for name, kind, told in every if len(every) <= count else sorted(world.dice.sample(every, count)):
        state = start()
        outside = replaced(world.folder / "outside", world.folder / "outside-whole")
        if not (state / name).exists():  # a build was killed at another moment
            continue
        _put(kind, state / name, outside)
        before = _everything(outside)
        ended, fault = commands[told](state), None
        if foul := ended.foul(*_CODES) if told != "verify" or ended.code not in (0, 4) else None:
            fault = foul
        elif ended.peak_bytes > PEAK_BYTES:
            fault = f"it took {ended.peak_bytes / 1e9:.1f} GB of memory"
        elif right is not None and ended.code == 0 and not _holds(state, right):
            fault = "exit code 0 with other files"
        if _everything(outside) != before:
            fault = f"{fault or ''} files outside of the folder were changed"
        row.add(kind, f"exit {ended.code}", f"{kind} as {name}, {told}: {fault}" if fault else None)


def _holds(state: Path, right: dict[str, str]) -> bool:
    """Whether a folder holds these files; a sparse one is not read."""
    return all(path.lstat().st_size < PEAK_BYTES for path in state.glob("set/*")) and visible(state) == right


def _everything(folder: Path) -> dict[str, tuple[int, int]]:
    """The size and the time of every entry below a folder."""
    entries = ((path, path.lstat()) for path in folder.rglob("*"))
    return {str(path): (found.st_size, found.st_mtime_ns) for path, found in entries}


def _outside(world: World) -> None:
    """What links of trials point to."""
    folder = world.folder / "outside-whole"
    if not folder.exists():
        (folder / "work").mkdir(parents=True)
        (folder / "new").mkdir()
        for name in ("file", "work/file", "new/file", "manifest.json"):
            (folder / name).write_text("foreign\n")


def _run(*arguments: str) -> Callable[[Path], Ended]:
    return lambda state: command(arguments, state, timeout=SECONDS)


def shards(world: World) -> Iterator[Row]:
    """Files of a set, and `.build` and its files."""
    row, started = Row("hostile: shards"), time.monotonic()
    world.warm()
    _outside(world)
    commands = {
        "verify": _run("verify", "set", "--deep"),
        "inspect": _run("inspect", "set"),
        "the loader": lambda state: loaded(state / "set", state, SECONDS),
        "a build": _run("shards", str(world.sources), "--to", "set", "--num-shards", "3"),
        "repair": _run("repair", "set"),
    }
    _tried(
        world,
        row,
        lambda: replaced(world.state, world.built),
        lambda state: sorted((state / "set").rglob("*")),
        commands,
        600,
    )
    row.seconds = time.monotonic() - started
    yield row


def builds(world: World) -> Iterator[Row]:
    """What a killed build left in `.build/`."""
    row, started = Row("hostile: .build of a killed build"), time.monotonic()
    if world.shim.missing:
        row.skipped = world.shim.missing
        yield row
        return
    world.warm()
    _outside(world)
    build = ("shards", str(world.sources), "--to", "set", "--num-shards", "3")
    kills = {}
    state = replaced(world.state, world.built)
    world.report.unlink(missing_ok=True)
    command(build, state, before=lambda: world.shim.arm(Arm("list", 0, state), world.report))
    operations, right = len(world.report.read_text().splitlines()), visible(state)
    for share in (0.4, 0.7, 0.8, 0.85, 0.9, 0.95):  # in the first pass, the second, and the commit
        number = int(operations * share)
        replaced(state, world.built)
        arm = Arm("kill", number, state)
        command(build, state, before=lambda arm=arm: world.shim.arm(arm, world.report))
        kills[number] = replaced(world.folder / f"killed-{number}", state)
    for number, killed in kills.items():
        _tried(
            world,
            row,
            lambda killed=killed: replaced(world.state, killed),
            lambda state: sorted((state / "set" / ".build").rglob("*")),
            {f"the next build, {number}": _run(*build)},
            80,
            right=right,
        )
    row.seconds = time.monotonic() - started
    yield row


def sources(world: World) -> Iterator[Row]:
    """A source; a pipe is left out, because a build waits for what is written into it."""
    row, started = Row("hostile: sources"), time.monotonic()
    world.warm()
    _outside(world)
    start = world.made("hostile-sources")
    replaced(start / "in", world.sources)
    commands = {
        "a build": _run("shards", "in", "--to", "set"),
        "a build of the file": _run("shards", "in/cat.ndjson", "--to", "set"),
        "--dry-run": _run("shards", "in", "--to", "set", "--dry-run"),
        "simplify": _run("simplify", "in", "--to", "simplified"),
    }
    kinds = tuple(kind for kind in KINDS if kind != "pipe")
    _tried(
        world,
        row,
        lambda: replaced(world.state, start),
        lambda state: [state / "in" / "cat.ndjson"],
        commands,
        100,
        kinds,
    )
    row.seconds = time.monotonic() - started
    yield row


def runs(world: World) -> Iterator[Row]:
    """Files of a run."""
    row, started = Row("hostile: runs"), time.monotonic()
    world.warm()
    _outside(world)
    run = ("--run", "runs/001")
    commands = {
        "runs": _run("runs"),
        "predict": _run("predict", "sketches/few/cat.ndjson", *run),
        "train --resume": _run("train", "--resume", *run, "--epochs", "2"),
    }
    _tried(
        world,
        row,
        lambda: replaced(world.state, world.trained),
        lambda state: sorted((state / "runs" / "001").rglob("*")),
        commands,
        300,
    )
    row.seconds = time.monotonic() - started
    yield row
