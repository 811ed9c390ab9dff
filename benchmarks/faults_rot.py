"""Flipped bits in every file that sketchpipe reads: the right bytes come out, or an error of one line."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from faults_trials import Arm, Ended, Row, cold, command, flip, hidden, replaced, visible
from faults_world import World, loaded

DAMAGE = (3, 4, 5)  # the exit codes of input that cannot be used, damage, and what does not belong together
SHARDS = ("shards", "in", "--to", "set", "--num-shards", "3")
BUILDS_EACH = 20  # of so many trials with a flipped compile cache of numba, one builds shards


def pieces(world: World) -> dict[str, Callable[[], Iterator[Row]]]:
    """Each piece by name."""
    return {
        "flips: sources, gzip": lambda: sources(world, "gzip"),
        "flips: sources, zstd": lambda: sources(world, "zstd"),
        "flips: sources, uncompressed": lambda: sources(world, "uncompressed"),
        "flips: .build between kill and resume": lambda: resumed(world),
        "flips: shards": lambda: shards(world),
        "flips: runs": lambda: runs(world),
        "flips: compile cache of JAX": lambda: jax_cache(world),
        "flips: compile cache of numba": lambda: numba_cache(world),
    }


def _files(folder: Path) -> list[Path]:
    """All files that are not empty, sorted."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]


def sources(world: World, form: str) -> Iterator[Row]:
    """A source with a flipped bit, over a set of shards of other options."""
    row, started = Row(f"flips: sources, {form}"), time.monotonic()
    world.warm()
    start = world.made(f"sources-{form}")
    (start / "in").mkdir()
    for path in world.sources.iterdir():
        shutil.copy(path, start / "in")
        if form != "uncompressed":
            _compress(start / "in" / path.name, form)
    assert command((*SHARDS, "--seed", "9"), start).code == 0
    state = replaced(world.state, start)
    assert command(SHARDS, state).code == 0
    old, new = visible(start / "set"), visible(state / "set")
    for _ in range(world.count(300)):
        replaced(state, start)
        victim = world.dice.choice(_files(state / "in"))
        where = f"{victim.name}, byte {flip(victim, world.dice)}: "
        ended, fault = command(SHARDS, state), None
        made = visible(state / "set")
        if foul := ended.foul(0, *DAMAGE):
            fault = foul
        elif ended.code and made != old:
            fault = f"exit code {ended.code}, and the old set is gone"
        elif not ended.code and form != "uncompressed" and made != new:
            fault = f"exit code 0 with other drawings: {ended.said.strip()[-200:]!r}"
        outcome = f"exit {ended.code}" if ended.code else "the right bytes" if made == new else "exit 0, unproved"
        row.add("a bit", outcome, where + fault if fault else None)
    row.seconds = time.monotonic() - started
    yield row


