"""What people see of a study: plain lines in a pipe, a table in a terminal, the same facts in both."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Group

from raytune_planes.fold_metrics import of_fold, together
from raytune_planes.records import Action, Decision, End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.terminal import Outline, PlainView, View, make_view
from raytune_planes.terminal.board import Board, clock, progress
from raytune_planes.terminal.live import LiveView
from raytune_planes.terminal.remaining import Length, remaining, span
from raytune_planes.tracking.files import trial_folder
from raytune_planes.tracking.steps import FILE, StepFile, Steps, read_steps

KEY = "val/fgvc/accuracy"
GOAL = Goal((Objective(KEY),))
OUTLINE = Outline("night", GOAL, {"fgvc": KEY}, trials=4, epochs=2, about="2 at a time")


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def trial(number: int, *accuracies: float, end: End = End.RUNNING, reason: str = "") -> TrialRecord:
    epochs = tuple(
        EpochRecord(i, i, 100 * i, {KEY: a}, resting=("fgvc",) if i == 2 else (), seconds=30)
        for i, a in enumerate(accuracies, 1)
    )
    drawn = {"optim.lr": 0.00123456} if number else {}
    return TrialRecord(f"t{number}", number, drawn, {"budget.epochs": 2}, epochs, end, reason)


def show(view: View) -> None:
    """A study of one good trial, one that is pruned and one that fails."""
    view.start(OUTLINE)
    running = trial(0, 0.2)
    view.trial_started(replace(running, epochs=()))
    view.epoch(running, running.epochs[0])
    rest = Decision("fgvc", Action.REST, 2, "no gain for 2 epochs")
    second = trial(0, 0.2, 0.4)
    last = replace(second.epochs[1], decisions=(rest,))
    view.epoch(second, last)
    view.trial_ended(trial(0, 0.2, 0.4, end=End.CONVERGED, reason="all rest"))
    view.trial_started(trial(1))
    view.trial_ended(trial(1, 0.1, end=End.PRUNED, reason="after epoch 1: place 3 of 3"))
    view.trial_ended(trial(2, end=End.FAILED, reason="lr is nan"))
    view.note("trial 3 lost a process")


def test_a_pipe_gets_one_line_per_event() -> None:
    stream = io.StringIO()
    view = make_view(stream)
    assert isinstance(view, PlainView)
    show(view)
    view.stop()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "study night: 4 trials. 2 at a time"
    assert lines[1] == "trial 0 starts: the defaults"
    assert lines[2] == "trial 0 epoch 1/2: fgvc accuracy 0.200 (30.0 s)"
    assert lines[3] == "trial 0 epoch 2/2: fgvc accuracy 0.400 z (30.0 s)"
    assert lines[4] == "trial 0: fgvc rests after epoch 2: no gain for 2 epochs"
    assert lines[5].startswith("trial 0 converged: all rest, score 0.4000 at epoch 2, the best so far; 1 of 4 trials")
    assert lines[6] == "trial 1 starts: optim.lr = 0.001235"
    assert lines[7].startswith("trial 1 pruned: after epoch 1: place 3 of 3, score 0.1000 at epoch 1; 2 of 4 trials")
    assert lines[8].startswith("trial 2 failed: lr is nan; 3 of 4 trials")
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_a_table_with_the_best_marked_and_the_last_decisions() -> None:
    stream = Screen()
    view = make_view(stream)
    assert isinstance(view, LiveView)
    show(view)
    view.stop()
    view.stop()
    text = stream.getvalue()
    for part in ("converged", "pruned", "failed", "0.400 z", "0.4000 *", "3 of 4 trials"):
        assert part in text, part
    assert "trial 0: fgvc rests after epoch 2: no gain for 2 epochs" in text
    assert "trial 1 pruned: after epoch 1: place 3 of 3" in text
    assert "trial 3 lost a process" in text


def test_where_a_trial_runs_is_shown_when_there_are_several_places() -> None:
    placed = replace(trial(0, 0.2), tags={"host": "w2", "pool": "gpu"})
    plain, screen = io.StringIO(), Screen()
    for view in (PlainView(plain), LiveView(screen)):
        view.start(replace(OUTLINE, has_places=True))
        view.trial_started(replace(placed, epochs=(), tags={}))
        view.epoch(placed, placed.epochs[0])
        view.stop()
    assert "trial 0 epoch 1/2 on w2 (gpu): fgvc accuracy 0.200" in plain.getvalue()
    assert "w2 (gpu)" in screen.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_figures_of_a_gpu_are_shown_by_both_views(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    card = {"card/images_per_second": 5120.4, "card/memory_gib": 3.06, "card/busy": 0.87}
    on_gpu, on_cpu = trial(0, 0.2), trial(1, 0.3)
    on_gpu = replace(on_gpu, epochs=(replace(on_gpu.epochs[0], metrics={KEY: 0.2, **card}),))
    plain, screen = io.StringIO(), Screen()
    for view in (PlainView(plain), LiveView(screen)):
        view.start(OUTLINE)
        for each in (on_gpu, on_cpu):
            view.trial_started(replace(each, epochs=()))
            view.epoch(each, each.epochs[0])
        view.stop()
    words = "5120 images/s, 3.1 GiB of the card, 87 % busy"
    assert f"trial 0 epoch 1/2: fgvc accuracy 0.200 (30.0 s; {words})\n" in plain.getvalue()
    assert "trial 1 epoch 1/2: fgvc accuracy 0.300 (30.0 s)\n" in plain.getvalue()
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()[screen.getvalue().rindex("accuracy") :])
    if width == 80:
        assert f"trial 0: {words}" in last
        assert "5120/s" not in last
    else:
        rows = [line.split() for line in last.splitlines() if "running" in line]
        assert [row[-3:] for row in rows if "/s" in " ".join(row)] == [["5120/s", "3.1G", "87%"]], rows
        assert len(rows) == 2


def test_a_long_study_shows_the_defaults_the_best_what_runs_and_the_newest() -> None:
    view = LiveView(Screen())
    view.start(replace(OUTLINE, trials=100))
    for number in range(60):
        end = End.RUNNING if number in (20, 59) else End.COMPLETED
        view.trial_ended(trial(number, 0.9 if number == 7 else 0.1, end=end))
    assert view._board is not None
    shown = [t.number for t in view._shown(view._board, view._board.best())]
    view.stop()
    assert {0, 7, 20, 59, 58} <= set(shown)
    assert len(shown) < 60
    assert shown == sorted(shown)


def _foot(view: LiveView) -> str:
    shown = view._draw()
    assert isinstance(shown, Group)
    return str(shown.renderables[-1])


def test_no_time_to_go_is_shown_once_all_trials_have_ended() -> None:
    screen = Screen()
    view = LiveView(screen)
    view.start(replace(OUTLINE, trials=1))
    assert "the processes of the first trials start" in _foot(view)
    view.trial_started(replace(trial(0), epochs=()))
    assert "known after the first epoch" in _foot(view)
    view.trial_ended(trial(0, 0.4, end=End.COMPLETED))
    foot = _foot(view)
    view.stop()
    assert foot.startswith("1 of 1 trial ")
    assert "to go" not in foot


def test_pruned_and_failed_trials_are_never_the_best() -> None:
    board = Board(OUTLINE)
    board.take(trial(0, 0.2, end=End.COMPLETED))
    board.take(trial(1, 0.9, end=End.PRUNED))
    board.take(trial(2, 0.8, end=End.FAILED))
    best = board.best()
    assert best is not None
    assert best.number == 0
    board.take(trial(3, 0.3))
    best = board.best()
    assert best is not None
    assert best.number == 3, "one that runs may be"


def test_what_remains_is_learnt_from_the_trials_that_have_ended_and_those_that_run() -> None:
    board = Board(replace(OUTLINE, trials=6, at_once=2, earlier=(trial(0, 0.1, 0.1, end=End.COMPLETED),)))
    board.take(trial(1, 0.1, 0.1, end=End.CONVERGED))
    board.take(trial(2, 0.1))
    assert board.ended == 2
    # Whole trials of two epochs took 60 s, so that nothing varies: trial 2 has 30 s left, three wait, two run at once.
    # At the most one of 60 s runs alone at the end.
    assert board.remaining() == (pytest.approx(105.0), pytest.approx(105.0 + 30.0))


def test_pruned_trials_shorten_what_remains_and_those_that_came_further_do_not_end_as_early() -> None:
    pruned, whole = Length(60.0, 0.25), Length(60.0, 1.0)
    both = remaining([pruned, whole] * 50, [], 4, 1)
    assert both is not None
    assert both[0] < 4 * 60 * 0.625 < both[1]
    further, earlier = remaining([pruned, whole] * 50, [Length(60.0, 0.5)], 0, 1), remaining([pruned] * 50, [], 1, 1)
    assert further == (pytest.approx(30.0), pytest.approx(30.0)), "of those that came half way all ended with the last"
    assert earlier == (pytest.approx(15.0), pytest.approx(15.0))


def test_before_a_trial_has_ended_the_pace_of_those_that_run_tells_what_remains() -> None:
    board = Board(replace(OUTLINE, trials=1))
    board.take(replace(trial(1), epochs=()))
    assert board.remaining() is None
    board.take(trial(1, 0.1))  # one of two epochs
    # 30 s are left at this pace, give or take a half: sigma is 15 s, and one pace is one degree of freedom.
    # The least is 30 exp(-3.0777 sqrt(ln(1 + 1/4))): a time is never 0 while a trial runs.
    assert board.remaining() == (pytest.approx(7.0101, rel=1e-4), pytest.approx(30 + 3.0777 * 15, rel=1e-4))


def test_a_failed_trial_tells_nothing_of_how_long_others_take() -> None:
    board = Board(OUTLINE)
    board.take(trial(1, end=End.FAILED))
    assert board.remaining() is None


def test_of_trials_that_vary_the_range_is_wider_and_narrows_with_their_number() -> None:
    lengths = [Length(40.0, 1.0), Length(80.0, 1.0)]
    few, many = remaining(lengths, [], 4, 1), remaining(lengths * 10, [], 4, 1)
    assert few is not None
    assert many is not None
    # Student's quantile for k - 1 degrees of freedom times sigma sqrt(n + n^2 / k), with n 4
    assert few[1] == pytest.approx(240.0 + 3.0777 * 28.2843 * 12**0.5, rel=1e-4)
    assert many[1] - 240.0 == pytest.approx(1.3277 * 20.5196 * 4.8**0.5, rel=1e-4)
    assert 0 < few[0] < many[0] < 240.0
    assert remaining([], [], 4, 2) is None


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (20, 20, "20 s"),
        (0, 50, "up to 50 s"),
        (10, 240, "up to 4 min"),
        (0, 0.3, "a few seconds"),
        (2.5, 29, "2 to 29 s"),
        (119, 290, "2 to 5 min"),
        (90, 150, "1.5 to 2.5 min"),
        (5400, 9000, "1.5 to 2.5 h"),
        (40_000, 50_000, "11 to 14 h"),
    ],
)
def test_a_range_is_told_in_the_unit_of_its_end(low: float, high: float, text: str) -> None:
    assert span(low, high) == text


def test_progress_within_an_epoch_is_shown_by_both_views(tmp_path: Path) -> None:
    running = replace(trial(0, 0.2), epochs=trial(0, 0.2).epochs)
    folder = trial_folder(tmp_path, 0, "t0")
    folder.mkdir(parents=True)
    tell = StepFile(folder)
    plain, screen = io.StringIO(), Screen()
    for view in (PlainView(plain), LiveView(screen)):
        view.start(replace(OUTLINE, folder=tmp_path))
        view.trial_started(replace(running, epochs=()))
        view.tick()  # nothing is known yet
        tell(0, 8, 0)
        (folder / FILE).write_text(json.dumps({"done": 4, "steps": 8, "images": 64, "seconds": 2.0, "loss": 3.21449}))
        view.tick()
        view.tick()
        view.stop()
        tell.clear()
    assert plain.getvalue().splitlines()[2:] == ["trial 0 epoch 0/2 +50%: step 4 of 8, loss 3.214, 32 images a second"]
    assert "0/2 +50%" in screen.getvalue()
    assert "loss 3.214" in screen.getvalue(), "before the first score"


def test_steps_are_written_at_the_start_of_an_epoch_and_then_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 10.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    tell = StepFile(tmp_path)
    assert read_steps(tmp_path) is None
    tell(0, 4, 0)
    tell(1, 4, 8)
    assert read_steps(tmp_path) == Steps(0, 4, 0, 0.0)
    now = 11.5
    tell(3, 4, 24, lambda: 0.25)
    assert read_steps(tmp_path) == Steps(3, 4, 24, 1.5, 0.25)
    tell.clear()
    assert read_steps(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    StepFile(tmp_path / "gone")(0, 4, 0)  # a folder that is gone costs nothing


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits_into_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = {"planesnet": "val/planesnet/accuracy", "hrplanes": "val/hrplanes/iou", "fgvc": KEY}
    metrics = dict.fromkeys(names.values(), 0.5)
    screen = Screen()
    view = LiveView(screen)
    view.start(replace(OUTLINE, primary=names, trials=12, epochs=12))
    record = trial(11, 0.4)
    last = replace(record.epochs[0], metrics=metrics, samples=1_234_567)
    view.epoch(replace(record, epochs=(last,)), last)
    view.stop()
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).splitlines()
    row = next(line for line in lines if "running" in line)
    assert len(row) <= width
    for part in ("11", "running", "1/2", "0.500", *(["1,234,567"] if width > 100 else [])):
        assert part in row
    assert "…" not in "".join(lines)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (75, "1:15"), (3675, "1:01:15")])
def test_times_are_told_as_clocks_do(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_progress_counts_the_epochs_of_all_stages() -> None:
    plan = {"plan": "one, two", "budget.epochs": 2, "stages.two.budget.epochs": 5}
    trial = TrialRecord("t", 3, {}, plan, (EpochRecord(3, 9, 72, {}, stage="two"),))
    assert progress(trial) == "3/7"


MISSED = "done; at epoch 1 val/planesnet/accuracy is 0.8000, 0.1000 below its floor of 0.9; 1 of"


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (io.StringIO, MISSED),
        (Screen, "0.4000 !"),
    ],
)
def test_below_a_floor_a_line_says_which_and_by_how_much_and_a_table_marks_it(
    stream: type[io.StringIO], said: str
) -> None:
    screen = stream()
    view = make_view(screen)
    view.start(replace(OUTLINE, goal=Goal((Objective(KEY),), {"val/planesnet/accuracy": 0.9})))
    below = trial(0, 0.4, end=End.COMPLETED, reason="done")
    metrics = {KEY: 0.4, "val/planesnet/accuracy": 0.8}
    view.trial_ended(replace(below, epochs=(replace(below.epochs[0], metrics=metrics),)))
    view.stop()
    assert said in screen.getvalue()
    assert "-0.6" not in screen.getvalue(), "the score with its penalty"


def test_neither_view_hands_a_command_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "\x1b]0;owned\x07[red]\x9b31m"
    shown = r"\x1b]0;owned\x07[red]\x9b31m"
    plain, screen = io.StringIO(), Screen()
    for view in (PlainView(plain), LiveView(screen)):
        view.start(replace(OUTLINE, has_places=True, about=f"records in {evil}"))
        view.trial_started(trial(0))
        view.epoch(replace(trial(0, 0.2), tags={"host": evil, "pool": "cpu"}), trial(0, 0.2).epochs[0])
        view.trial_ended(trial(0, 0.2, end=End.FAILED, reason=f"no file {evil}"))
        view.note(f"note {evil}")
        if isinstance(view, LiveView):
            print(f"printed {evil}")  # rich shows it above its table
        view.stop()
    for text in (plain.getvalue(), screen.getvalue()):
        assert "\x1b]" not in text
        assert "\x07" not in text
        assert "\x9b" not in text
        for place in ("records in", "no file", "note"):
            assert f"{place} {shown}" in " ".join(text.split()), place
    assert f"printed {shown}" in screen.getvalue()


def test_progress_counts_the_epochs_of_all_folds_and_the_end_of_one_tells_the_mean() -> None:
    config = {"budget.epochs": 1, "split.kind": "kfold", "split.folds": 3}
    ended = [{KEY: 0.2}, {KEY: 0.4}]
    epochs = [
        EpochRecord(n, n, 100 * n, of_fold(n, ended[n - 1]) | together(ended[:n]), fold=n, result=ended[n - 1])
        for n in (1, 2)
    ]
    record = TrialRecord("t", 0, {}, config, tuple(epochs))
    stream = io.StringIO()
    view = PlainView(stream)
    view.start(OUTLINE)
    view.epoch(record, epochs[1])
    assert progress(record) == "2/3, fold 2"
    assert stream.getvalue().splitlines()[1:] == [
        "trial 0 epoch 2/3, fold 2: fgvc accuracy 0.400 (0.0 s)",
        "trial 0: mean of 2 folds: fgvc accuracy 0.3000 ± 0.1000",
    ]
