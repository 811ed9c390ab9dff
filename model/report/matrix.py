"""The confusion matrix for the page: a table that can be read, or of many classes a picture and what it is made of."""

from typing import Any

import numpy as np

from model.report.gallery import data_uri
from model.report.order import similar_order
from pipeline.arrays import Int64Array, UInt8Array

MOST_IN_TABLE = 30  # classes; more do not fit beside each other
_PICTURE_PIXELS = 690
_FAINTEST = 0.2  # of a cell that is not 0; page.js has the same
_WHITE, _BLUE, _ORANGE = np.array([255, 255, 255]), np.array([0, 114, 178]), np.array([213, 94, 0])


def matrix_for_page(confusion: Int64Array, classes: tuple[str, ...]) -> dict[str, Any]:
    """What the template shows of a (K, K) confusion."""
    order = similar_order(confusion)
    if len(classes) > MOST_IN_TABLE:
        return {"count": len(classes), "picture": data_uri(picture_of(confusion, order)), "told": {
            "words": classes, "rows": _sparse(confusion), "similar": order,
        }}  # fmt: skip
    drawings, shares = confusion.sum(axis=1), shares_of(confusion)
    return {
        "words": [classes[k] for k in order],
        "labels": order,
        "rows": [
            {
                "label": label,
                "word": classes[label],
                "drawings": int(drawings[label]),
                "cells": [
                    {
                        "label": named,
                        "word": classes[named],
                        "count": int(confusion[label, named]),
                        "share": float(shares[label, named]),
                        "depth": float(np.sqrt(shares[label, named])),
                    }
                    for named in order
                ],
            }
            for label in order
        ],
    }


def shares_of(confusion: Int64Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(K, K) float64, of each row the shares of its drawings; 0 where it has none."""
    shares: np.ndarray[Any, np.dtype[np.float64]] = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return shares


def picture_of(confusion: Int64Array, order: list[int]) -> UInt8Array:
    """(H, W, 3) uint8, the matrix in an order of its classes, some pixels a cell: blue is right, orange wrong."""
    depth = np.sqrt(shares_of(confusion))[np.ix_(order, order)]
    depth = np.where(depth > 0, np.maximum(depth, _FAINTEST), 0)[:, :, None]
    ink = np.where(np.eye(len(order), dtype=bool)[:, :, None], _BLUE, _ORANGE)
    image = np.round(_WHITE + depth * (ink - _WHITE)).astype(np.uint8)
    size = max(1, _PICTURE_PIXELS // len(order))
    return np.repeat(np.repeat(image, size, axis=0), size, axis=1)


def _sparse(confusion: Int64Array) -> list[list[int]]:
    """Of each row its cells that are not 0, column, count, column, count, ..."""
    rows = []
    for row in confusion:
        columns = np.flatnonzero(row)
        rows.append(np.stack([columns, row[columns]], axis=1).ravel().tolist())
    return rows
