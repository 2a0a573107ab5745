"""Drawn faces in CelebA's folder layout: what to train on where CelebA cannot be had.

Shape of the face, skin, hair, eyes, brows, nose and mouth, pose, light, clothes and background vary
continuously from face to face; eyeglasses, a smile, and `Male` (short hair, broader jaw, thicker
brows, stubble; otherwise long hair, lashes and lipstick) are there or not. All 40 columns of CelebA
are written; those that the drawing does not have are −1.

    python examples/drawn_faces.py FOLDER
    python examples/drawn_faces.py FOLDER --count 6000 --seed 0
    python examples/drawn_faces.py FOLDER --sheet faces.png

writes FOLDER/celeba/img_align_celeba/000001.jpg … and the two lists beside it, so that

    directmax.tool.data.load_attributes("celeba", data_dir="FOLDER")

finds them. The first 80 % are for training, 10 % for validation, 10 % for testing. The same seed
draws the same faces, and a face does not depend on how many there are.

The attributes hang together a little: 45 % are `Male`, of whom 50 % wear eyeglasses and 40 % smile;
of the others 30 % and 60 %.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tyro
from PIL import Image
from rich.progress import track

from faces import HEIGHT, WIDTH, Face, draw

ATTRIBUTES = [
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs",
    "Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows",
    "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones",
    "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin",
    "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair",
    "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace",
    "Wearing_Necktie", "Young",
]  # fmt: skip
"""CelebA's 40, in the order of its file."""

MALE = 0.45
EYEGLASSES = {True: 0.5, False: 0.3}
SMILING = {True: 0.4, False: 0.6}
"""Probability of an attribute given `Male`."""

SIGNED = {
    "shift_x", "shift_y", "tilt", "yaw", "size", "parting", "gaze", "brow_slope", "brightness",
    "warmth",
}  # fmt: skip
TURNS = {"background_turn", "light_turn"}
QUALITY = 95


def random_face(seed: int, index: int) -> Face:
    """Face number `index` of a seed."""
    random = np.random.default_rng([seed, index])
    male = bool(random.random() < MALE)
    values: dict[str, float] = {}
    for field in dataclasses.fields(Face)[3:]:
        number = float(random.random())
        if field.name in SIGNED:
            number = 2 * number - 1
        elif field.name in TURNS:
            number *= 2 * math.pi
        values[field.name] = number
    # dark hair and eyes go with dark skin
    values["hair_colour"] *= 1 - 0.7 * values["skin"]
    values["eye_colour"] *= 1 - 0.7 * values["skin"]
    values["grey"] = max(0.0, 6 * values["grey"] - 5)  # few have grey hair
    return Face(
        eyeglasses=bool(random.random() < EYEGLASSES[male]),
        smiling=bool(random.random() < SMILING[male]),
        male=male,
        **values,
    )


def attributes(face: Face) -> dict[str, bool]:
    """Those of CelebA's attributes that the drawing has."""
    grey = face.grey > 0.5
    return {
        "Eyeglasses": face.eyeglasses,
        "Smiling": face.smiling,
        "Male": face.male,
        "Mouth_Slightly_Open": face.smiling,
        "Wearing_Lipstick": not face.male,
        "No_Beard": not face.male or face.stubble < 0.4,
        "Black_Hair": not grey and face.hair_colour < 0.15,
        "Brown_Hair": not grey and 0.15 <= face.hair_colour < 0.5,
        "Blond_Hair": not grey and face.hair_colour > 0.75,
        "Gray_Hair": grey,
        "Bushy_Eyebrows": face.male and face.brow_thickness > 0.5,
    }


