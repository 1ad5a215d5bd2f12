"""The commands around the encoder, attached to `clinbert`."""

import typer

from . import (
    cli_abbreviations,
    cli_ablate,
    cli_abstractive,
    cli_attach,
    cli_classes,
    cli_graph,
    cli_link,
    cli_overlap,
    cli_pretrain,
)

WITH_OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}


def attach(app: typer.Typer) -> None:
    """Add the commands to an app."""
    app.command()(cli_graph.build_graph)
    app.command()(cli_link.build_kb)
    app.command()(cli_link.link_fit)
    app.command()(cli_link.link_score)
    app.command()(cli_abbreviations.build_abbreviations)
    app.command(context_settings=WITH_OVERRIDES)(cli_pretrain.pretrain)
    app.command()(cli_pretrain.lm_score)
    app.command()(cli_pretrain.pair_score)
    app.command(context_settings=WITH_OVERRIDES)(cli_pretrain.lm_speed)
    app.command(context_settings=WITH_OVERRIDES)(cli_abstractive.train_abstractive)
    app.command()(cli_abstractive.abstract_score)
    app.command()(cli_overlap.overlap)
    app.command()(cli_attach.attach_score)
    app.command()(cli_classes.classify_bench)
    app.command(context_settings=WITH_OVERRIDES)(cli_ablate.ablate)
