"""A tiny model that learnt to find the planes of the toy datasets."""

from __future__ import annotations

from pathlib import Path


def trained(folder: Path, task: str, metric: str) -> Path:
    """The ``best.pt`` in ``folder`` of a short training with the loss of ``task``, ranked by ``metric`` of hrplanes."""
    from raytune_planes.records import Goal, Objective
    from raytune_planes.training.loop import train
    from tests.toy import toy_config, toy_data, toy_prompts

    goal = Goal((Objective(f"val/hrplanes/{metric}"),))
    upright = {f"datasets__hrplanes__augment__{name}": 0.0 for name in ("rotate", "scale")}
    upright |= {f"losses__{task}__weight": 1.0, "datasets__hrplanes__share": 4.0, "optim__lr": 0.005}
    config = toy_config(budget__epochs=4, budget__steps_per_epoch=60, datasets__hrplanes__tile=64, **upright)
    train(config, toy_data(), toy_prompts(), goal, report=lambda _, checkpoint: checkpoint.save(folder))
    return folder / "best.pt"