def write(folder: Path, count: int, seed: int = 0, processes: int | None = None) -> Path:
    """Write drawn faces, and return the folder "celeba" that they are in.

    Args:
        folder: a data folder; created if need be.
        count: how many, at least 10.
        seed: decides the faces.
        processes: how many draw at once; one for each core if None.
    """
    if count < 10:
        raise ValueError(f"--count must be at least 10, for three splits, got {count}")
    if seed < 0:
        raise ValueError(f"--seed must be 0 or more, got {seed}")
    if processes is not None and processes < 1:
        raise ValueError(f"--processes must be at least 1, got {processes}")
    target = folder / "celeba"
    if target.exists():
        raise ValueError(f"{target} exists already; give another folder, or delete it")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".drawing-", dir=folder) as workshop:
        images = Path(workshop) / "celeba" / "img_align_celeba"
        images.mkdir(parents=True)
        jobs = [(images, seed, index) for index in range(count)]
        drawn = _drawn(jobs, processes)
        rows = list(track(drawn, "drawing", count, disable=not sys.stderr.isatty()))
        table = [str(count), " ".join(ATTRIBUTES) + " "]
        parts = []
        for index, (name, present) in enumerate(rows):
            values = (f"{1 if attribute in present else -1:2}" for attribute in ATTRIBUTES)
            table.append(f"{name} {' '.join(values)}")
            parts.append(f"{name} {(index >= count * 8 // 10) + (index >= count * 9 // 10)}")
        for file, lines in (("list_attr_celeba", table), ("list_eval_partition", parts)):
            path = images.parent / f"{file}.txt"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        images.parent.rename(target)
    return target


def contact_sheet(columns: int, rows: int, seed: int = 0, first: int = 0) -> Image.Image:
    """The first faces of a seed, side by side, at half their size."""
    sheet = Image.new("RGB", (columns * WIDTH, rows * HEIGHT))
    for number in range(columns * rows):
        place = (number % columns * WIDTH, number // columns * HEIGHT)
        sheet.paste(draw(random_face(seed, first + number)), place)
    return sheet.reduce(2)


CHUNK = 16
"""Faces that a process is given at a time; fewer are drawn without another process."""


def _drawn(
    jobs: Sequence[tuple[Path, int, int]], processes: int | None
) -> Iterator[tuple[str, frozenset[str]]]:
    processes = min(processes or os.cpu_count() or 1, -(-len(jobs) // CHUNK))
    if processes == 1:
        yield from map(_write_one, jobs)
        return
    # Not forked: what calls this may have threads, whose locks a copy would wait for.
    with _ignored_interrupts():
        pool = multiprocessing.get_context("spawn").Pool(processes)
    with pool:
        yield from pool.imap(_write_one, jobs, chunksize=CHUNK)


@contextlib.contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Processes that begin within never hear Ctrl-C: it ends the program, which ends them."""
    if threading.current_thread() is not threading.main_thread():  # which alone may say so
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _write_one(job: tuple[Path, int, int]) -> tuple[str, frozenset[str]]:
    folder, seed, index = job
    name = f"{index + 1:06}.jpg"
    face = random_face(seed, index)
    draw(face).save(folder / name, "JPEG", quality=QUALITY)
    return name, frozenset(key for key, present in attributes(face).items() if present)


TINY = "data --count 10 --processes 1 --sheet sheet.png"
"""Flags of a quick look at everything; the tests run it."""


@dataclasses.dataclass
class Settings:
    """Draw faces in CelebA's folder layout.

    Args:
        folder: where to put the folder "celeba".
        count: how many faces.
        seed: decides the faces.
        processes: how many draw at once; one for each core if not given.
        sheet: also a picture of the first 40 faces, a PNG file.
    """

    folder: tyro.conf.Positional[Path]
    count: int = 6000
    seed: int = 0
    processes: int | None = None
    sheet: Path | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    settings = tyro.cli(Settings, args=arguments, description=__doc__)
    try:
        folder = write(settings.folder, settings.count, settings.seed, settings.processes)
        if settings.sheet is not None:
            contact_sheet(10, 4, settings.seed).save(settings.sheet)
    except (ValueError, OSError) as error:
        print(f"drawn_faces: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("drawn_faces: stopped, nothing was written", file=sys.stderr)
        return 130
    print(f"{settings.count} faces in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
