"""PyTorch's side of benchmarks/training.py: the networks of `model/networks.py` and a tuned CPU loop.

    python benchmarks/training_torch.py STORE REFERENCE eager|compiled

REFERENCE is the file that benchmarks/training_sketchpipe.py wrote: weights, drawings, logits. Layers have the same
names as in Flax; `TORCH_NAMES` and `AXES` say how each array is converted. Before anything is timed, parameters are
counted, and logits and loss are compared. The fastest settings are found by trial and named in the table: channels_last
or contiguous, a fused or a foreach optimizer, one thread or as many as cores; then a DataLoader with 0, 1 or 2 workers
over the drawings of STORE, which OpenCV draws a batch at a time (benchmarks/feed_torch.py), with either number of
threads. Images are passed as bytes and scaled by the network, and denormals are flushed to zero. The schedule, label
smoothing, dropout and weight decay are the recipe's; a step also counts correct predictions.
"""
# ruff: noqa: D101, D102 - networks and layers are their namesakes in model/networks.py

import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from training import Rounds, quickest, serve, share_of_rate

try:
    import cv2
    import torch
    import torch.nn.functional as functional
    from feed_store import Store, read_store
    from feed_torch import Batches, unchanged
    from torch import Tensor, nn
    from torch.utils.data import DataLoader
except ImportError as error:
    print(json.dumps({"missing": str(error)}), flush=True)
    sys.exit()
from pipeline.threads import core_count

# Flax's name of an array, and PyTorch's.
TORCH_NAMES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
AXES = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}  # for kernels (height, width, in, out) and (in, out), and for vectors
# Relative to the largest logit. In training PyTorch's logits with channels_last differ by 4e-5, because of its batch
# variances; Flax's, and PyTorch's contiguous ones, are within 1e-6 of float64.
TOLERANCES = {"eval": 1e-5, "train": 2e-4}
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
OPTIMIZERS = {"eager": ("fused", "foreach"), "compiled": ("fused",)}  # the optimizer is not part of the compiled step
WORKERS = (0, 1, 2)
THREADS = tuple(dict.fromkeys((1, core_count())))


