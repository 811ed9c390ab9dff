"""The command line: one short module a stage, heavy imports inside the commands."""
