"""Compares settings of sketchnet and of its training pairwise by validation top-1 on real drawings.

    python benchmarks/settings.py QUICKDRAW [--only NAME ...] [--seeds N] [--results FILE]

QUICKDRAW holds Google's simplified ndjson in simplified/. Each setting of `settings_table.py` changes one thing of
another setting. All are trained on the same twelve animals, split 60 : 30 : 10, so that 4,379 validation drawings
compare two settings and the test split, the same tenth as everywhere, is never used. Figures are of the last epoch. A
difference is taken to the other setting's run of the same seed. Its standard error counts the drawings that only one of
the two runs classifies correctly; the variation between seeds is not included.

A finished run is a line of FILE, written and printed when it ends. The same command resumes where it was interrupted;
it trains again those runs that FILE has with another setting of that name, other epochs or other drawings.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from accuracy import ANIMALS, sketchpipe
from machine import machine, say
from settings_networks import Variant
from settings_table import SETTINGS, Setting

from model.config import TrainConfig
from model.scoring.evaluate import EVAL_BATCH
from model.training.optimizer import make_tx
from pipeline.loading.loader import Loader, LoaderConfig
from pipeline.shards.read import open_split

SPLITS = "0.6,0.3,0.1"
Bools = NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickdraw", type=Path)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, metavar="NAME", default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="epochs of every setting, for a trial")
    parser.add_argument("--results", type=Path, help="file of finished runs, a JSON object on each line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        results = options.results or Path(work) / "results.jsonl"
        source = str(options.quickdraw.resolve() / "simplified")
        sketchpipe(work, "shards", source, "--to", "shards", "--classes", ANIMALS, "--splits", SPLITS)
        checksum = open_split(Path(work) / "shards", "train").manifest.checksum
        for seed in range(options.seeds):
            for name in options.only:
                setting = replace(SETTINGS[name], epochs=options.epochs or SETTINGS[name].epochs)
                run = {"name": name, "seed": seed, "setting": asdict(setting), "shards": checksum}
                if any(run.items() <= one.items() for one in read(results)):
                    continue
                found = train(setting, Path(work) / "shards", seed)
                with results.open("a") as file:
                    file.write(json.dumps({**run, **found}) + "\n")
                say(f"{name}, seed {seed}: {found['top1']:.2%} ({found['images_per_second']:,.0f} images/s)")
        print(f"{machine(('jax', 'flax', 'numba'))}\n" + "\n".join(table(read(results))))


def read(results: Path) -> list[dict[str, Any]]:
    """The finished runs in a file of results."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def train(setting: Setting, shards: Path, seed: int) -> dict[str, Any]:
    """Train a setting and score it on the validation split."""
    split, validation = open_split(shards, "train"), open_split(shards, "validation")
    classes = split.manifest.classes
    config = TrainConfig(
        network="sketchnet", classes=tuple(classes), seed=seed, epochs=setting.epochs,
        line_width=setting.line_width, image_size=setting.size, **setting.recipe,
    )  # fmt: skip
    render = config.render_config()
    loader = Loader(split, LoaderConfig(config.batch, render=render, augmentation=config.augmentation(), seed=seed))
    network = Variant(classes=len(classes), **setting.network)
    tx = make_tx(config, len(loader))
    images = jnp.zeros((1, render.size, render.size, render.channels), jnp.uint8)
    variables = jax.jit(partial(network.init, train=False))(jax.random.key(seed), images)
    state = (variables, tx.init(variables["params"]), jax.tree.map(jnp.copy, variables["params"]))
    step = jax.jit(partial(train_step, network=network, tx=tx, config=config, setting=setting), donate_argnums=0)
    start = time.perf_counter()
    for count, (images, labels) in enumerate(batches(loader, config.epochs)):
        state, accuracy = step(state, images, labels, count)
        accuracy.block_until_ready()
        if count == 0:  # the first step compiles
            start = time.perf_counter()
    seconds = time.perf_counter() - start
    variables, _, average = state
    if setting.average:
        variables = {**variables, "params": average}
    right = scored(network, variables, Loader(validation, LoaderConfig(EVAL_BATCH, render=render)))
    return {
        "top1": float(right.mean()),
        "right": np.packbits(right).tobytes().hex(),
        "drawings": len(right),
        "train_accuracy": float(accuracy),
        "images_per_second": (config.epochs * len(loader) - 1) * config.batch / seconds,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }


