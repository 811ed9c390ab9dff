import dataclasses
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.errors import InvalidRngError

from model.config import Recipe, TrainConfig, default_batch, default_epochs
from model.networks import (
    Dropout,
    SketchNet,
    forward_flops,
    halve,
    make_config,
    make_network,
    parameter_table,
)
from model.specs import NETWORKS, network_cost
from model.training.optimizer import make_tx
from pipeline.errors import UsageError

WORDS = ("ant", "bird", "cat")


def random_images(count: int, size: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def init_of(network: nn.Module, images: Any) -> Any:
    return jax.jit(partial(network.init, train=False))(jax.random.key(0), images)


def tiny_sketchnet(axis_name: str | None = None) -> SketchNet:
    return SketchNet(classes=3, axis_name=axis_name, stem_width=4, widths=(8,), blocks=(1,))


@pytest.mark.parametrize("classes", [12, 19, 345])
def test_sketch_classifier_has_exactly_the_parameters_of_its_original(classes: int) -> None:
    rows, total = parameter_table("sketch-classifier", classes)
    assert [row.parameters for row in rows] == [304, 808, 1352 * classes + classes]
    assert total == 304 + 808 + 1353 * classes


@pytest.mark.parametrize("classes", [2, 100])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_costs_on_file_are_those_of_the_networks(name: str, classes: int) -> None:
    rows, total, flops = network_cost(name, classes)
    assert (rows, total) == parameter_table(name, classes), "run `make docs`"
    assert flops == pytest.approx(forward_flops(name, classes), rel=0.02)  # versions of XLA count a little differently


def test_quickdraw_classifier_has_16_32_and_64_channels_and_200_units() -> None:
    rows, _ = parameter_table("quickdraw-classifier", 10)
    assert [row.shape for row in rows] == [(3, 3, 3, 16), (3, 3, 16, 32), (3, 3, 32, 64), (4096, 200), (200, 10)]


def test_sketchnet_stays_under_a_million_parameters_with_every_class() -> None:
    rows, total = parameter_table("sketchnet", 345)
    assert rows[0].layer == "stem"
    assert rows[-1].layer == "dense"
    assert sum(row.parameters for row in rows) == total <= 1_000_000


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_logits_and_parameters_are_float32_whatever_the_network_computes_in(name: str, dtype: Any) -> None:
    network = make_network(name, 12, dtype=dtype)
    images = jnp.zeros((4, 64, 64, 3), jnp.uint8)
    logits, variables = jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), images, train=False))
    assert (logits.shape, logits.dtype) == ((4, 12), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_table_counts_the_parameters_that_init_makes(name: str) -> None:
    network = make_network(name, 5)
    images = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    params = jax.eval_shape(lambda: network.init(jax.random.key(0), images, train=False))["params"]
    assert parameter_table(name, 5)[1] == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_the_cost_of_a_forward_pass_is_that_of_its_multiplications_and_a_little_more() -> None:
    # Multiplications and additions of two convolutions without padding and of a dense layer.
    counted = 2 * (60 * 60 * 4 * 5 * 5 * 3 + 26 * 26 * 8 * 5 * 5 * 4 + 1352 * 12)
    assert counted <= forward_flops("sketch-classifier", 12) < 1.05 * counted


def test_the_larger_networks_cost_more_each() -> None:
    costs = [forward_flops(name, 345) for name in ("sketchnet", "sketchnet-base", "sketchnet-large")]
    assert costs[0] * 10 < costs[1] < costs[2]


def test_dropout_leaves_out_its_share_of_each_drawing_and_keeps_the_mean() -> None:
    layer, x = Dropout(0.25, axis_name=None), jnp.ones((200, 50))
    found = np.asarray(layer.apply({}, x, train=True, rngs={"dropout": jax.random.key(3)}))
    assert set(np.unique(found)) == {np.float32(0), np.float32(1 / 0.75)}
    # 10,000 draws of one in four: a standard error of 0.0043.
    assert (found == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert len({row.tobytes() for row in found}) == 200
    np.testing.assert_array_equal(layer.apply({}, x, train=False), x)


def test_a_dropout_mask_belongs_to_the_place_in_the_global_batch() -> None:
    x, key = jnp.ones((6, 40)), jax.random.key(1)
    whole = Dropout(0.5, axis_name=None).apply({}, x, train=True, rngs={"dropout": key})
    shared = jax.vmap(
        lambda part: Dropout(0.5, axis_name="devices").apply({}, part, train=True, rngs={"dropout": key}),
        axis_name="devices",
    )(x.reshape(3, 2, 40))
    np.testing.assert_array_equal(shared.reshape(6, 40), whole)


def test_a_network_is_trained_by_the_recipe_and_for_the_epochs_of_another() -> None:
    own = make_config("quickdraw-classifier", WORDS, drawings=12_000)
    ours = make_config("quickdraw-classifier", WORDS, drawings=12_000, recipe="sketchnet")
    sketchnet = make_config("sketchnet", WORDS, drawings=12_000)
    assert ours == dataclasses.replace(sketchnet, network="quickdraw-classifier")
    assert (own.optimizer, own.encoding, own.framing) == ("adam", "palette", "corner")
    with pytest.raises(UsageError, match="no network is called 'sketchy'"):
        make_config("quickdraw-classifier", WORDS, drawings=12_000, recipe="sketchy")


def test_an_unknown_network_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="no network is called 'sketchnets': did you mean 'sketchnet'"):
        make_network("sketchnets", 3)
    with pytest.raises(UsageError, match="no network is called 'resnet50': there are sketchnet, "):
        make_network("resnet50", 3)


def test_halving_takes_the_largest_of_every_four_and_leaves_out_an_odd_edge() -> None:
    x = np.random.default_rng(1).normal(size=(2, 5, 6, 3)).astype(np.float32)
    naive = np.stack([[x[:, i : i + 2, j : j + 2].max(axis=(1, 2)) for j in (0, 2, 4)] for i in (0, 2)])
    np.testing.assert_array_equal(halve(jnp.asarray(x)), naive.transpose(2, 0, 1, 3))


def test_dropout_needs_a_key_only_in_training() -> None:
    network = make_network("quickdraw-classifier", 3)
    images = random_images(2, size=16)
    variables = init_of(network, images)
    evaluate, train = (partial(network.apply, train=mode) for mode in (False, True))
    evaluated = [jax.jit(evaluate)(variables, images) for _ in range(2)]
    np.testing.assert_array_equal(*evaluated)
    with pytest.raises(InvalidRngError, match="dropout"):
        jax.eval_shape(train, variables, images)
    trained = jax.jit(train)(variables, images, rngs={"dropout": jax.random.key(1)})
    assert not np.array_equal(trained, evaluated[0])


def test_batch_statistics_change_only_in_training() -> None:
    network, images = tiny_sketchnet(), random_images(4, size=32)
    variables = init_of(network, images)
    for train in (False, True):
        apply = jax.jit(partial(network.apply, train=train, mutable=["batch_stats"]))
        _, changed = apply(variables, images)
        same = jax.tree.map(np.array_equal, changed["batch_stats"], variables["batch_stats"])
        assert all(jax.tree.leaves(same)) is not train


def test_batch_statistics_over_an_axis_are_those_of_the_whole_batch() -> None:
    whole, halves = tiny_sketchnet(), tiny_sketchnet(axis_name="devices")
    images = jnp.asarray(random_images(8, size=32))
    variables = init_of(whole, images)

    def logits_of(network: SketchNet, images: jax.Array) -> jax.Array:
        return network.apply(variables, images, train=True, mutable=["batch_stats"])[0]

    mapped = jax.vmap(partial(logits_of, halves), axis_name="devices")
    split = jax.jit(mapped)(images.reshape(2, 4, 32, 32, 3))
    together = jax.jit(partial(logits_of, whole))(images)
    # Sums in another order: float32 rounding, a few layers deep.
    np.testing.assert_allclose(split.reshape(8, 3), together, atol=1e-4)


def test_training_a_tiny_sketchnet_on_one_batch_lowers_its_loss() -> None:
    config = make_config("sketchnet", WORDS, drawings=16, epochs=10)
    network, tx = tiny_sketchnet(), make_tx(config, steps_per_epoch=2)
    labels = np.arange(16) % 3
    images = random_images(16, size=32)
    images[np.arange(16), ..., labels] = 255  # the channel tells the class
    variables = init_of(network, images)

    @jax.jit
    def step(params: Any, batch_stats: Any, opt_state: Any) -> tuple[Any, ...]:
        def loss_fn(params: Any) -> Any:
            variables = {"params": params, "batch_stats": batch_stats}
            logits, changed = network.apply(variables, images, train=True, mutable=["batch_stats"])
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), changed["batch_stats"]

        (loss, changed), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), changed, opt_state, loss

    params, batch_stats = variables["params"], variables["batch_stats"]
    opt_state, losses = jax.jit(tx.init)(params), []
    for _ in range(20):
        params, batch_stats, opt_state, loss = step(params, batch_stats, opt_state)
        losses.append(float(loss))
    assert losses[-1] < 0.75 * losses[0]


