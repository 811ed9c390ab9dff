"""The Typer app."""
