"""One reader under atheris, which looks for inputs that reach new lines: ``-m tests.fuzz.guided NAME FOLDER``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["raytune_planes"]):
    from tests.fuzz.fence import fence
    from tests.fuzz.targets import TARGETS, attempt


def main(name: str, folder: Path, *flags: str) -> None:
    """Ends the process: with 0 after all runs, with something else after the first input that broke the reader."""
    warnings.simplefilter("ignore")
    target = TARGETS[name]
    corpus, work = folder / "corpus", folder / "work"
    corpus.mkdir(parents=True)
    work.mkdir()
    for number, seed in enumerate(target.seeds()):
        (corpus / str(number)).write_bytes(seed)

    def once(data: bytes) -> None:
        with fence(work) as outside:
            attempt(target, data, work)
        assert not outside, outside

    atheris.Setup([sys.argv[0], str(corpus), *flags, "-max_len=4000"], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
