"""What a page computes with: its kernels, the numbers that they need to know, and its weights."""

from dataclasses import dataclass
from typing import Any

from model.export.plan import Plan, make_plan
from model.kernels.vectors import WIDTH_ANYWHERE
from model.scoring.loaded import LoadedRun, rounded
from pipeline.browser.kernels import STACK_BYTES, Exported
from pipeline.rendering.augment_kernels import CANVAS
from pipeline.rendering.outline_kernels import BLOCK, FIELDS, POINT_ROWS
from pipeline.rendering.raster import encoding_of
from pipeline.rendering.simd import LANES
from pipeline.sources.limits import MAX_POINTS
from pipeline.sources.scanner.simplify import MAX_SAMPLES

KERNELS = (
    Exported(
        "simplify",
        "pipeline.sources.scanner.simplify",
        "simplify_strokes",
        (*["float64[]"] * 4, *["int64[]"] * 2, "int64", *["uint8[]"] * 2, *["int64"] * 2),
    ),
    Exported(
        "centre",
        "pipeline.rendering.augment_kernels",
        "centre_drawings",
        (*["uint8[]"] * 2, *["int64[]"] * 2, "float64", "int64[]", *["float32[]"] * 2),
    ),
    Exported(
        "render",
        "pipeline.rendering.raster_kernels",
        "render_drawings",
        (
            *["float32[]"] * 2, *["int64[]"] * 2, "float32[]", "float32", "uint8[,]", "bool", "float32[,]", "uint8[,]",
            "float32[]", "uint8[]", "int64", "int64", "uint8[]",
        ),
    ),
    Exported("run", "model.kernels.forward", "run_network", ("uint8[]", "int64[]", "float32[]", "float32[]")),
)  # fmt: skip


@dataclass(frozen=True)
class PageEngine:
    """A run as a page computes it.

    Attributes:
        loaded: the run, with weights that are rounded to half precision.
        plan: its network's operations.
        fields: what `engine.js` has to know, as JSON.
        weights: the bytes of all kernels as float16, then of all scales and shifts as float32, little-endian.
    """

    loaded: LoadedRun
    plan: Plan
    fields: dict[str, Any]
    weights: bytes


def make_engine(loaded: LoadedRun) -> PageEngine:
    """What a page needs to compute a run's probabilities.

    Raises:
        CheckpointError: a weight is not finite in half precision.
        MismatchError: a page cannot run this network.
    """
    loaded = rounded(loaded)
    plan = make_plan(loaded.run.config, loaded.variables, WIDTH_ANYWHERE)
    render = loaded.run.config.render_config()
    encoding = encoding_of(render.encoding)
    fields = {
        "stack": STACK_BYTES,
        "samples": MAX_SAMPLES,
        "points": MAX_POINTS,
        "lanes": LANES,
        "block": BLOCK,
        "fields": FIELDS,
        "rows": POINT_ROWS,
        "table": encoding.table.reshape(-1).tolist(),
        "by_segment": int(encoding.by_segment),
        "line_width": render.width,
        "room": None if render.margin is None else CANVAS - 2 * render.margin,
        "plan": plan.rows.tolist(),
        "halves": len(plan.kernels),
        "scales": len(plan.scales),
        "floats": plan.floats,
        "logits": plan.logits,
        "temperature": loaded.temperature,
    }
    weights = plan.kernels.astype("<f2").tobytes() + plan.scales.astype("<f4").tobytes()
    return PageEngine(loaded, plan, fields, weights)
