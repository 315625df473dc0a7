"""A dataset that is trained alone beside a study, as people and programs see it."""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import asdict
from pathlib import Path

from raytune_planes.terminal import PlainView
from raytune_planes.terminal.alone import Alone
from raytune_planes.terminal.lines import JsonLines, JsonLinesView
from raytune_planes.terminal.live import LiveView
from raytune_planes.tracking.steps import FILE, StepFile, Steps
from tests.test_terminal import KEY, OUTLINE, Screen


def test_a_dataset_trained_alone_is_shown_from_its_start_to_its_end(tmp_path: Path) -> None:
    plain, screen, lines = io.StringIO(), Screen(), io.StringIO()
    tell = StepFile(tmp_path, lambda: 2)
    for view in (PlainView(plain), LiveView(screen), JsonLinesView(JsonLines(lines))):
        view.start(OUTLINE)
        view.alone_began(Alone("fgvc", tmp_path, 6))
        tell(0, 10, 0)
        (tmp_path / FILE).write_text(json.dumps(asdict(Steps(4, 10, 64, 2.0, 1.5, 2))))
        view.tick()
        if isinstance(view, LiveView):
            time.sleep(1.1)  # it is drawn twice a second
        view.alone_ended("fgvc", "fgvc trained alone: val/fgvc/accuracy 0.4600 after 2,496 samples", {KEY: 0.46})
        view.tick()
        view.stop()
        tell.clear()
    assert plain.getvalue().splitlines()[1:] == [
        "fgvc alone starts, for comparison: 6 epochs",
        "fgvc alone epoch 2/6 +40%: step 4 of 10, loss 1.5, 32 images a second",
        "fgvc trained alone: val/fgvc/accuracy 0.4600 after 2,496 samples",
    ]
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert re.search(r"alone +fgvc +2/6 \+40% +loss 1.5", drawn), "a row while it runs"
    assert "2/6 +40%" not in drawn[drawn.rindex("epoch  accuracy") :], "and none when it has ended"
    found = [json.loads(line) for line in lines.getvalue().splitlines()[1:]]
    assert [each["event"] for each in found] == ["alone", "alone_end"]
    assert (found[0]["epochs"], found[1]["metrics"]) == (6, {KEY: 0.46})
