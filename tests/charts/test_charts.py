import warnings

import matplotlib as mpl
import numpy as np

from model.charts.prediction import plot_prediction
from model.charts.style import as_png, readable
from model.report.figures import prefix_chart, reliability_chart, strokes_chart
from model.scoring.reliability import reliability
from pipeline.drawings import from_strokes

MINE = {"text.usetex": True, "axes.facecolor": "red", "lines.linewidth": 9, "font.size": 30, "legend.fontsize": 30}


def everything() -> list[bytes | str]:
    from model.networks import make_config

    found = reliability([0.2, 0.9, 0.8], [False, True, True])
    drawing = from_strokes([[[[0, 255, 40], [10, 20, 200]]]], ["b"])
    config = make_config("sketchnet", ("a", "b"), drawings=100)
    return [
        reliability_chart(found, found),
        strokes_chart([(1, 1, 5, 2), (2, 2, 5, 3)]),
        prefix_chart(np.array([1, 2]), np.array([2, 3]), np.array([0.1, 0.2]), 4),
        as_png(plot_prediction(drawing, config, np.array([0.25, 0.75], np.float32))),
        readable("The Great Wall of China", 1),
    ]


def test_charts_are_the_same_whatever_a_users_matplotlibrc_says() -> None:
    plain = everything()
    with mpl.rc_context(MINE), warnings.catch_warnings():
        assert everything() == plain
        assert mpl.rcParams["text.usetex"] is True
