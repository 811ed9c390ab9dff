"""What the pieces of benchmarks/faults.py start from: sources, folders of shards, a run, a server, a warm process."""

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import random
import shutil
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from faults_trials import Ended, Shim, command, flip, forked

import pipeline

NETWORK = ("--network", "sketch-classifier", "--batch", "64", "--device", "cpu")
SMALL_SEGMENTS = 48 << 10  # bytes; a build of a few thousand drawings then has some twenty, as one of millions has
SAMPLE_SHARE, SAMPLE_LEAST = 60, 2  # of the trials of each kind, --quick makes one in so many, and at least so many
OTHER_FORMS = "".join(
    f'{{"word": "cat", {field}"drawing": {strokes}}}\n'
    for field in ("", '"key_id": 1, "timestamp": 1, "recognized": 1, ')
    for strokes in ("[[[1, 2.5], [3, 400], [0, 9]]]", "[[[1, 2.5, 0], [3, 4, 1]]]", "[[1, 2, 0], [3, 400, 1]]")
)


class World:
    """A folder in which everything is made when it is first asked for.

    Attributes:
        folder: the folder.
        dice: chooses operations, bits and moments.
        shim: the faults that can be armed in children.
        trials: the most trials of a kind in a piece; None for its usual number.
        is_sample: whether to make only a small share of them.
    """

    def __init__(self, folder: Path, seed: int, trials: int | None, is_sample: bool, shim: Shim) -> None:
        self.folder, self.trials, self.is_sample, self.shim = folder, trials, is_sample, shim
        self.seed, self.dice = seed, random.Random(seed)
        self.state = folder / "state"  # in which each trial begins anew
        self.report = folder / "report"  # what the shim tells
        self._warm: set[str] = set()

    def count(self, usual: int) -> int:
        """How many trials of a kind to make."""
        if self.trials is not None:
            return min(usual, self.trials)
        return max(SAMPLE_LEAST, usual // SAMPLE_SHARE) if self.is_sample else usual

    @cached_property
    def sources(self) -> Path:
        """A folder of ndjson: three words, with rejects, duplicates and drawings without key_ids."""
        folder = self.folder / "in"
        folder.mkdir()
        for number, word in enumerate(("cat", "dog", "hot dog")):
            lines = list(ndjson(word, 1200, number))
            bare = [json.dumps({name: json.loads(line)[name] for name in ("word", "drawing")}) for line in lines[:20]]
            text = "\n".join([*lines[:50], "{bad", *lines, *bare])
            (folder / f"{word}.ndjson").write_text(text + "\n")
        return folder

    @cached_property
    def built(self) -> Path:
        """A folder that holds `set`, shards of `sources`."""
        return self.made("built", ("shards", str(self.sources), "--to", "set", "--num-shards", "2", "--seed", "5"))

    @cached_property
    def trained(self) -> Path:
        """A folder that holds `shards/few`, of the built-in sample, and a run of one epoch on them, `runs/001`."""
        self.warm_jax()
        return self.made(
            "trained",
            ("sample", "--to", "sketches/few", "--drawings-per-class", "60"),
            ("shards", "sketches/few"),
            ("train", "--shards", "shards/few", *NETWORK, "--epochs", "1", "--run", "runs/001"),
        )

    def made(self, name: str, *commands: tuple[str, ...]) -> Path:
        """A folder in which commands were run."""
        folder = self.folder / name
        folder.mkdir()
        for arguments in commands:
            ended = command(arguments, folder, timeout=300)
            if ended.code:
                sys.exit(f"faults: {' '.join(arguments)}: exit code {ended.code}: {ended.said}")
        return folder

    def damaged(self, by: str = "built") -> Path:
        """A copy of `built` with a flipped bit in one shard, and without another."""
        folder = Path(shutil.copytree(self.built, self.folder / f"{by}-damaged"))
        first, second, *_ = sorted(folder.glob("set/train-*"))
        flip(first, random.Random(self.seed))
        second.unlink()
        return folder

    def warm(self) -> None:
        """Load all kernels and libraries of `pipeline` into this process, so that forked children have them."""
        if "pipeline" in self._warm:
            return
        self._warm.add("pipeline")
        for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
            importlib.import_module(module.name)

        for name, value in (("segment_bytes", SMALL_SEGMENTS), ("chunk_bytes", 1 << 20), ("row_group_rows", 512)):
            object.__setattr__(pipeline.shards.options.USUAL_SIZES, name, value)
        folder = self.folder / "warm"
        folder.mkdir()
        (folder / "in").mkdir()
        (folder / "in" / "cat.ndjson").write_text(OTHER_FORMS)  # lines that flipped bits make call these kernels too
        for arguments in (
            ("shards", "in", "--to", "others"),
            ("shards", str(self.sources), "--to", "set", "--workers", "1"),
            ("verify", "set", "--deep"),
            ("inspect", "set"),
            ("render", "pictures", "set", "--to", "pictures", "--drawings-per-class", "1"),
            ("render", "pictures", "set", "--to", "arrays", "--drawings-per-class", "1", "--format", "npy"),
            ("simplify", str(self.sources), "--to", "simplified"),
        ):
            in_this_process(arguments, folder)
        shutil.rmtree(folder)
        gc.collect()
        gc.freeze()

    def warm_jax(self) -> None:
        """Import JAX, Flax and `model`, without starting JAX's backend, whose threads a fork would lose."""
        if "jax" in self._warm:
            return
        self._warm.add("jax")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # small networks compile quickly
        import flax.linen
        import jax
        import optax  # noqa: F401 - this process and its children use it through `model`

        import model.scoring.loaded
        import model.training.sweep
        import model.training.train  # noqa: F401 - children that are forked find it imported

        assert flax.linen
        assert jax
        gc.collect()
        gc.freeze()

    @contextlib.contextmanager
    def bucket(self, words: dict[str, bytes]) -> Iterator[str]:
        """A server of files as Google's bucket is one, in a process of its own; gives its address."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            from tests.download.bucket_server import serve

            try:
                with serve() as bucket:
                    for word, content in words.items():
                        bucket.put(word, content)
                    os.write(writing, bucket.url.encode())
                    os.close(writing)
                    os.close(reading)
                    bucket.closed.wait(3600)
            finally:
                os._exit(0)
        os.close(writing)
        try:
            with os.fdopen(reading) as file:
                yield file.read()
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


def ndjson(word: str, count: int, seed: int) -> Iterator[str]:
    """Lines of drawings as Google's."""
    dice = random.Random(seed)
    for _ in range(count):
        strokes = [
            [[dice.randrange(256) for _ in range(points)] for _ in "xy"]
            for points in (dice.randint(2, 12) for _ in range(dice.randint(1, 4)))
        ]
        line = {
            "word": word,
            "countrycode": dice.choice(("US", "DE", "FI")),
            "timestamp": f"2017-03-{dice.randint(1, 28):02} 10:{dice.randrange(60):02}:00.12345 UTC",
            "recognized": dice.random() < 0.9,
            "key_id": str(dice.randrange(1 << 42) << 21),
            "drawing": strokes,
        }
        yield json.dumps(line)


def in_this_process(arguments: tuple[str, ...], cwd: Path) -> None:
    """Run a command here, which must succeed."""
    from pipeline.cli.main import run

    before, argv = Path.cwd(), sys.argv
    out, said = io.StringIO(), io.StringIO()
    code: object = 0
    try:
        os.chdir(cwd)
        sys.argv = ["sketchpipe", *arguments]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            run()
    except SystemExit as ended:
        code = ended.code
    finally:
        os.chdir(before)
        sys.argv = argv
    if code:
        sys.exit(f"faults: {' '.join(arguments)}: exit code {code}: {said.getvalue()}")


def loaded(folder: Path, cwd: Path, timeout: float = 60.0) -> Ended:
    """What a loader reads of a folder of shards, as one hash on stdout, in a forked child."""

    def work() -> None:
        import hashlib

        from pipeline.errors import SketchpipeError
        from pipeline.shards.read import open_split

        digest = hashlib.sha256()
        try:
            for name in ("train", "validation", "test"):
                split = open_split(folder, name)
                for group in range(len(split.row_groups)):
                    packed = split.read_packed(group)
                    for part in vars(packed).values():
                        digest.update(part.tobytes() if hasattr(part, "tobytes") else repr(part).encode())
        except SketchpipeError as error:
            os.write(2, f"sketchpipe: {error}\n".encode())
            sys.exit(error.exit_code)
        os.write(1, digest.hexdigest().encode())

    return forked(work, cwd=cwd, timeout=timeout)
