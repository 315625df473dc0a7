"""Warnings for settings that are valid and rarely intended."""

from __future__ import annotations

from raytune_planes.config.trial import TrialConfig


def cautions(config: TrialConfig) -> tuple[str, ...]:
    """Empty where there is nothing to warn of."""
    if config.split.kind != "holdout" and config.start:
        return (
            f"start = {config.start} with split.kind = {config.split.kind}: where that checkpoint was trained on these "
            "pictures, it has seen some that validate now, and their metrics are too high",
        )
    learnt = False  # whether the encoder holds what any training has found
    for name, stage in config.staged:
        backbone = stage.model.backbone
        learnt = learnt or backbone.weights != "random" or bool(stage.start)
        if (backbone.freeze or "backbone" in stage.frozen) and not learnt:
            held = "model.backbone.freeze" if backbone.freeze else "freeze"
            return (
                f"{f'stages.{name}.' if name else ''}{held} keeps an encoder whose weights are random "
                f"(model.backbone.kind = {backbone.kind}): the tasks learn on features that no training has found; set "
                "model.backbone.weights=pretrained or start, or let the encoder learn",
            )
        learnt = True
    return ()
