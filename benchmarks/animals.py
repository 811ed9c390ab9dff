"""Three networks with their defaults on twelve animals: top-1 on the test split, images a second, minutes.

    python benchmarks/animals.py FOLDER [NETWORK ...]

FOLDER holds Google's simplified ndjson of the twelve classes. All networks see the same shards and splits. Training is
the command `sketchpipe train` as a user runs it, in a folder of its own; minutes are its wall clock, compiling and
validation included, images a second those of its training epochs.
"""

import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ANIMALS = "dog,cat,horse,bird,flamingo,duck,scorpion,swan,owl,butterfly,mosquito,ant"
NETWORKS = ("sketch-classifier", "quickdraw-classifier", "sketchnet")


def main() -> None:
    source, networks = Path(sys.argv[1]).resolve(), sys.argv[2:] or NETWORKS
    versions = ", ".join(f"{name} {version(name)}" for name in ("sketchpipe", "jax", "flax", "numba"))
    print(f"{platform.platform()}, Python {platform.python_version()}, {versions}, {time.strftime('%Y-%m-%d')}")
    with tempfile.TemporaryDirectory() as work:
        sketchpipe(work, "shards", str(source), "--to", "shards", "--classes", ANIMALS)
        print("| network | parameters | epochs | test top-1 | top-3 | MAP@3 | images/s | minutes |")
        print("|---|---|---|---|---|---|---|---|")
        for network in networks:
            print(row(work, network), flush=True)


def row(work: str, network: str) -> str:
    """A network's line of the table."""
    run = f"runs/{network}"
    start = time.monotonic()
    sketchpipe(work, "train", "--shards", "shards", "--network", network, "--run", run)
    minutes = (time.monotonic() - start) / 60
    scores = json.loads(sketchpipe(work, "evaluate", "--run", run, "--json"))
    config = json.loads((Path(work) / run / "config.json").read_text())
    metrics = [json.loads(line) for line in (Path(work) / run / "metrics.jsonl").read_text().splitlines()]
    rates = sorted(one["images_per_second"] for one in metrics)
    table = sketchpipe(work, "networks", "--classes", str(len(config["classes"])))
    parameters = re.search(rf"^{network}.*; ([\d,]+) parameters", table, re.MULTILINE)
    assert parameters is not None
    return (
        f"| {network} | {parameters[1]} | {config['epochs']} | {scores['top1']:.1%} | {scores['top3']:.1%} "
        f"| {scores['map3']:.3f} | {rates[len(rates) // 2]:,.0f} | {minutes:.1f} |"
    )


def sketchpipe(folder: str, *args: str) -> str:
    """Run a command in `folder`; its progress goes to stderr, its output comes back."""
    command = [sys.executable, "-c", "from pipeline.cli.main import main; main()", *args]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
