"""Flax networks, their training, evaluation and use on the batches that `pipeline` feeds.

>>> import model
>>> run = model.load_run("runs/001-sketchnet")  # doctest: +SKIP
>>> probabilities = run.predict(drawings)  # doctest: +SKIP

JAX is imported when `load_run` is first used.
"""

TYPE_CHECKING = False  # importing `typing` takes longer than all that this module does; mypy knows the name

__all__ = ["load_run"]

if TYPE_CHECKING:
    from model.scoring.predict import load_run
else:

    def __getattr__(name):
        if name != "load_run":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from model.scoring.predict import load_run

        globals()[name] = load_run
        return load_run

    def __dir__():
        return sorted({*globals(), *__all__})
