"""Warnings for settings that are valid and rarely intended."""

from __future__ import annotations

from raytune_planes.config.trial import TrialConfig

LONG = 200
"""Steps of an epoch from which on shorter ones are advised; below, trainings would mostly validate."""
MOST = 64
"""Parts that an epoch is advised to be cut into, at most."""


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
    return tuple(text for name, stage in config.staged if (text := _seldom(name, stage)))


def _seldom(name: str, stage: TrialConfig) -> str:
    """Where epochs are so long that early stopping decides late or never: shorter ones with as many steps in all."""
    budget, plateau = stage.budget, stage.stopping.plateau
    stops = [dataset.stop for dataset in stage.active.values() if dataset.share > 0]
    if stage.stopping.rule == "none" or budget.steps_per_epoch < LONG:
        return ""
    late = [stop for stop in stops if stop.is_late(plateau, budget.epochs)]
    parts = (n for n in range(2, MOST + 1) if not any(stop.is_late(plateau, n * budget.epochs) for stop in late))
    if not late or not (cut := next(parts, 0)):
        return ""
    of, first = f"stages.{name}." if name else "", min(stop.earliest_rest(plateau, budget.epochs) for stop in late)
    when = f"after epoch {first} of {budget.epochs}" if first < budget.epochs else f"in none of {budget.epochs} epochs"
    return (
        f"{of}stopping.rule = {stage.stopping.rule} decides after each epoch, and epochs of "
        f"{budget.steps_per_epoch:,} steps are long for that: a dataset can rest {when} at the earliest; "
        f"{of}budget.epochs={cut * budget.epochs} with {of}budget.steps_per_epoch={budget.steps_per_epoch // cut} "
        f"trains as long and decides {cut} times as often"
    )
