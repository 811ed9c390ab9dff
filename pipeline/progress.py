"""What long work tells of how far it is; who shows it, and how, is the caller's business."""

from typing import Protocol


class Progress(Protocol):
    """A function that long work calls again and again."""

    def __call__(
        self, step: str, done: float, total: float | None = None, /, *, unit: str = "", note: str = ""
    ) -> None:
        """Take note of how far a step is.

        Args:
            step: what is being done. The steps of one piece of work follow one another.
            done: how much of it is done, all together; the first call of a step tells what was done before.
            total: how much there is to do; None where that is not known.
            unit: of both: "B" for bytes, or a noun in the plural; "" where they are worth no number.
            note: what else is worth telling.
        """


def untold(_step: str, _done: float, _total: float | None = None, /, *, unit: str = "", note: str = "") -> None:
    """Progress that nobody follows."""
