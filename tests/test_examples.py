"""What the examples promise; that they run as programs is tested by test_programs.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

import denoising
import digit_maps
import drawn_faces
import hard_attention
from directmax.tool.data import Split

ESTIMATORS = list(hard_attention.ESTIMATORS)
DENOISERS = list(denoising.ESTIMATORS)
PARTS = ("eyeglasses", "smiling")


@pytest.fixture(autouse=True)
def _random_state() -> Iterator[None]:
    """Torch's is as before afterwards."""
    with torch.random.fork_rng():
        yield


def rows(output: str) -> dict[str, list[str]]:
    """First word of a row of the table → its other cells."""
    cells = [line.replace("±", " ").replace("%", " ").split() for line in output.splitlines()]
    names = {*ESTIMATORS, *DENOISERS, "noisy"}
    return {row[0]: row[1:] for row in cells if row and row[0] in names}


def test_every_estimator_has_a_row(capsys, tmp_path):
    picture = tmp_path / "glimpses.png"
    flags = ["--epochs", "1", "--seeds", "0", "--picture", str(picture)]
    assert hard_attention.main([*flags, "--estimators", *ESTIMATORS]) == 0
    table = rows(capsys.readouterr().out)
    assert list(table) == ESTIMATORS
    # A sample, and 8 changes without gradient; one relaxed sample; all 9 states.
    evaluations = {name: int(cells[2]) for name, cells in table.items()}
    assert evaluations["direct"] == evaluations["local-expectation"] == 9
    assert evaluations["gumbel-softmax"] == evaluations["straight-through"] == 1
    assert evaluations["exact"] == evaluations["blind"] == 9
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_choice_is_learned(capsys):
    flags = ["--epochs", "40", "--seeds", "0", "--estimators", "direct", "exact", "blind"]
    assert hard_attention.main(flags) == 0
    accuracy = {name: float(cells[0]) for name, cells in rows(capsys.readouterr().out).items()}
    assert min(accuracy["direct"], accuracy["exact"]) > 90 > 75 > accuracy["blind"]


def test_places_hold_the_image_and_nothing_else():
    split = hard_attention.Split(torch.rand(50, 64), torch.arange(50))
    placed = hard_attention.place(split, (8, 8), seed=0)
    model = hard_attention.HardAttention((8, 8), 10)
    windows = model.glimpses(placed.images)  # (50, 9, 64)
    assert placed.images.shape == (50, 256)
    assert torch.allclose(placed.images.sum(-1), split.images.sum(-1))
    same = (windows == split.images.unsqueeze(1)).all(-1)
    assert (same.sum(-1) == 1).all()
    assert same.any(0).all()  # all nine places occur


