"""From Quick, Draw! strokes to shards, and from shards to batches of rendered images. Does not import JAX.

>>> import pipeline
>>> drawings = pipeline.read_drawings("cat.ndjson")  # doctest: +SKIP
>>> images = pipeline.render(drawings, size=64, encoding="order")  # doctest: +SKIP

Modules are imported when one of these names is first used.
"""

TYPE_CHECKING = False  # mypy knows this name; importing `typing` takes longer than the rest of this module

__all__ = [
    "Augmentation",
    "Drawings",
    "Loader",
    "RenderConfig",
    "SketchpipeError",
    "build_shards",
    "from_strokes",
    "open_split",
    "read_drawings",
    "render",
]

if TYPE_CHECKING:
    from pipeline.drawings import Drawings, from_strokes
    from pipeline.errors import SketchpipeError
    from pipeline.loading.loader import Loader
    from pipeline.rendering.augment import Augmentation
    from pipeline.rendering.render import RenderConfig, render
    from pipeline.shards.library import build_shards
    from pipeline.shards.read import open_split
    from pipeline.sources.read import read_drawings
else:
    _HOMES = {
        "Augmentation": "pipeline.rendering.augment",
        "Drawings": "pipeline.drawings",
        "Loader": "pipeline.loading.loader",
        "RenderConfig": "pipeline.rendering.render",
        "SketchpipeError": "pipeline.errors",
        "build_shards": "pipeline.shards.library",
        "from_strokes": "pipeline.drawings",
        "open_split": "pipeline.shards.read",
        "read_drawings": "pipeline.sources.read",
        "render": "pipeline.rendering.render",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        found = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
        return found

    def __dir__():
        return sorted({*globals(), *__all__})
