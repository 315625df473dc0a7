"""Several sizes in one pass over the files, each as if it had been asked for alone."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin, PngImagePlugin

from raytune_planes.config import Dataset
from raytune_planes.datasets import cache, reader, storage
from raytune_planes.datasets.base import Reader
from raytune_planes.datasets.records import Records
from raytune_planes.errors import UserError
from raytune_planes.settings import make_config
from raytune_planes.space import load_space
from raytune_planes.tuning.plan import prepare
from tests.datasets.test_cache import Dots, dots, draw, entries, same
from tests.datasets.test_known import aged, scenes

SIZES = (24, 40, 64)


def photographs(root: Path, suffix: str = ".jpg", side: tuple[int, int] = (400, 300)) -> Path:
    """Two classes of pictures that are large beside the sizes that are asked for."""
    random = np.random.default_rng(0)
    for label in ("glider", "jet"):
        (root / label).mkdir(parents=True)
        for n in range(8):
            coarse = Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8)).resize(side)
            coarse.save(root / label / f"{n}{suffix}", **({"exif": turned()} if n == 3 and suffix == ".jpg" else {}))
    return aged(root)


def turned() -> Image.Exif:
    """EXIF of a camera that was held upright: the picture is turned when it is read."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def mine(root: Path, size: int) -> Reader:
    return reader("mine", Dataset(reader="image_folder", root=str(root), image_size=size), None)


def hrplanes(root: Path, size: int) -> Reader:
    return reader("hrplanes", Dataset(root=str(root), image_size=size, tile=48), None)


@pytest.mark.parametrize(
    ("make", "of"),
    [
        (lambda root: photographs(root), mine),
        (lambda root: photographs(root, ".png"), mine),
        (lambda root: scenes(root), hrplanes),
    ],
    ids=["jpeg", "png", "scenes"],
)
def test_each_size_equals_to_the_bit_what_it_is_alone(tmp_path: Path, make, of) -> None:  # type: ignore[no-untyped-def]
    root = make(tmp_path / "pictures")
    together, alone = tmp_path / "together", tmp_path / "alone"
    cache.decode(of(root, SIZES[1]), together, beside=[of(root, size) for size in SIZES])
    assert len(entries(together)) == 3
    for size in SIZES:
        one, other = (cache.decode(of(root, size), folder) for folder in (together, alone))
        assert one.images_NHWC.shape[1] == size
        np.testing.assert_array_equal(one.images_NHWC, other.images_NHWC)
        for files in zip(*(sorted((f / one.fingerprint).iterdir()) for f in (together, alone)), strict=True):
            assert files[0].read_bytes() == files[1].read_bytes(), files[0].name


def decodings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a file was decoded, not only opened: by Pillow's own readers."""
    times: Counter[str] = Counter()
    for kind in (JpegImagePlugin.JpegImageFile, PngImagePlugin.PngImageFile):
        prepared = kind.load_prepare

        def counted(self, prepared=prepared) -> None:  # type: ignore[no-untyped-def]
            times[str(self.filename)] += 1
            prepared(self)

        monkeypatch.setattr(kind, "load_prepare", counted)
    return times