@pytest.mark.parametrize(
    ("program", "flags", "message"),
    [
        (hard_attention, "--estimators dirct", "unknown estimator dirct: choose from direct"),
        (denoising, "--rows logistc", "unknown row logistc: choose from logistic"),
        (denoising, "--network pixels", "unknown network pixels: choose from pixel, image"),
        (denoising, "--flips 2", "--flips must be between 0 and 1, got 2.0"),
        (drawn_faces, "x --count 9", "--count must be at least 10, for three splits, got 9"),
        (drawn_faces, "x --seed -1", "--seed must be 0 or more, got -1"),
        (drawn_faces, "x --processes 0", "--processes must be at least 1, got 0"),
        (digit_maps, "--cost som", "unknown cost som: choose from sum, largest"),
        (digit_maps, "--methods dirct", "unknown method dirct: choose from clamped-argmax"),
        (digit_maps, "--size 1", "--size must be from 2 to 10, got 1"),
    ],
)
def test_bad_flags_are_one_line(program, flags, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert program.main(flags.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{program.__name__}: {message}")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("program", "row", "flags"),
    [
        (hard_attention, "direct", "--epochs 1 --seeds 3 --estimators direct"),
        (denoising, "direct", "--epochs 1 --seeds 3 --rows direct --network image"),
    ],
)
def test_the_same_seed_gives_the_same_result(program, row, flags, capsys):
    tables = []
    for _ in range(2):
        program.main(flags.split())
        tables.append(rows(capsys.readouterr().out)[row][:-1])  # without the seconds
    assert tables[0] == tables[1]


def test_every_denoiser_has_a_row(capsys, tmp_path, monkeypatch):
    data = denoising.load_images("digits")
    few = dataclasses.replace(data, train=Split(data.train.images[:100], data.train.labels[:100]))
    monkeypatch.setattr(denoising, "load_images", lambda name: few)
    picture = tmp_path / "restored.png"
    flags = ["--epochs", "1", "--seeds", "0", "--picture", str(picture)]
    assert denoising.main([*flags, "--rows", *DENOISERS]) == 0
    table = rows(capsys.readouterr().out)
    assert list(table) == ["noisy", *DENOISERS]
    assert all(0.6 < float(cells[0]) < 0.8 for cells in table.values())
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_couplings_help(capsys):
    assert denoising.main(["--epochs", "15", "--seeds", "0"]) == 0
    overlap = {name: float(cells[0]) for name, cells in rows(capsys.readouterr().out).items()}
    assert overlap["noisy"] < overlap["logistic"] < overlap["direct"] - 0.02
    assert overlap["independent"] < overlap["direct"] - 0.02


def test_only_neighbours_are_coupled():
    q = denoising.Restorer("pixel", coupled=True)(torch.ones(2, 64))
    first, second = torch.triu_indices(64, 64, 1)[:, q.pairwise[0] != 0]
    assert len(first) == 2 * 8 * 7 + 2 * 7 * 7  # along rows and columns, and both diagonals
    assert ((first // 8 - second // 8).abs() <= 1).all()
    assert ((first % 8 - second % 8).abs() <= 1).all()
    assert (q.pairwise >= 0).all()


def test_overlap_counts_pixels():
    clean = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    restored = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]])
    assert torch.allclose(denoising.overlap(restored, clean), torch.tensor([[1 / 3, 1.0]]))


def test_faces_are_in_the_layout_of_celeba(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    flags = ["--count", "10", "--seed", "4", "--sheet", str(sheet)]
    assert drawn_faces.main([str(tmp_path / "data"), *flags]) == 0
    folder = tmp_path / "data" / "celeba"
    assert capsys.readouterr().out == f"10 faces in {folder}\n"
    assert sheet.read_bytes().startswith(b"\x89PNG")
    names = sorted(path.name for path in (folder / "img_align_celeba").iterdir())
    assert names == [f"{number:06}.jpg" for number in range(1, 11)]
    for name in names:
        with Image.open(folder / "img_align_celeba" / name) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (178, 218))
    count, header, *table = (folder / "list_attr_celeba.txt").read_text().splitlines()
    assert count == "10"
    assert len(header.split()) == 40
    assert header.split() == sorted(header.split())  # as CelebA has them, upper case first
    for index, line in enumerate(table):
        name, *values = line.split()
        face = drawn_faces.random_face(4, index)
        present = [word for word, value in zip(header.split(), values, strict=True) if value == "1"]
        assert name == names[index]
        assert set(values) <= {"1", "-1"}
        assert ("Smiling" in present, "Eyeglasses" in present) == (face.smiling, face.eyeglasses)
        assert present == [
            word for word in header.split() if drawn_faces.attributes(face).get(word)
        ]
    parts = (folder / "list_eval_partition.txt").read_text().splitlines()
    assert [line.split()[0] for line in parts] == names
    assert [int(line.split()[1]) for line in parts] == [0] * 8 + [1] + [2]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["celeba"]


def test_a_face_depends_on_its_seed_and_number_alone(tmp_path):
    contents = []
    for count, processes in ((12, 1), (20, 2)):
        folder = drawn_faces.write(tmp_path / str(count), count, seed=1, processes=processes)
        contents.append((folder / "img_align_celeba" / "000009.jpg").read_bytes())
    assert contents[0] == contents[1]
    assert drawn_faces.random_face(1, 8) != drawn_faces.random_face(2, 8)
    assert drawn_faces.random_face(1, 8) != drawn_faces.random_face(1, 9)


