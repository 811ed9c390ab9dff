"""The confusion matrix for the report's page: a table, or an image if there are many classes."""

from typing import Any

import numpy as np

from model.report.gallery import data_uri
from model.report.order import similar_order
from pipeline.arrays import Int64Array
from pipeline.pictures.matrix import matrix_picture, row_shares

MOST_IN_TABLE = 30  # classes; the columns of more classes do not fit on the page


def matrix_for_page(confusion: Int64Array, classes: tuple[str, ...]) -> dict[str, Any]:
    """The values that the template shows of a (K, K) confusion matrix."""
    order = similar_order(confusion)
    if len(classes) > MOST_IN_TABLE:
        image = matrix_picture(confusion[np.ix_(order, order)], [classes[k] for k in order])
        numbers = {"words": classes, "rows": _sparse(confusion), "similar": order}
        return {"count": len(classes), "image": data_uri(image), "numbers": numbers}
    drawings, shares = confusion.sum(axis=1), row_shares(confusion)
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


def _sparse(confusion: Int64Array) -> list[list[int]]:
    """For each row the cells that are not 0, as a list of column, count, column, count, ..."""
    rows = []
    for row in confusion:
        columns = np.flatnonzero(row)
        rows.append(np.stack([columns, row[columns]], axis=1).ravel().tolist())
    return rows
