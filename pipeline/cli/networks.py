"""`sketchpipe networks`."""

from typing import Annotated

import typer


def networks(classes: Annotated[int, typer.Option(help="Number of classes of the last layer.")] = 10) -> None:
    """List the networks with their recipes, parameters and cost.

    Reads nothing; writes to stdout.

    Example: sketchpipe networks --classes 345
    """
    from dataclasses import asdict

    from model.specs import DEFAULT_NETWORK, NETWORKS, network_cost
    from pipeline.cli.options import show
    from pipeline.errors import UsageError
    from pipeline.wording import counted

    if classes < 1:
        raise UsageError(f"classes {classes}: expected 1 or more")
    for name, spec in NETWORKS.items():
        rows, total, flops = network_cost(name, classes)
        default = " (the default)" if name == DEFAULT_NETWORK else ""
        show(f"{name}{default}: {spec.description}; {total:,} parameters for {counted(classes, 'class', 'classes')}")
        show(f"  cost: {flops / 1e6:,.1f} MFLOP for each image forward, three times that in training")
        show(
            f"  epochs: {spec.epochs} for 6,000 to 12,000 drawings; fewer drawings get more epochs, more drawings fewer"
        )
        show("  recipe: " + ", ".join(f"{key} {value}" for key, value in asdict(spec.recipe).items()))
        for row in rows:
            show(f"  {row.layer:<24} {'x'.join(map(str, row.shape)):>14} {row.parameters:>10,}")
        show("")
