"""The search space and the limits that a command line asks for, checked before anything heavy is loaded."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from raytune_planes.commands.arguments import assigned
from raytune_planes.commands.study_arguments import LIMITS
from raytune_planes.settings import load
from raytune_planes.space import Space, StudySettings, cautioned, check, load_space, refuse_short, with_base, with_fixed
from raytune_planes.space.writing import to_yaml


def space_of(args: argparse.Namespace) -> tuple[Space, str]:
    """The space that the command line asks for, checked, and its text. Raises UserError."""
    space = load_space(args.space)
    if args.config:
        space = with_base(space, load(args.config))
    given = assigned(args, space.fixed)
    space = with_fixed(space, given) if given else space
    check(space)
    refuse_short(space, args.final)
    if args.final is not None:
        space = replace(space, study=space.study.model_copy(update={"final": args.final}))
    for caution in cautioned(space):
        print(f"Warning: {caution}", flush=True)
    return space, to_yaml(space)


def settings_of(space: Space, args: argparse.Namespace) -> StudySettings:
    """The limits of the study: the space's, or those of the command line."""
    given: dict[str, Any] = {k: v for k in (*LIMITS, "keep", "sampler") if (v := getattr(args, k)) is not None}
    if args.no_rungs:
        given["rungs"] = space.study.rungs.model_copy(update={"enabled": False})
    return space.study.model_copy(update=given)
