"""Find the datasets of a folder, check each, and print, write and draw the findings."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytune_planes.catalog import entry
from raytune_planes.commands import data_pictures
from raytune_planes.commands.arguments import assigned
from raytune_planes.commands.detector import detect_with
from raytune_planes.config import Dataset
from raytune_planes.datasets import reader
from raytune_planes.datasets.base import Reader
from raytune_planes.datasets.cleaning import write_plan
from raytune_planes.datasets.hygiene import CONFLICTS, Findings, examine
from raytune_planes.datasets.hygiene.summary_lines import lines
from raytune_planes.datasets.objects import find_several, split_objects
from raytune_planes.datasets.splits import SEED
from raytune_planes.errors import UserError
from raytune_planes.printing import counted
from raytune_planes.report import data as shown
from raytune_planes.report.drawing import save
from raytune_planes.settings import make_config
from raytune_planes.tracking.files import write_whole

OWN = "mine"
"""What a folder of class folders is called, as in the search space ``own``."""


def run(args: argparse.Namespace) -> int:
    """Returns 0, or 1 when a dataset could not be listed or, with ``--strict``, has faults.

    Raises:
        UserError: there is nothing to check, nothing can be listed, or a file cannot be written.
    """
    started = time.perf_counter()
    selected = _datasets(args)
    findings: list[Findings] = []
    readers: dict[str, Reader] = {}
    failed: dict[str, UserError] = {}
    for name, settings in selected.items():
        try:
            readers[name] = reader(name, settings, args.folder, SEED)
            findings.append(examine(readers[name]))
        except UserError as error:
            failed[name] = error
            if len(failed) == len(selected):
                raise
            print(f"{name} cannot be listed: {error}", file=sys.stderr)
    reports = [each.as_json() for each in findings]
    costs, sentences = _costs(args, selected, findings, readers) if args.estimate else ({}, [])
    if costs:
        training = costs["training"]
        reports = [{**r, "estimate": {**costs["datasets"][r["dataset"]], "training": training}} for r in reports]
    if args.json:
        print(json.dumps(reports, indent=1))
    else:
        for each in reports:
            print("\n".join(lines(each)))
        count = sum(each["pictures"] for each in reports)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        for sentence in sentences:
            print(sentence)
        print(f"{counted(count, 'picture')} in {time.perf_counter() - started:.0f} s, {peak:.0f} MiB at most")
    if args.clean:
        plans = {each.name: each.plan(args.conflicts or CONFLICTS[0]) for each in findings}
        write_plan(args.clean, plans)
        dropped = sum(len(plan.drop) for plan in plans.values())
        print(
            f"{args.clean} leaves out {counted(dropped, 'picture')}; use it with "
            + " ".join(f"--set datasets.{each.name}.clean={args.clean}" for each in findings),
            file=sys.stderr,
        )
    if args.split_objects:
        for found in findings:
            _split(found, readers[found.name], args.split_objects / found.name, args.detector)
    if args.out:
        _draw(findings, readers, reports, args.out)
    return 1 if failed or (args.strict and any(sum(each.faults.values()) for each in findings)) else 0


def _costs(
    args: argparse.Namespace,
    selected: Mapping[str, Dataset],
    findings: Sequence[Findings],
    readers: Mapping[str, Reader],
) -> tuple[dict[str, Any], list[str]]:
    """What a study on the datasets that could be listed needs, as JSON holds it and in sentences."""
    from raytune_planes.commands import data_estimate  # torch, which looking at pictures does without

    there = {each.name: selected[each.name] for each in findings}
    config = make_config(assigned(args)).model_copy(update={"datasets": there})
    costs = data_estimate.of_datasets({each.name: each.listing for each in findings}, readers, config)
    return costs, list(data_estimate.lines(costs))


def _datasets(args: argparse.Namespace) -> dict[str, Dataset]:
    """The datasets to check: those that exist, and those that were named."""
    if args.folder is not None and not args.folder.is_dir():
        raise UserError(f"no folder {args.folder}; name one that holds datasets, or folders of classes")
    given = assigned(args)
    named = {path.split(".")[1] for path, value in given.items() if path.startswith("datasets.") and value is not False}
    selected = {
        name: settings
        for name, settings in make_config(given).active.items()
        if name in named
        or settings.root
        or (args.folder and (args.folder / entry(name, settings.reader).folder).is_dir())
    }
    if args.folder:  # a dataset of one's own that says how DIR itself is read
        selected = {
            name: settings.model_copy(update={"root": str(args.folder)})
            if settings.reader
            and not settings.root
            and not (args.folder / entry(name, settings.reader).folder).is_dir()
            else settings
            for name, settings in selected.items()
        }
    if not selected and args.folder is not None:
        selected = {OWN: Dataset(reader="image_folder", root=str(args.folder))}
    if not selected:
        raise UserError("nothing to check: give DIR, or a dataset's root with --set datasets.NAME.root=DIR")
    if args.follow_links:
        followed = {"follow_links": True, "link_roots": ", ".join(args.follow_links)}
        selected = {name: settings.model_copy(update=followed) for name, settings in selected.items()}
    return selected


def _split(found: Findings, own: Reader, out: Path, detector: str | None) -> None:
    """Write the dataset with one object in each picture, and tell how to use it."""
    several = found.several
    if detector:
        several = tuple(find_several(own, found.listing, detect_with(detector)))
    if not several:
        print(f"{found.name}: no picture is known to show several objects, so nothing is written", file=sys.stderr)
        return
    count = split_objects(own, found.listing, several, out)
    print(
        f"{found.name}: {counted(len(several), 'picture')} cut into {count:,}, one for each object, in {out}; "
        f"use it with --set datasets.{found.name}.reader=image_folder --set datasets.{found.name}.root={out}",
        file=sys.stderr,
    )


def _draw(
    findings: Sequence[Findings], readers: Mapping[str, Reader], reports: Sequence[dict[str, object]], out: Path
) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "data.json", json.dumps(reports, indent=1) + "\n")
        synthetic = any(each.listing.synthetic for each in findings)
        pairs = {each.name: data_pictures.pairs(each) for each in findings}
        sheets = {each.name: data_pictures.sheet(readers[each.name], each) for each in findings}
        for figure in shown.figures(reports, pairs, sheets):
            save(figure, out, synthetic=synthetic)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}; choose another --out") from None
