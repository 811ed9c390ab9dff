"""What encodings, framing and augmentation are worth: validation top-1 of sketchnet on twelve animals.

    python benchmarks/encodings.py FOLDER [--epochs 8] [--seeds 2]

FOLDER holds Google's simplified ndjson of the twelve classes. Every run has the same shards, recipe and number of
epochs; seeds change weights, order and augmentation. Figures are of the last epoch, on the validation split: settings
are not compared on test. A line is printed as soon as a run is done, the table at the end.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from animals import ANIMALS, sketchpipe
from machine import machine, say

NEW = "prefix=0.2,dropout=0.1,jitter=1,line_width=0.8..1.25"
SETTINGS = {
    "palette, corner, the default augmentation": [],
    "order": ["--encoding", "order"],
    "gray": ["--encoding", "gray"],
    "palette, centred": ["--framing", "centred"],
    f"palette, and {NEW}": ["--augment", NEW],
    "palette, no augmentation": ["--augment", "off"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in SETTINGS}
    with tempfile.TemporaryDirectory() as work:
        sketchpipe(work, "shards", str(options.folder.resolve()), "--to", "shards", "--classes", ANIMALS)
        for seed in range(options.seeds):
            for name, arguments in SETTINGS.items():
                run = ["--run", f"runs/{seed}-{list(SETTINGS).index(name)}", "--seed", str(seed)]
                sketchpipe(work, "train", "--shards", "shards", *run, "--epochs", str(options.epochs), *arguments)
                lines = (Path(work) / run[1] / "metrics.jsonl").read_text().splitlines()
                found[name].append(json.loads(lines[-1])["validation_top1"])
                say(f"seed {seed}, {name}: {found[name][-1]:.1%}")
    print(f"{machine(('jax', 'flax', 'numba'))}, {options.epochs} epochs")
    print("| setting | validation top-1, each seed | mean |\n|---|---|---|")
    for name, scores in found.items():
        print(f"| {name} | {', '.join(f'{score:.1%}' for score in scores)} | {statistics.mean(scores):.1%} |")


if __name__ == "__main__":
    main()