def test_attributes_are_as_frequent_as_documented():
    faces = [drawn_faces.random_face(0, index) for index in range(4000)]
    male = [face for face in faces if face.male]
    others = [face for face in faces if not face.male]
    assert len(male) / 4000 == pytest.approx(0.45, abs=0.03)
    for group, eyeglasses, smiling in ((male, 0.5, 0.4), (others, 0.3, 0.6)):
        worn, smiled = (np.mean([getattr(face, name) for face in group]) for name in PARTS)
        assert worn == pytest.approx(eyeglasses, abs=0.045)
        assert smiled == pytest.approx(smiling, abs=0.045)


def change(face, attribute: str) -> np.ndarray:
    """How much each pixel changes with an attribute."""
    without, having = (
        np.asarray(drawn_faces.draw(dataclasses.replace(face, **{attribute: value})), float)
        for value in (False, True)
    )
    return np.abs(having - without).mean(2)


def test_an_attribute_changes_its_part_of_the_face():
    """Eyeglasses the eyes, a smile the mouth, Male also the hair; the background stays."""
    eyes, mouth, hair = slice(80, 135), slice(135, 175), slice(30, 80)
    for index in range(6):
        face = drawn_faces.random_face(9, index)
        face = dataclasses.replace(face, shift_x=0.0, shift_y=0.0, tilt=0.0, yaw=0.0, size=0.0)

        worn, smiled, male = (change(face, name) for name in ("eyeglasses", "smiling", "male"))
        assert worn[eyes].mean() > 20 * worn[mouth].mean()
        assert worn[hair].mean() < 0.1
        assert smiled[142:170, 65:113].mean() > 1.5 * smiled[80:118, 40:138].mean() > 0
        assert smiled[hair].mean() < 0.5
        assert male[hair].mean() > 1
        for difference in (worn, smiled, male):
            assert difference[:20].max() == 0


def test_faces_are_not_drawn_over(capsys, tmp_path):
    (tmp_path / "celeba").mkdir()
    assert drawn_faces.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"drawn_faces: {tmp_path / 'celeba'} exists already;")


def test_the_best_path_against_all_paths():
    every = digit_maps.all_paths(4)
    assert len(every) == 20
    assert len({tuple(path.flatten().tolist()) for path in every}) == 20
    for path in every:
        rows, columns = path.nonzero().T
        assert (rows.diff() + columns.diff() == 1).all()
        assert path[0, 0]
        assert path[3, 3]
    weights = torch.randn(50, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    found = digit_maps.best_paths(weights)
    assert (found == every[:, None, None]).flatten(-2).all(-1).any(0).all()
    sums = (weights[None] * every[:, None, None]).sum((-2, -1))
    torch.testing.assert_close((weights * found).sum((-2, -1)), sums.max(0).values)


@pytest.mark.parametrize("cost", ["sum", pytest.param("largest", marks=pytest.mark.slow)])
def test_paths_are_learned_from_their_costs(capsys, tmp_path, cost):
    picture = tmp_path / "maps.png"
    flags = ["--size", "4", "--epochs", "2", "--seeds", "0", "--cost", cost]
    assert digit_maps.main([*flags, "--picture", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()[-5:]
    table = {name: (float(share), *costs) for name, share, _, *costs in map(str.split, lines)}
    assert tuple(table) == digit_maps.METHODS
    data = digit_maps.load_images("digits")
    maps = digit_maps.draw_maps(data.test, 500, 4, torch.Generator().manual_seed(1_000_001))
    lowest, path = digit_maps.cheapest(maps.digits, cost, digit_maps.all_paths(4))
    assert torch.equal(digit_maps.COSTS[cost](maps.digits * path), lowest)
    torch.manual_seed(0)
    untrained = digit_maps.excess(digit_maps.Planner(64), maps, cost, lowest)
    for name in ("clamped-argmax", "direct", "implicit-mle", "labelled"):
        assert table[name][0] < untrained / 2, name
    assert table["clamped-argmax"][1:] == ("17", "17")
    assert table["direct"][1:] == ("17", "3")
    assert table["implicit-mle"][1:] == ("1", "3")
    with Image.open(picture) as image:
        assert image.width > 4 * 100
