"""`SketchpipeError` and its children; the command line turns each into one line and an exit code."""

from pipeline.wording import visible


class SketchpipeError(Exception):
    """Base of every error that a user can act on; its message is one line that says what, where and what to do."""

    exit_code = 3

    def __str__(self) -> str:
        """The message as a terminal only shows it, whoever prints it."""
        return visible(super().__str__())


class UsageError(SketchpipeError, ValueError):
    """An argument or a configuration that cannot be used."""

    exit_code = 2


class DivergedError(SketchpipeError):
    """Training whose loss or weights are no longer finite: its learning rate cannot be used."""

    exit_code = 2


class InputError(SketchpipeError):
    """Input that is missing or invalid."""


class DamagedError(SketchpipeError):
    """A file whose bytes are not those that were written, or do not match its checksum."""

    exit_code = 4


class ShardError(SketchpipeError):
    """A shard or a manifest that is damaged, or that sketchpipe did not make."""

    exit_code = 4


class CheckpointError(SketchpipeError):
    """A run's checkpoint that is damaged or incomplete."""

    exit_code = 4


class MismatchError(SketchpipeError, ValueError):
    """Two things that do not belong together: classes, configuration or format versions."""

    exit_code = 5


class OutputError(SketchpipeError):
    """A place that cannot be written."""

    exit_code = 6


class LockedError(SketchpipeError):
    """A folder that another process is writing."""

    exit_code = 7
