"""What a study would do: what it varies, with which resources, how long it takes and how much disk; nothing starts."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_planes.commands.arguments import share_of_gpus
from raytune_planes.commands.study_space import settings_of, space_of
from raytune_planes.config import TrialConfig
from raytune_planes.printing import counted, roughly, size_text
from raytune_planes.processors import allowed
from raytune_planes.settings import make_config
from raytune_planes.space import RungSettings, Space, StudySettings, describe, long_budget, longer
from raytune_planes.tuning.pools import Needs

if TYPE_CHECKING:
    from raytune_planes.tuning.disk import Need


def run(args: argparse.Namespace) -> int:
    """Tell it all, each part as soon as it is known. Raises UserError: what ``tune`` would refuse."""
    space, _ = space_of(args)
    if args.learn_from and not args.resume:
        from raytune_planes.learning import earlier_studies  # pandas, by whom it serves alone

        earlier_studies(args.out, args.learn_from)
    settings = settings_of(space, args)
    config = make_config(space.fixed, space.start, {"devices.threads": args.cpus_per_worker})
    _say(describe(replace(space, study=settings)))
    at_once = _resources(args)
    _say("Measuring: some pictures are decoded and some steps trained, for the estimates; this takes a minute or less")
    told = _costs(args, space, config)
    pace = told["samples_per_hour"] * args.workers / 3600
    samples = samples_of(space, settings, told["trial_samples"], references=not args.no_references)
    _say(_time(samples, pace * at_once, settings))
    _disk(args, space, settings, config, told, at_once)
    _say("Nothing was started; leave out --dry-run to start it")
    return 0


def _costs(args: argparse.Namespace, space: Space, config: TrialConfig) -> dict[str, Any]:
    """What all datasets cost together; tells of each before. Raises UserError."""
    from raytune_planes.commands.data_estimate import of_datasets  # torch, after all that is known without it
    from raytune_planes.preparation.data import data_folder, reader_of
    from raytune_planes.preparation.measured import refuse_unmeasured

    data = data_folder(args.data, args.cache, args.cache_limit)
    readers = {name: reader_of(name, d, data, args.cache, _say) for name, d in config.active.items()}
    listings = {name: reader.scan() for name, reader in readers.items()}
    refuse_unmeasured(space.goal, {name: listing.info for name, listing in listings.items()})
    training: dict[str, Any] = of_datasets(listings, readers, config, _say)["training"]
    return training


def _disk(
    args: argparse.Namespace,
    space: Space,
    settings: StudySettings,
    config: TrialConfig,
    told: Mapping[str, Any],
    at_once: int,
) -> None:
    """Tell what the study writes. Raises UserError: that does not fit."""
    from raytune_planes.training.size import Size
    from raytune_planes.tuning.disk import need, refuse_small_disk
    from raytune_planes.tuning.plan import common_stages

    needed = need(
        settings,
        Size(told["weights_bytes"], told["state_bytes"]),
        at_once=at_once,
        objectives=len(space.goal.objectives),
        references=0 if args.no_references or len(config.active) < 2 or config.plan else len(config.active),
        stages=common_stages(space) if settings.fork else 0,
        final=bool(long_budget(space, settings.final)),
    )
    _say(_disk_in_words(needed, told["shared_bytes"], args.out))
    refuse_small_disk(needed, args.out / "STUDY")


def samples_of(space: Space, settings: StudySettings, each: int, *, references: bool) -> tuple[float, float]:
    """Training images of the whole study: if rungs stop as many trials as they may, and if no trial is stopped.

    Args:
        each: Of a trial to its end.
        references: Whether each dataset is trained alone, on as many images altogether as one trial.
    """
    share = trained_share(settings.rungs)
    counted_most = float(settings.trials * each)
    counted_least = each + (settings.trials - 1) * each * share  # the defaults are never stopped
    if settings.samples:
        counted_least, counted_most = (min(value, settings.samples) for value in (counted_least, counted_most))
    more = float(each if references else 0)
    if long_budget(space, settings.final):
        final = longer(space, settings.final)
        more += 2 * final.split.trainings * final.samples
    return counted_least + more, counted_most + more


def trained_share(rungs: RungSettings) -> float:
    """Of all trials to their ends, what trials train where 1 in ``reduction`` goes on at each rung: with the first rung
    at 1/4 and a reduction of 3, 1/4 + 1/3 x 1/2 + 1/9 x 1/4."""
    if not rungs.enabled:
        return 1.0
    total, level, going_on = 0.0, 0.0, 1.0
    rung = min(1.0, rungs.grace)
    while level < 1.0:
        total += (rung - level) * going_on
        level, rung, going_on = rung, min(1.0, rung * rungs.reduction), going_on / rungs.reduction
    return total


def _resources(args: argparse.Namespace) -> int:
    """Tells how trials are placed on this machine; returns how many run at once, by its processors."""
    share, mixed = share_of_gpus(args.gpus_per_worker)
    needs = Needs(args.workers, args.cpus_per_worker, share, mixed)
    fit = max(1, allowed() // (args.workers * args.cpus_per_worker))
    at_once = min(fit, args.concurrent or fit)
    _say(
        f"resources: {needs} for each trial; on this machine {counted(at_once, 'trial')} at once on "
        f"{counted(allowed(), 'processor')} (GPUs and other hosts are asked when the study starts)"
    )
    return at_once


def _time(samples: tuple[float, float], per_second: float, settings: StudySettings) -> str:
    least, most = (value / per_second for value in samples)
    limit = settings.hours * 3600 if settings.hours else most
    text = f"time: about {roughly(min(least, limit))}"
    text += f" to {roughly(min(most, limit))}" if roughly(most) != roughly(least) else ""
    return f"{text} of training, by the pace of some steps here; validation and starting come on top"


def _disk_in_words(needed: Need, decoded: int, out: Path) -> str:
    there = next(folder for folder in (out.resolve(), *out.resolve().parents) if folder.is_dir())
    return (
        f"disk: up to {needed.in_words()}; records beside them, and {size_text(decoded)} of decoded pictures in the "
        f"cache; {size_text(shutil.disk_usage(there).free)} are free where the results go"
    )


def _say(text: str) -> None:
    print(text, flush=True)