class Network(nn.Module):
    """A network whose features all have one memory layout."""

    layout = torch.channels_last

    def scaled(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) float32, 0-1, of (B, H, W, 3) uint8."""
        return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=self.layout).div_(255)


class SketchClassifier(Network):
    def __init__(self, classes: int, image_size: int) -> None:
        super().__init__()
        side = ((image_size - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(3, 4, 5)
        self.conv2 = nn.Conv2d(4, 8, 5)
        self.dense = nn.Linear(side * side * 8, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = halve(functional.relu_(self.conv1(self.scaled(images))))
        x = halve(functional.relu_(self.conv2(x)))
        return self.dense(flattened(x))


class QuickdrawClassifier(Network):
    def __init__(self, classes: int, image_size: int) -> None:
        super().__init__()
        for layer, (before, width) in enumerate(itertools.pairwise((3, 16, 32, 64)), start=1):
            self.add_module(f"conv{layer}", nn.Conv2d(before, width, 3, padding=1))
        self.dense1 = nn.Linear((image_size // 8) ** 2 * 64, 200)
        self.dense2 = nn.Linear(200, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.scaled(images)
        for conv in (self.conv1, self.conv2, self.conv3):
            x = halve(functional.relu_(conv(x)))
        x = functional.dropout(flattened(x), 0.5, self.training)
        return self.dense2(functional.relu_(self.dense1(x)))


class SketchNet(Network):
    def __init__(
        self, classes: int, image_size: int, stem_width: int, stem_pooled: bool, widths: list[int], blocks: list[int]
    ) -> None:
        assert image_size % 2 == 0  # the stem's padding is right for even sizes only
        super().__init__()
        self.stem, self.stem_pooled = nn.Conv2d(3, stem_width, 5, stride=2, bias=False), stem_pooled
        self.stem_norm = nn.BatchNorm2d(stem_width)
        before = stem_width
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
            for block in range(1, count + 1):
                self.add_module(f"stage{stage}_block{block}", ResidualBlock(before, width, stage > 1 and block == 1))
                before = width
        self.dense = nn.Linear(before, classes)

    def forward(self, images: Tensor) -> Tensor:
        # Flax pads unequally at stride 2, PyTorch equally on both sides; bytes are padded because that is fastest.
        x = self.stem(self.scaled(functional.pad(images, (0, 0, 1, 2, 1, 2))))
        x = functional.relu_(self.stem_norm(halve(x) if self.stem_pooled else x))
        for block in self.children():
            if isinstance(block, ResidualBlock):
                x = block(x)
        return self.dense(x.mean((2, 3)))


class ResidualBlock(nn.Module):
    def __init__(self, before: int, width: int, halved: bool) -> None:
        super().__init__()
        self.halved, self.widened = halved, before != width
        self.conv1 = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        if self.widened:
            self.shortcut, self.shortcut_norm = nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = halve(x) if self.halved else x
        y = self.norm2(self.conv2(functional.relu_(self.norm1(self.conv1(x)))))
        return functional.relu_(y.add_(self.shortcut_norm(self.shortcut(x)) if self.widened else x))


def halve(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 2)


def flattened(x: Tensor) -> Tensor:
    """Features flattened pixel by pixel as in Flax, which costs nothing with channels_last."""
    return x.permute(0, 2, 3, 1).flatten(1)


NETWORKS = {network.__name__: network for network in (SketchNet, SketchClassifier, QuickdrawClassifier)}


@dataclass(frozen=True)
class Reference:
    """The reference that sketchpipe's side wrote.

    Attributes:
        settings: the network's class and fields, its number of parameters, the recipe, the number of steps.
        arrays: weights by their Flax paths, drawings, logits and losses.
    """

    settings: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    @classmethod
    def read(cls, path: Path) -> "Reference":
        arrays = dict(np.load(path))
        return cls(json.loads(str(arrays.pop("settings"))), arrays)

    def network(self, kind: str, layout: torch.memory_format) -> Network:
        """The network with the weights "start" or "check"; exits if names, shapes or counts differ."""
        size = self.settings["recipe"]["image_size"]
        network = NETWORKS[self.settings["network"]](image_size=size, **self.settings["fields"])
        state = {}
        for path, array in self.arrays.items():
            if path.startswith(f"{kind}/"):
                *layer, leaf = path.split("/")[2:]  # after "start/params"
                state[".".join([*layer, TORCH_NAMES[leaf]])] = torch.tensor(array.transpose(AXES[array.ndim]))
        lacking, unknown = network.load_state_dict(state, strict=False)
        count = sum(parameter.numel() for parameter in network.parameters())
        if unknown or any(not name.endswith("num_batches_tracked") for name in lacking):
            sys.exit(f"WRONG: arrays {lacking} are missing, {unknown} are unknown")
        if count != self.settings["parameters"]:
            sys.exit(f"WRONG: {count} parameters, expected {self.settings['parameters']}")
        network.layout = layout
        return network.to(memory_format=layout)

    def check(self, layout: torch.memory_format) -> float:
        """Exit unless logits and loss equal Flax's; returns the largest difference, relative to the largest logit."""
        network = self.network("check", layout)
        images, labels = self.batch()
        worst = 0.0
        for mode, tolerance in TOLERANCES.items():
            if f"{mode}/logits" in self.arrays:
                expected = torch.tensor(self.arrays[f"{mode}/logits"])
                with torch.no_grad():
                    logits = network.train(mode == "train")(images)
                    loss = functional.cross_entropy(logits, labels, label_smoothing=self.smoothing)
                off = float((logits - expected).abs().max() / expected.abs().max())
                loss_off = abs(float(loss) / float(self.arrays[f"{mode}/loss"]) - 1)
                worst = max(worst, off)
                if not max(off, loss_off) < tolerance:
                    sys.exit(f"WRONG: in {mode} mode logits are off by {off:.2g}, the loss by {loss_off:.2g}")
        return worst

    def batch(self) -> tuple[Tensor, Tensor]:
        """Drawings, (B, H, W, 3) uint8, and labels, (B,) int64."""
        return torch.tensor(self.arrays["images"]), torch.tensor(self.arrays["labels"]).long()

    @property
    def smoothing(self) -> float:
        return float(self.settings["recipe"]["label_smoothing"])