def _compress(path: Path, form: str) -> None:
    """Replace a file by its compressed form, of two members or frames, as tools write it."""
    lines = path.read_bytes().splitlines(keepends=True)
    parts = [b"".join(lines[: len(lines) // 2]), b"".join(lines[len(lines) // 2 :])]
    if form == "gzip":
        import gzip

        path.with_suffix(".ndjson.gz").write_bytes(b"".join(gzip.compress(part, mtime=0) for part in parts))
    else:
        import zstandard

        compressor = zstandard.ZstdCompressor(write_checksum=True)
        path.with_suffix(".ndjson.zst").write_bytes(b"".join(map(compressor.compress, parts)))
    path.unlink()


def resumed(world: World) -> Iterator[Row]:
    """A build that was killed, a bit in what it left in `.build/`, and the same command again."""
    row, started = Row("flips: .build between kill and resume"), time.monotonic()
    if world.shim.missing:
        row.skipped = world.shim.missing
        yield row
        return
    world.warm()
    arguments = ("shards", str(world.sources), "--to", "set", "--num-shards", "3")
    state = replaced(world.state, world.built)
    world.report.unlink(missing_ok=True)
    assert command(arguments, state, before=lambda: world.shim.arm(Arm("list", 0, state), world.report)).code == 0
    operations = len(world.report.read_text().splitlines())
    new, left = visible(state), hidden(state)
    tried = 0
    while tried < world.count(300):
        replaced(state, world.built)
        arm = Arm("kill", world.dice.randrange(operations // 10, operations), state)
        command(arguments, state, before=lambda arm=arm: world.shim.arm(arm, world.report))
        kept = [path for path in _files(state / "set" / ".build") if path.name != "lock"]
        if not kept:
            continue
        tried += 1
        # The name, not the file: otherwise all flips are in the largest group of files.
        name = world.dice.choice(sorted({re.sub(r"[\d-]+", "", path.name) for path in kept}))
        victim = world.dice.choice([path for path in kept if re.sub(r"[\d-]+", "", path.name) == name])
        where = f"killed at operation {arm.nth}, {victim.relative_to(state)}, byte {flip(victim, world.dice)}: "
        again, fault = command(arguments, state), None
        if foul := again.foul(0, *DAMAGE):
            fault = foul
        elif again.code == 0 and visible(state) != new:
            fault = "exit code 0 with other shards"
        elif again.code == 0 and (superfluous := sorted(hidden(state) - left)):
            fault = f"left behind: {superfluous[:3]}"
        outcome = "the right bytes" if again.code == 0 else f"exit {again.code}"
        row.add("staged shard" if name.endswith("parquet") else name, outcome, where + fault if fault else None)
    row.seconds = time.monotonic() - started
    yield row


def shards(world: World) -> Iterator[Row]:
    """A bit in any file of a set: `verify`, the loader, `inspect`, and then `repair`."""
    row, started = Row("flips: shards"), time.monotonic()
    world.warm()
    right, good = loaded(world.built / "set", world.built), visible(world.built)
    assert right.code == 0
    for _ in range(world.count(300)):
        state = replaced(world.state, world.built)
        victim = world.dice.choice(_files(state / "set"))
        where = f"{victim.relative_to(state)}, byte {flip(victim, world.dice)}: "
        outcome, fault = _read_shards(state, right, is_proved=".build" not in victim.parts)
        if fault is None:
            repaired = command(("repair", "set"), state)
            fault = repaired.foul(0, *DAMAGE)
            if fault is None and repaired.code == 0 and visible(state) != good:
                fault = f"`repair` made other files: {repaired.said.strip()[-200:]!r}"
            outcome += f", repair exit {repaired.code}"
        row.add("a bit", outcome, where + fault if fault else None)
    row.seconds = time.monotonic() - started
    yield row


def _read_shards(state: Path, right: Ended, is_proved: bool) -> tuple[str, str | None]:
    """How damaged shards are read, and what is wrong with that."""
    verified, read = command(("verify", "set"), state), loaded(state / "set", state)
    looked = command(("inspect", "set", "--json"), state)
    for name, ended in (("verify", verified), ("the loader", read), ("inspect", looked)):
        # `verify` names the damage on stdout, and so ends without a line on stderr.
        if foul := ended.foul(0, *DAMAGE) if name != "verify" or ended.code not in (0, 4) else None:
            return "", f"{name}: {foul}"
    if is_proved and verified.code != 4:
        return "", f"`verify` ends with {verified.code}"
    if read.code == 0 and read.out != right.out:
        return "", "the loader gives other drawings"
    return f"verify {verified.code}, loader {read.code}, inspect {looked.code}", None


def runs(world: World) -> Iterator[Row]:
    """A bit in any file of a run: `runs`, and `predict` with it."""
    row, started = Row("flips: runs"), time.monotonic()
    world.warm()
    predict = ("predict", "sketches/few/cat.ndjson", "--json", "--run", "runs/001")
    right = command(predict, world.trained)
    assert right.code == 0, right
    for _ in range(world.count(300)):
        state = replaced(world.state, world.trained)
        victim = world.dice.choice(_files(state / "runs" / "001"))
        where = f"{victim.relative_to(state)}, byte {flip(victim, world.dice)}: "
        listed, predicted = command(("runs", "--json"), state), command(predict, state)
        fault = None
        if foul := listed.foul(0, *DAMAGE) or predicted.foul(0, *DAMAGE):
            fault = foul
        elif predicted.code == 0 and predicted.out != right.out:
            fault = "`predict` gives other probabilities"
        outcome = f"runs {listed.code}, predict {predicted.code}"
        row.add("a bit", outcome, where + fault if fault else None)
    row.seconds = time.monotonic() - started
    yield row


def jax_cache(world: World) -> Iterator[Row]:
    """A bit in any file of JAX's compile cache, and then a prediction."""
    row, started = Row("flips: compile cache of JAX"), time.monotonic()
    world.warm()
    predict = ("predict", "sketches/few/cat.ndjson", "--json", "--run", "runs/001")
    cache, pristine = world.folder / "jax-cache", world.folder / "jax-cache-whole"
    environment = {"XDG_CACHE_HOME": str(cache)}
    right = command(predict, world.trained, environment=environment)
    assert right.code == 0, right
    shutil.copytree(cache / "sketchpipe" / "xla", pristine)
    for _ in range(world.count(300)):
        folder = replaced(cache / "sketchpipe" / "xla", pristine)
        if not (files := _files(folder)):
            row.skipped = "JAX kept nothing: all was compiled in less than a second"
            break
        victim = world.dice.choice(files)
        where = f"{victim.name}, byte {flip(victim, world.dice)}: "
        ended = command(predict, world.trained, environment=environment)
        fault = ended.foul(0)
        if fault is None and ended.out != right.out:
            fault = "`predict` gives other probabilities"
        row.add(f"a bit ({victim.suffix or 'entry'})", "the right answer", where + fault if fault else None)
    row.seconds = time.monotonic() - started
    yield row


def numba_cache(world: World) -> Iterator[Row]:
    """A bit in any file of numba's cache that a command uses, and then the command in a new process.

    Most trials verify shards, whose two kernels are soon compiled again; each twentieth builds shards, with a dozen.
    """
    row, started = Row("flips: compile cache of numba"), time.monotonic()
    cache, empty = world.folder / "numba-cache", world.made("nothing-built")
    environment = {"XDG_CACHE_HOME": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    verify, build = ("verify", "set", "--deep"), ("shards", str(world.sources), "--to", "set")
    prepared: dict[tuple[str, ...], tuple[Path, Ended, dict[str, str]]] = {}
    for trial in range(world.count(120 if world.is_sample else 300)):  # each in a process that loads everything anew
        arguments, start = (build, empty) if trial % BUILDS_EACH == BUILDS_EACH - 1 else (verify, world.built)
        if arguments not in prepared:
            _copy_kernels(cache)
            assert cold(arguments, replaced(world.state, start), environment).code == 0
            used = _used_by(arguments, replaced(world.state, start), environment, cache)
            for path in _files(cache):
                if path not in used:
                    path.unlink()
            whole = Path(shutil.copytree(cache, world.folder / f"numba-{arguments[0]}"))
            right = cold(arguments, replaced(world.state, start), environment)
            prepared[arguments] = whole, right, visible(world.state)
        whole, right, files = prepared[arguments]
        replaced(cache, whole)
        state, victim = replaced(world.state, start), world.dice.choice(_files(cache))
        where = f"{arguments[0]}, {victim.relative_to(cache)}, byte {flip(victim, world.dice)}: "
        ended = cold(arguments, state, environment)
        fault = ended.foul(0)
        if fault is None and (ended.out, visible(state)) != (right.out, files):
            fault = "another result"
        row.add(
            f"a bit ({victim.suffix or victim.name}), `{arguments[0]}`",
            "the right result",
            where + fault if fault else None,
        )
    row.seconds = time.monotonic() - started
    yield row


def _copy_kernels(cache: Path) -> None:
    """Make a cache of the kernels of these sources that the user's cache holds, which need not be compiled then."""
    import pipeline
    from pipeline.kernel_cache import digest_of, user_cache

    shutil.rmtree(cache, ignore_errors=True)
    for name in {digest_of(path) for path in Path(pipeline.__path__[0]).rglob("*.py")}:
        if (folder := user_cache("numba") / name).is_dir():
            shutil.copytree(folder, cache / "sketchpipe" / "numba" / name)


def _used_by(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], cache: Path) -> set[Path]:
    """The files of a cache that a command reads; all of them where that cannot be told."""
    past = 1_000_000_000
    every = _files(cache)
    for path in every:
        os.utime(path, (past, path.stat().st_mtime))
    if cold(arguments, cwd, environment).code:
        return set(every)
    read = {path for path in every if path.exists() and path.stat().st_atime > past}
    return read or set(every)