def test_weights_decay_but_biases_and_norms_do_not() -> None:
    tx = make_tx(make_config("sketchnet", WORDS, drawings=10_000), steps_per_epoch=10)
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    grads = jax.tree.map(jnp.zeros_like, params)
    updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
    assert (updates["kernel"] < 0).all()
    assert (updates["bias"] == 0).all()


def test_a_run_of_one_step_moves_the_weights() -> None:
    tx = make_tx(make_config("sketchnet", WORDS, drawings=10, epochs=1), steps_per_epoch=1)
    params = {"kernel": jnp.ones((2, 2))}
    updates, _ = tx.update(params, tx.init(params), params)
    assert (updates["kernel"] != 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_configuration_survives_json(name: str) -> None:
    config = make_config(name, ("café", *WORDS), drawings=12_000, seed=7)
    assert TrainConfig.from_json(config.to_json()) == config


def test_a_configuration_takes_the_recipe_of_its_network_and_then_the_changes() -> None:
    config = make_config("quickdraw-classifier", WORDS, drawings=12_000, lr=0.01)
    assert (config.optimizer, config.batch, config.lr, config.augment) == ("adam", 64, 0.01, "off")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer must be adam or adamw, found 'sgd'"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"lr": float("nan")}, "lr must be above 0"),
        ({"lr": "fast"}, "lr must be a number, found 'fast'"),
        ({"batch": 0}, "batch must be at least 1, found 0"),
        ({"batch": 12.5}, "batch must be int"),
        ({"weight_decay": -0.1}, "weight_decay must lie in"),
        ({"optimizer": "adam"}, "adam has no weight decay"),
        ({"schedule": "constant"}, "a constant schedule has no warmup"),
        ({"schedule": "step"}, "schedule must be constant or cosine"),
        ({"warmup": 1.0}, "warmup must lie in"),
        ({"label_smoothing": 1.0}, "label_smoothing must lie in"),
        ({"augment": 1}, "augment must be str"),
        ({"augment": "rotate=3"}, "did you mean 'rotation'"),
        ({"encoding": "grey"}, "expected one of palette, order, gray"),
        ({"framing": "left"}, "framing must be corner or centred"),
        ({"precision": "float16"}, "precision must be float32 or bfloat16"),
        ({"classes": ("ant",)}, "at least 2 classes"),
        ({"classes": ("ant", "ant")}, "a class must be named once"),
        ({"classes": "ant"}, "classes must be a tuple of words"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"seed": -1}, "seed must lie in"),
        ({"image_size": 60}, "image_size must be a multiple of 16"),
        ({"line_width": 0.0}, "line_width must lie in"),
    ],
)
def test_a_configuration_refuses_what_cannot_be_trained(change: dict[str, Any], message: str) -> None:
    config = make_config("sketchnet", WORDS, drawings=12_000)
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(config, **change)


def test_a_stored_configuration_must_have_every_field_and_no_other() -> None:
    text = make_config("sketchnet", WORDS, drawings=12_000).to_json()
    with pytest.raises(UsageError, match="lacks lr"):
        TrainConfig.from_json(text.replace('"lr": 0.008,', ""))
    with pytest.raises(UsageError, match="unknown fields: momentum"):
        TrainConfig.from_json(text.replace("{", '{"momentum": 0.9,', 1))
    with pytest.raises(UsageError, match="must be a JSON object, found list"):
        TrainConfig.from_json("[]")
    with pytest.raises(UsageError, match="is not JSON"):
        TrainConfig.from_json("{")


def test_more_drawings_never_get_more_epochs_and_always_get_one() -> None:
    epochs = [default_epochs(drawings) for drawings in (0, 1, 100, 6_400, 12_000, 100_000, 1_000_000, 50_000_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[-1] == 2
    assert default_epochs(10**10) == 1


def test_few_drawings_get_a_smaller_batch() -> None:
    assert default_batch(1024, 12_000) == 128
    assert default_batch(1024, 70_000) == 1024
    assert default_batch(128, 300) == 32
    assert default_batch(128, 3) == 8
    assert Recipe(batch=default_batch(64, 1)).batch == 8