class Training:
    """A network being trained with the recipe's optimizer, schedule and loss."""

    def __init__(self, reference: Reference, layout: torch.memory_format, kind: str, *, compiled: bool) -> None:
        self.network = reference.network("start", layout).train()
        self.smoothing = reference.smoothing
        self.optimizer = make_optimizer(self.network, reference.settings["recipe"], kind)
        share = share_of_rate(reference.settings["recipe"], reference.settings["steps"])
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, share)
        self.forward = torch.compile(self.loss_of, dynamic=False) if compiled else self.loss_of

    def loss_of(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(images)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        return functional.cross_entropy(logits, labels, label_smoothing=self.smoothing), accuracy

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss, _ = self.forward(images, labels)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.detach()

    def steps_of(self, loader: Any) -> Iterator[None]:
        """Train a step at a time, epoch after epoch; the loss is checked when an epoch ends."""
        while True:
            for images, labels, _ in loader:
                loss = self.step(images, labels.long())
                yield
            if not math.isfinite(float(loss)):
                sys.exit("WRONG: the loss is not finite")


def make_optimizer(network: Network, recipe: dict[str, Any], kind: str) -> torch.optim.Optimizer:
    """The recipe's Adam or AdamW, which decays arrays of two or more axes; `kind` is "fused" or "foreach"."""
    if recipe["optimizer"] == "adam":
        return torch.optim.Adam(network.parameters(), recipe["lr"], **{kind: True})
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    groups = [{"params": kernels, "weight_decay": recipe["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, recipe["lr"], betas=(0.9, 0.99), **{kind: True})


def main() -> None:
    store, reference, mode = read_store(Path(sys.argv[1])), Reference.read(Path(sys.argv[2])), sys.argv[3]
    torch.set_num_threads(core_count())  # for the first steps
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    cv2.setNumThreads(1)
    off = max(reference.check(layout) for layout in LAYOUTS.values())
    resident, batch = reference.batch(), reference.settings["recipe"]["batch"]
    trainings: dict[str, Training] = {}
    first_steps = []
    steps: Rounds = {}
    loops: Rounds = {}
    for layout, optimizer in itertools.product(LAYOUTS, OPTIMIZERS[mode]):
        start = time.perf_counter()
        training = Training(reference, LAYOUTS[layout], optimizer, compiled=mode == "compiled")
        training.step(*resident)
        first_steps.append(time.perf_counter() - start)
        for threads in THREADS:
            name = f"{layout}, {optimizer}, threads={threads}"
            trainings[name], steps[name] = training, partial(on_threads, threads, training.step, *resident)
    chosen = quickest(steps, batch)
    for count in WORKERS:
        loop = trainings[chosen].steps_of(make_loader(store, batch, count))
        loops |= {f"num_workers={count}, threads={n}": partial(on_threads, n, next, loop) for n in THREADS}
    workers = quickest(loops, batch)
    rounds = {"step": steps[chosen], "loop": loops[workers]}
    del loop, loops  # which ends the workers of the other loops
    versions = f"torch {torch.__version__}, OpenCV {cv2.__version__}"
    named = f"step: {chosen}; loop: {workers}"
    ready = {"first_step": max(first_steps), "chosen": named, "off": off, "versions": versions}
    serve(ready, rounds, lambda: None, batch)


def on_threads(count: int, step: Callable[..., object], *args: Any) -> None:
    """Make a step on `count` threads."""
    torch.set_num_threads(count)
    step(*args)


def make_loader(store: Store, batch: int, workers: int) -> "DataLoader[Any]":
    """Batches of drawings in memory, in a new order each epoch."""
    options = {"shuffle": True, "drop_last": True, "collate_fn": unchanged, "persistent_workers": workers > 0}
    return DataLoader(Batches(store), batch, num_workers=workers, **options)


if __name__ == "__main__":
    main()
