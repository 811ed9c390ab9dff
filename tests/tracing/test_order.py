"""How order and directions are guessed."""

import numpy as np

from pipeline.arrays import Float64Array
from pipeline.tracing.order import STROKE_FEATURES, guessed_orders, longest_first, stroke_features
from pipeline.tracing.read import GUESSES, guesses_of

SHORT, LONG, DOT = np.array([[9.0, 9.0], [0.0, 0.0]]), np.array([[80.0, 0.0], [0.0, 10.0]]), np.array([[40.0, 70.0]])


def as_sets(strokes: list[Float64Array]) -> list[list[list[float]]]:
    """The strokes without their order and directions."""
    return sorted(sorted(stroke.tolist()) for stroke in strokes)


def test_the_first_guess_begins_with_the_longest_stroke_and_goes_right_and_down() -> None:
    first, second = longest_first([SHORT, LONG])
    assert (first[0].tolist(), second[0].tolist()) == ([0, 10], [0, 0])
    assert [one.tolist() for one in guessed_orders([SHORT, LONG], 3)[0]] == [first.tolist(), second.tolist()]


def test_every_guess_has_every_stroke_once_and_they_differ() -> None:
    guesses = guessed_orders([SHORT, LONG, DOT], 20)
    assert [as_sets(guess) for guess in guesses] == [as_sets([SHORT, LONG, DOT])] * 20
    assert len({str(guess) for guess in guesses}) > 3
    again = guessed_orders([SHORT, LONG, DOT], 20)
    assert [str(guess) for guess in guesses] == [str(guess) for guess in again]


def test_features_do_not_depend_on_place_and_size() -> None:
    features, ends = stroke_features([SHORT, LONG, DOT])
    moved, moved_ends = stroke_features([7 * stroke + 100 for stroke in (SHORT, LONG, DOT)])
    assert features.shape == (6, len(STROKE_FEATURES))
    np.testing.assert_allclose(features, moved, atol=1e-12)
    np.testing.assert_allclose(ends, moved_ends, atol=1e-12)
    assert (features[:3, -2:] == -features[3:, -2:]).all()


def test_guesses_are_drawings_with_one_key_id() -> None:
    guesses = guesses_of([SHORT, LONG, DOT], "a.png")
    assert len(guesses) == GUESSES
    assert len(set(guesses.key_id.tolist())) == 1
    assert {len(guesses.strokes(k)) for k in range(GUESSES)} == {3}
    assert guesses.words == [""]
