"""One training outside of a search: its folder, its lines on the terminal, its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.allocation import give_back
from raytune_planes.catalog import primary_metric
from raytune_planes.commands.training_folder import nothing_stays
from raytune_planes.commands.training_tracking import send
from raytune_planes.config import TrialConfig
from raytune_planes.datasets import early
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.cache import LIMIT_GIB
from raytune_planes.datasets.folds import parted
from raytune_planes.errors import UserError
from raytune_planes.invocation import address_of, predicting, told_as
from raytune_planes.preparation.data import data_folder, open_data
from raytune_planes.preparation.prompts import embed_prompts
from raytune_planes.printing import counted
from raytune_planes.records import Decision, End, EpochRecord, Goal, Objective, TrialRecord, metric
from raytune_planes.report.card import FILE as CARD
from raytune_planes.report.card import Subject, card
from raytune_planes.report.markdown import code
from raytune_planes.settings import flatten
from raytune_planes.tasks import TASKS, of_scenes
from raytune_planes.terminal.lines import NOWHERE, JsonLines
from raytune_planes.tracking import files, jsonl, published, reading
from raytune_planes.tracking.base import DataDescription
from raytune_planes.tracking.commit import commit
from raytune_planes.tracking.mlflow_place import MlflowPlace
from raytune_planes.training.checkpoint import Checkpoint, content_of, load, refuse_other
from raytune_planes.training.ended import ENDED, drop_state
from raytune_planes.training.stages import Supply, epochs_of, stage_of, train_stages
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from raytune_planes.training.writing import Writer


class TrainingRun:
    """Trains ``config`` into the folder ``out``: config.yaml, epochs.jsonl, last.pt, best.pt, log.json."""

    def __init__(
        self, config: TrialConfig, out: Path, *, resume: bool = False, lines: JsonLines = NOWHERE, fold: int = 0
    ) -> None:
        """``lines`` gets the training as events; ``fold`` from 1, of one that is trained on every fold."""
        self.config, self.out, self.resume, self._lines, self._fold = config, out, resume, lines, fold
        names = {name: primary_metric(name, d.reader) for name, d in config.staged[-1][1].active.items()}
        self.shown = {name: metric("val", name, key) for name, key in names.items()}
        self.goal = Goal(tuple(Objective(key) for key in self.shown.values()))
        self.record = TrialRecord("train", 0, {}, flatten(config))
        self.data: dict[str, DataDescription] = {}
        self._made = False  # whether the folder is new
        self._ended: tuple[End, str] | None = None  # of a training that is resumed and has nothing left to do
        self.epochs = sum(stage.budget.epochs for _, stage in config.staged)

    @early.given_up()
    def train(
        self,
        data: Path | None,
        cache: Path | None,
        *,
        cache_limit_gib: float = LIMIT_GIB,
        goal: Goal | None = None,
        test: bool = False,
        place: MlflowPlace | None = None,
    ) -> int:
        """Returns the exit status: 0 when the training completed, 1 when it failed.

        Args:
            data: as ``open_data`` takes it, and ``cache`` and ``cache_limit_gib`` likewise.
            goal: ranks epochs; None for the first metric of each dataset.
            test: evaluate the best epoch on the test split.
            place: where MLflow gets the training at its end; None for nowhere.

        Raises:
            UserError: the folder is in use, data is missing, or there is nothing to resume.
        """
        self.goal = goal or self.goal
        data, last = data_folder(data), self.out / files.LAST
        is_new = self._open(last)
        self._lines.tell("training", folder=str(self.out), epochs=self.epochs, fold=self._fold)

        def supply(stage: TrialConfig) -> tuple[dict[str, Arrays], dict[str, np.ndarray]]:
            arrays = open_data(stage, data, cache, print, cache_limit_gib, at_once=True)
            return arrays, embed_prompts({name: a.info for name, a in arrays.items()}, stage, cache)

        def introduced(stage: TrialConfig) -> tuple[dict[str, Arrays], dict[str, np.ndarray]]:
            material = supply(stage)
            self._introduce(material[0], stage)
            return material

        with nothing_stays(self.out, self._made, lambda: is_new and not self.record.epochs):
            end, reason = self._train(introduced, last if self.resume else None)
        give_back()
        self.record = replace(self.record, end=end, reason=reason)
        if end.is_complete:
            drop_state(self.out, end, reason, self.record.epochs, self.record.config)
        print(f"{end}: {reason}")
        best = self._show_best()
        if self.record.epochs:
            files.write_whole(self.out / "log.json", json.dumps(published.published_log(self.record), indent=2) + "\n")
        if place is not None and self.record.epochs:
            print(send(self.record, self.goal, self.data, self.out, place, commit()))
        on_test = self._test(supply) if test and best is not None else None
        self._conclude(best, on_test)
        return 1 if end is End.FAILED else 0

    def _train(self, supply: Supply, resume: Path | None) -> tuple[End, str]:
        """Train to the end, unless that was reached before."""
        if self._ended:
            supply(self.config.staged[-1][1])
            return self._ended
        with Writer() as writer:
            more: dict[str, Any] = {"resume": resume, "report": partial(self._report, writer), "say": print}
            return train_stages(self.config, supply, self.goal, **more)

    def _show_best(self) -> EpochRecord | None:
        best = self.record.best(self.goal)
        if best is not None:
            print(f"best epoch {best.epoch}: {self._values(best.metrics)}  (weights: {self.out / files.WEIGHTS})")
        elif self.record.epochs:
            print(f"no result: it ended in stage {self.record.epochs[-1].stage}, before the last one of its plan")
        return best

    def _test(self, supply: Supply) -> dict[str, float]:
        """Score the weights that were kept, once, on the test split."""
        kept = load(self.out / files.WEIGHTS)
        stage = stage_of(self.config, kept)
        trainer = Trainer(stage, *supply(stage), LocalWorker(self.config.devices.vision))
        trainer.use(kept["weights"])
        on_test = trainer.evaluate("test")
        print("test: " + self._values({key.replace("test/", "val/", 1): v for key, v in on_test.items()}))
        others = [key for task in TASKS.values() for key in task.metrics if key not in of_scenes()]
        for name, primary in self.shown.items():
            rest = [key for key in others if key != primary.rsplit("/", 1)[1]]
            for what, keys in (("further metrics", rest), ("whole scenes", of_scenes())):
                measured = [(key, on_test.get(metric("test", name, key))) for key in keys]
                values = [f"{key} {value:.4f}" for key, value in measured if value is not None]
                if values:
                    print(f"test, {what} of {name}: {'  '.join(values)}")
        return on_test

    def _conclude(self, best: EpochRecord | None, on_test: Mapping[str, float] | None) -> None:
        """For programs and for people: what the training reached, and its model's card."""
        result = {
            "folder": str(self.out),
            "fold": self._fold,
            "end": str(self.record.end),
            "reason": self.record.reason,
            "epoch": best and best.epoch,
            "score": best and self.goal.value(best.metrics),
            "metrics": best and dict(best.metrics),
            "test": on_test,
            "weights": str(self.out / files.WEIGHTS) if best else None,
        }
        self._lines.tell("result", result=result)
        if best is not None:
            name = f"training {code(self.out.resolve().name)}"
            about = Subject(name, self.record, self.goal, self.data, on_test or {}, commit())
            use = predicting(self.out if address_of(self.out.parent) else self.out / files.WEIGHTS)
            files.write_whole(self.out / CARD, card(about, ["", f"To use its weights: `{use}`"]))
        early.finish(print)

    def _open(self, last: Path) -> bool:
        """Returns whether no training was there. Raises UserError."""
        epochs = self.out / files.EPOCHS
        if self.resume and not last.is_file():
            raise UserError(f"nothing to resume: {told_as(last)} does not exist; leave out --resume to start")
        if not self.resume and epochs.is_file():
            raise UserError(
                f"{told_as(self.out)} holds a training already; give --resume to continue it, or another --out"
            )
        is_new = not (self.out / files.CONFIG).exists()
        self._made = not self.out.exists()
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            files.write_whole(self.out / files.CONFIG, jsonl.dotted_yaml(self.record.config, "one training"))
        except OSError as error:
            raise UserError(f"{self.out} cannot be written: {error.strerror}; choose another --out") from None
        if self.resume:
            self._go_on(load(last), last)
        return is_new

    def _go_on(self, state: Mapping[str, Any], last: Path) -> None:
        """From where ``last`` is: the epochs that it knows, and the end where the training has ended."""
        path = self.out / files.EPOCHS
        past = reading.read_epochs(path)[0]
        with content_of(last):
            if ENDED in state:
                refuse_other(self.record.config, state, str(last))
                past = tuple(reading.epoch_from_line(line.encode()) for line in state["told"])
                self._ended = End(state[ENDED]), str(state["reason"])
            else:
                known = epochs_of(state)
                told = tuple(reading.epoch_from_line(line.encode()) for line in state.get("told", ()))
                past = told or tuple(e for e in past if e.epoch <= known)  # the file gets its line after the checkpoint
        files.write_whole(path, "".join(reading.epoch_to_line(e) for e in past))
        self.record = replace(self.record, epochs=past)

    def _report(self, writer: Writer, epoch: EpochRecord, state: Checkpoint) -> None:
        told = [reading.epoch_to_line(e) for e in (*self.record.epochs, epoch)]
        state = replace(state, state={**state.state, "told": told})
        writer.save(state, self.out, lambda: files.append_whole(self.out / files.EPOCHS, told[-1].encode()))
        self.record = replace(self.record, epochs=(*self.record.epochs, epoch))
        self._lines.epoch(replace(epoch, fold=self._fold))
        resting = f"  resting: {', '.join(epoch.resting)}" if epoch.resting else ""
        print(
            f"{epoch.stage and epoch.stage + ': '}epoch {epoch.epoch}/{self.epochs}  {self._values(epoch.metrics)}"
            f"  score {self.goal.value(epoch.metrics):.4f}  {counted(epoch.samples, 'sample')}{resting}",
            flush=True,
        )
        for decision in epoch.decisions:
            print(f"  {_sentence(decision)}", flush=True)

    def _introduce(self, arrays: Mapping[str, Arrays], stage: TrialConfig) -> None:
        for name, whole in arrays.items():
            a = parted(whole, stage.split)
            self.data[name] = DataDescription(a.fingerprint, a.counts(), a.synthetic)
            self._lines.data(name, self.data[name])
            counts = ", ".join(f"{n} {split}" for split, n in a.counts().items())
            kind = " SYNTHETIC" if a.synthetic else ""
            side, decoded = stage.datasets[name].image_size, a.images_NHWC.shape[1]
            larger = f", decoded at {decoded} px" if decoded != side else ""
            print(f"{name}:{kind} {counts}; {counted(len(a.info.classes), 'class', 'classes')} at {side} px{larger}")

    def _values(self, metrics: Mapping[str, float]) -> str:
        parts = [(name, key.rsplit("/", 1)[1], metrics.get(key)) for name, key in self.shown.items()]
        return "  ".join(f"{name} {key} {value:.4f}" for name, key, value in parts if value is not None)


def _sentence(decision: Decision) -> str:
    return f"{decision.dataset}: {decision.action}: {decision.reason}"
