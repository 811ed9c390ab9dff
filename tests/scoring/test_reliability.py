import math

import numpy as np
import pytest

from model.scoring.reliability import (
    BINS,
    COLDEST,
    HOTTEST,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    reliability_at,
)


def drawn(temperature: float, count: int = 5000, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that are as likely as these logits say at a temperature."""
    dice = np.random.default_rng(3)
    logits = dice.normal(scale=3, size=(count, classes)).astype(np.float32)
    p = np.exp(logits / temperature)
    labels = (np.cumsum(p / p.sum(axis=1, keepdims=True), axis=1) < dice.random((count, 1))).sum(axis=1)
    return logits, labels.astype(np.int32)


def naive_nll(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        scaled = [z / temperature for z in row]
        total += math.log(sum(math.exp(z) for z in scaled)) - scaled[label]
    return total / len(labels)


def naive_ece(confidence: np.ndarray, right: np.ndarray) -> float:
    error = 0.0
    for k in range(BINS):
        mine = [n for n, one in enumerate(confidence) if k / BINS < one <= (k + 1) / BINS]
        if mine:
            sure, hit = (sum(float(column[n]) for n in mine) / len(mine) for column in (confidence, right))
            error += len(mine) / len(confidence) * abs(sure - hit)
    return error


def test_calibration_error_is_that_of_the_slow_version_whole_or_in_parts() -> None:
    dice = np.random.default_rng(0)
    confidence, right = dice.random(500), dice.random(500) < 0.6
    found = reliability(confidence, right)
    assert found.ece == pytest.approx(naive_ece(confidence, right))
    assert found.drawings.sum() == 500
    parts = reliability(confidence[:123], right[:123]) + reliability(confidence[123:], right[123:])
    assert parts.ece == pytest.approx(found.ece)
    assert parts.mean_confidence == pytest.approx(confidence.mean())


def test_of_no_drawing_nothing_is_wrong_and_the_ends_have_their_bins() -> None:
    assert reliability([], []).ece == 0
    found = reliability([0.0, 1.0, np.float32(1.0000001)], [False, True, True])
    assert (found.drawings[0], found.drawings[-1], found.right[-1]) == (1, 2, 2)


def test_likelihood_is_that_of_the_slow_version() -> None:
    logits, labels = drawn(1.0, count=200)
    for temperature in (0.3, 1.0, 4.0):
        found = negative_log_likelihood(logits, labels, temperature)
        assert found == pytest.approx(naive_nll(logits, labels, temperature))
    assert np.isfinite(negative_log_likelihood(logits * 1000, labels))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    logits, labels = drawn(temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.05)  # 5,000 labels are so sure of it
    tried = np.geomspace(COLDEST, HOTTEST, 400)
    likelihoods = [negative_log_likelihood(logits, labels, one) for one in tried]
    assert negative_log_likelihood(logits, labels, found) <= min(likelihoods)
    assert reliability_at(logits, labels, found).ece < 0.03


def test_a_fit_ends_where_there_is_no_best_temperature() -> None:
    logits = np.eye(4, dtype=np.float32)
    every = np.arange(4, dtype=np.int32)
    assert fit_temperature(logits, every) == COLDEST  # all right: the surer the better
    assert fit_temperature(logits, (every + 1) % 4) == HOTTEST
    assert COLDEST <= fit_temperature(np.zeros((3, 4), np.float32), every[:3]) <= HOTTEST  # all are equal