def batches(loader: Loader, epochs: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    """The images and labels of all epochs; a batch's arrays are valid until the next batch is requested."""
    for epoch in range(epochs):
        for batch in loader.epoch(epoch, 0):
            yield batch.images, batch.labels
            loader.give_back(batch)


def train_step(
    state: Any, images: jax.Array, labels: jax.Array, count: jax.Array, *,
    network: Variant, tx: optax.GradientTransformation, config: TrainConfig, setting: Setting,
) -> tuple[Any, jax.Array]:  # fmt: skip
    """The step of `sketchpipe train`, with mixup and a running average of the weights."""
    variables, opt_state, average = state
    dropout, mixing = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), count))
    x = images.astype(jnp.float32)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, len(config.classes)), config.label_smoothing)
    if setting.mixup:
        share = jax.random.beta(mixing, setting.mixup, setting.mixup)
        x, targets = (share * one + (1 - share) * one[::-1] for one in (x, targets))

    def loss_fn(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        given = {**variables, "params": params}
        logits, changed = network.apply(given, x, train=True, rngs={"dropout": dropout}, mutable=["batch_stats"])
        return optax.softmax_cross_entropy(logits, targets).mean(), (logits, changed["batch_stats"])

    (_, (logits, batch_stats)), grads = jax.value_and_grad(loss_fn, has_aux=True)(variables["params"])
    updates, opt_state = tx.update(grads, opt_state, variables["params"])
    params = optax.apply_updates(variables["params"], updates)
    if setting.average:
        decay = jnp.minimum(setting.average, (1 + count) / (10 + count))
        average = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, average, params)
    return ({"params": params, "batch_stats": batch_stats}, opt_state, average), (logits.argmax(-1) == labels).mean()


def scored(network: Variant, variables: Any, loader: Loader) -> Bools:
    """Whether each drawing of the split, in its order, is classified correctly, (N,)."""
    logits_of = jax.jit(partial(network.apply, train=False))
    right = []
    for batch in loader.once(None):
        best = np.asarray(logits_of(variables, batch.images)).argmax(axis=1)
        right.append((best == batch.labels)[batch.mask])
        loader.give_back(batch)
    return np.concatenate(right)


def table(results: list[dict[str, Any]]) -> list[str]:
    """The lines of a markdown table, in the order of `SETTINGS`."""
    by_name: dict[str, dict[int, dict[str, Any]]] = {}
    for one in results:  # of two results for one run the later counts
        by_name.setdefault(one["name"], {})[one["seed"]] = one
    lines = ["| setting | epochs | validation top-1 | against | worth, points | parameters |"]
    lines.append("|---|---|---|---|---|---|")
    for name in (name for name in SETTINGS if name in by_name):
        runs, against = by_name[name], SETTINGS[name].against
        base = by_name.get(against or "", {})
        worth = ", ".join(compared(runs[seed], base[seed]) for seed in runs if seed in base) or "-"
        top1 = ", ".join(f"{one['top1']:.1%}" for one in runs.values())
        any_run = next(iter(runs.values()))
        lines.append(
            f"| {name} | {any_run['setting']['epochs']} | {top1} | {against or '-'} | {worth} "
            f"| {any_run['parameters']:,} |"
        )
    return lines


def compared(one: dict[str, Any], base: dict[str, Any]) -> str:
    """The difference in points of two runs scored on the same drawings, and its standard error (McNemar's)."""
    right, was = (np.unpackbits(np.frombuffer(bytes.fromhex(run["right"]), np.uint8)) for run in (one, base))
    gained, lost = int((right > was).sum()), int((right < was).sum())
    drawings = one["drawings"]
    error = (gained + lost - (gained - lost) ** 2 / drawings) ** 0.5 / drawings
    return f"{100 * (gained - lost) / drawings:+.1f} ± {100 * error:.1f}"


if __name__ == "__main__":
    main()