def test_what_several_sizes_need_alike_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JPEG decodes at 1/8, 1/4, 1/2 of its size: of 300 rows, 24 and 32 px take the first, 40 and 64 the second."""
    jpegs, pngs = photographs(tmp_path / "jpeg"), photographs(tmp_path / "png", ".png")
    times = decodings(monkeypatch)
    cache.decode(mine(jpegs, 24), tmp_path / "cache", beside=[mine(jpegs, size) for size in (32, 40, 64)])
    assert set(times.values()) == {2}
    assert len(times) == 16
    times.clear()
    arrays = cache.decode(mine(pngs, 24), tmp_path / "cache", beside=[mine(pngs, size) for size in SIZES])
    assert Counter(times.values()) == {1: 16 - len(arrays.splits["train"]), 2: len(arrays.splits["train"])}, (
        "a PNG may hold EXIF at its end, so that asking for the size of training pictures decodes them as well"
    )
    times.clear()
    for size in SIZES:
        cache.decode(mine(pngs, size), tmp_path / "cache")
    assert not times


def test_sizes_that_are_there_are_left_as_they_are(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    first = cache.decode(dots(root, image_size=8), folder)
    state = (folder / first.fingerprint / storage.WITNESS).stat()
    Dots.loads = 0
    second = cache.decode(dots(root), folder, beside=[dots(root, image_size=8), dots(root, image_size=24)])
    assert Dots.loads == 2 * 6
    assert len(entries(folder)) == 3
    assert (folder / first.fingerprint / storage.WITNESS).stat() == state
    assert same(second, cache.decode(dots(root), tmp_path / "alone"))


def test_a_reader_of_other_samples_is_left_for_its_own_call(root: Path, tmp_path: Path) -> None:
    class Fewer(Dots):
        def scan(self):  # type: ignore[no-untyped-def]
            listing = super().scan()
            return type(listing)(listing.info, listing.samples[:4], listing.splits, (), True)

    fewer = Fewer(root, name="dots", image_size=24, tile=320)
    arrays = cache.decode(dots(root), tmp_path / "cache", beside=[fewer])
    assert entries(tmp_path / "cache") == {arrays.fingerprint}


def test_one_unreadable_picture_leaves_no_size_behind(root: Path, tmp_path: Path) -> None:
    (root / "1-3.png").write_bytes((root / "1-3.png").read_bytes()[:60])
    with pytest.raises(UserError, match=r"1-3\.png cannot be decoded"):
        cache.decode(dots(root), tmp_path / "cache", beside=[dots(root, image_size=8)])
    assert entries(tmp_path / "cache") == set()


def test_sizes_that_do_not_fit_together_are_compressed_one_by_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SMALL_BYTES", 0)
    limit = 6 * 16 * 16 * 4
    small = cache.decode(dots(root), tmp_path / "cache", beside=[dots(root, image_size=24)], limit_bytes=limit)
    large = cache.decode(dots(root, image_size=24), tmp_path / "other", limit_bytes=limit)
    assert isinstance(small.images_NHWC, np.memmap)
    assert isinstance(large.images_NHWC, Records)


TWO = textwrap.dedent("""
    import sys
    from pathlib import Path
    from raytune_planes.datasets import cache
    from tests.datasets.test_cache import Dots, dots

    sizes = [int(size) for size in sys.argv[3].split(",")]
    root = Path(sys.argv[1])
    cache.decode(dots(root, image_size=sizes[0]), Path(sys.argv[2]), beside=[dots(root, image_size=s) for s in sizes])
    print(Dots.loads)
""")


def test_processes_that_ask_for_sizes_in_another_order_do_not_wait_for_each_other(root: Path, tmp_path: Path) -> None:
    """And between them decode each size once."""
    commands = [
        [sys.executable, "-c", TWO, str(root), str(tmp_path / "cache"), sizes]
        for sizes in ("8,16,24", "24,8,16", "16,24,8")
    ]
    repository = Path(__file__).parents[2]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repository) for command in commands]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert sum(map(int, said)) == 3 * 6
    assert len(entries(tmp_path / "cache")) == 3


def test_a_study_that_searches_sizes_goes_through_the_files_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photographs(tmp_path / "pictures", ".png")
    off = "".join(f"  datasets.{name}.enabled: false\n" for name in make_config().datasets)
    (tmp_path / "space.yaml").write_text(
        "about: Which size?\nobjectives: [{metric: val/mine/accuracy, mode: max}]\n"
        f"fixed:\n  datasets.mine.reader: image_folder\n  datasets.mine.root: {root}\n{off}"
        "search:\n  datasets.mine.image_size: {choice: [24, 40, 64]}\n"
    )
    space = load_space(tmp_path / "space.yaml")
    times = decodings(monkeypatch)
    material = prepare(space, None, tmp_path / "cache", lambda _: None)
    assert sorted(dict(entry.decoded_as)["side"] for entry in material.entries) == list(SIZES)
    assert set(times.values()) == {1, 2}, "twice those for training, whose size is asked for"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return aged(draw(tmp_path / "dots"))
