"""Our batches beside torchvision's dataset with transforms per picture in a DataLoader, and beside Ray Data."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from raytune_planes.datasets import reader
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.loaders import TrainStream
from raytune_planes.datasets.reopening import open_cached
from raytune_planes.datasets.synthetic import synthesise
from tests.benchmarks import workload
from tests.benchmarks.measuring import Spent, in_turn, ratio
from tests.benchmarks.tables import Aim, Table

BATCH = 32


def ours(cache: Path, settings: Any) -> Callable[[int], None]:
    """The decoded cache, opened anew, with augmentation of whole batches."""

    def run(batches: int) -> None:
        stream = TrainStream(open_cached(cache), settings, BATCH, seed=0)
        for i in range(batches):
            stream.batch(i)

    return run


def transforms(side: int) -> Callable[[Any], torch.Tensor]:
    from torchvision import transforms as per_picture

    return per_picture.Compose(  # type: ignore[no-any-return]
        [
            per_picture.Resize((side, side)),
            per_picture.RandomHorizontalFlip(),
            per_picture.RandomVerticalFlip(),
            per_picture.RandomAffine(15, (0.05, 0.05), (0.9, 1.1)),
            per_picture.ColorJitter(0.2, 0.2, 0.2),
            per_picture.ToTensor(),
            per_picture.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )


def torchvision(root: Path, side: int) -> Callable[[int], None]:
    """The published baseline's way: files decoded and transformed one by one, in this process."""
    from torchvision.datasets import FGVCAircraft

    def run(batches: int) -> None:
        pictures = FGVCAircraft(str(root), split="train", transform=transforms(side))
        loader = torch.utils.data.DataLoader(pictures, batch_size=BATCH, shuffle=True, drop_last=True)
        for _ in zip(range(batches), _endless(loader), strict=False):
            pass

    return run


def ray_data(root: Path, side: int) -> Callable[[int], None]:
    """The same transforms as a Ray Data pipeline; its processes count."""
    import ray.data
    from PIL import Image

    change = transforms(side)

    def load(row: dict[str, Any]) -> dict[str, Any]:
        with Image.open(row["item"]) as picture:
            return {"image": change(picture.convert("RGB")).numpy()}

    paths = [str(p) for p in sorted((root / "fgvc-aircraft-2013b" / "data" / "images").glob("*.jpg"))]

    def run(batches: int) -> None:
        rows = ray.data.from_items((paths * (1 + batches * BATCH // len(paths)))[: batches * BATCH]).map(load)
        for _ in rows.iter_torch_batches(batch_size=BATCH):
            pass

    return run


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def measure(quick: bool) -> Table:
    torch.set_num_threads(1)
    batches = 5 if quick else 20
    with tempfile.TemporaryDirectory() as temporary:
        root, cache = Path(temporary) / "data", Path(temporary) / "cache"
        synthesise(root, planesnet=0, hrplanes=0, fgvc=240, fgvc_classes=6, seed=0)
        settings = workload.config().datasets["fgvc"]
        before = time.process_time()
        arrays = decode(reader("fgvc", settings, root, 0), cache)
        building = time.process_time() - before
        ways = {"ours": ours(cache / arrays.fingerprint, settings), "torchvision": torchvision(root, 64)}
        first = in_turn({n: lambda run=run: run(1) for n, run in ways.items()}, 3)  # type: ignore[misc]
        steady = in_turn({n: lambda run=run: run(1 + batches) for n, run in ways.items()}, 3)  # type: ignore[misc]
        spent = {n: [b - a for a, b in zip(first[n], steady[n], strict=True)] for n in ways}
        if not quick:
            spent["Ray Data"] = _ray(root, batches)
    per_image = {n: sorted(s)[len(s) // 2] / (batches * BATCH) for n, s in spent.items()}
    firsts = {n: sorted(s)[1] for n, s in first.items()}
    rows = [
        (n, f"{1 / s:.0f}", f"x{s / per_image['ours']:.1f}", f"{1000 * firsts[n]:.0f}" if n in firsts else "")
        for n, s in per_image.items()
    ]
    figures = {"seconds per image": per_image, "first batch": firsts, "decoding, s per picture": building / 240}
    faster = ratio(spent["torchvision"], spent["ours"])
    aims = [Aim("images per processor-second, ours / torchvision", faster, 5, at_least=True)]
    if "Ray Data" in per_image:
        aims.append(Aim("the same, ours / Ray Data", per_image["Ray Data"] / per_image["ours"], 5, at_least=True))
    notes = (
        f"SYNTHETIC pictures of the fine-grained set at 64 px; decoding once took {building / 240 * 1000:.1f} ms each",
        "first batch: from a fresh open of the dataset, in ms of processor time",
    )
    return Table("data", ("way", "images/s", "cost of ours", "first batch"), rows, figures, notes, aims)


def _ray(root: Path, batches: int) -> list[float]:
    """Processor seconds of ``batches`` batches, start of the pipeline taken off, start of Ray left out."""
    from raytune_planes.tuning.cluster import connected

    with connected():
        run = ray_data(root, 64)
        run(1)
        with Spent() as short:
            run(1)
        with Spent() as long:
            run(1 + batches)
    return [long.seconds - short.seconds]
