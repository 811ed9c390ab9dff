"""`Progress`: how long work reports its progress. The caller decides whether and how to show it."""

from typing import Protocol


class Progress(Protocol):
    """A function that long work calls repeatedly."""

    def __call__(
        self, step: str, done: float, total: float | None = None, /, *, unit: str = "", note: str = ""
    ) -> None:
        """Receive the progress of a step.

        Args:
            step: what is being done. The steps of one piece of work follow one another.
            done: how much of it is done in total; the first call of a step says how much was done before.
            total: how much there is to do; None if that is unknown.
            unit: the unit of both: "B" for bytes, or a noun in the plural; "" if the numbers should not be shown.
            note: what else to show.
        """


def untold(_step: str, _done: float, _total: float | None = None, /, *, unit: str = "", note: str = "") -> None:
    """Ignore all progress."""
