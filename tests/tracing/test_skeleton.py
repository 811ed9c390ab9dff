"""How thinned lines are cut into pieces."""

import numpy as np
import pytest

from pipeline.tracing.skeleton import Piece, cut_pieces
from pipeline.tracing.thinning import thin

MANY = 1000


def pieces_of(*rows: str) -> list[Piece]:
    return cut_pieces(np.array([[letter == "#" for letter in row] for row in rows]), MANY)


def test_a_line_is_one_piece_from_end_to_end() -> None:
    (piece,) = pieces_of("....", "##..", "..##")
    assert piece.points.tolist() == [[0, 1], [1, 1], [2, 2], [3, 2]]
    assert piece.first != piece.last


def test_a_corner_is_crossed_by_its_sides_and_not_cut_short() -> None:
    (piece,) = pieces_of("#..", "#..", "###")
    assert len(piece.points) == 5


def test_a_closed_line_ends_where_it_begins() -> None:
    (piece,) = pieces_of(".##.", "#..#", ".##.")
    assert (piece.first, piece.last) == (-1, -1)
    assert piece.points[0].tolist() == piece.points[-1].tolist()
    assert len(piece.points) == 7


def test_a_pixel_without_neighbours_is_a_piece_of_one_point() -> None:
    assert [piece.points.tolist() for piece in pieces_of("...", ".#.", "...")] == [[[1, 1]]]


def test_three_pieces_meet_in_a_junction() -> None:
    pieces = pieces_of("..#..", "..#..", "#####")
    assert len(pieces) == 3
    junction = max({piece.first for piece in pieces}, key=[end for p in pieces for end in (p.first, p.last)].count)
    assert all(junction in (piece.first, piece.last) for piece in pieces)


def test_a_loop_on_a_line_is_a_piece_that_returns_to_its_junction() -> None:
    pieces = pieces_of("....#..", "####.#.", "....#..")
    assert sorted(piece.first == piece.last for piece in pieces) == [False, True]


def test_nothing_has_no_pieces() -> None:
    assert cut_pieces(np.zeros((3, 3), bool), MANY) == []
    assert cut_pieces(np.zeros((0, 0), bool), MANY) == []


def test_of_too_many_pieces_one_more_is_kept() -> None:
    assert len(cut_pieces(np.eye(2, 40, dtype=bool), MANY)) == 1
    assert len(cut_pieces(np.tile([[True, False]], (1, 20)), 7)) == 8


@pytest.mark.parametrize("seed", range(12))
def test_every_pixel_is_in_a_piece_and_only_nodes_are_in_several(seed: int) -> None:
    dice = np.random.default_rng(seed)
    ink = dice.random((18, 22)) < dice.random()
    lines = thin(ink) if seed % 3 else ink  # what is not thin must be cut into pieces too
    pieces = cut_pieces(lines, MANY)
    inside = [tuple(point) for piece in pieces for point in piece.points[1:-1].astype(int).tolist()]
    ends = {tuple(point) for piece in pieces for point in piece.points[[0, -1]].astype(int).tolist()}
    assert len(inside) == len(set(inside))
    assert not ends & set(inside)
    assert ends | set(inside) == {(x, y) for y, x in np.argwhere(lines).tolist()}
    for piece in pieces:
        steps = np.abs(np.diff(piece.points, axis=0))
        assert (steps.max(axis=1) == 1).all() if len(steps) else True
