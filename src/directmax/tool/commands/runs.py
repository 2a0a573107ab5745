"""The commands that use a finished run: `directmax evaluate`, `sample`, `edit` and others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, ClassVar

import tyro

from directmax.tool.commands.shared import DataDir, OtherData, RunDir, quiet


@dataclass(frozen=True)
class Evaluate:
    """Bound, its terms and −log p(x) of a run's best checkpoint; accuracy where it has labels."""

    run_dir: RunDir
    """Folder of the run."""
    data: OtherData = None
    """Other images of the same kind."""
    data_dir: DataDir = None
    """Where to look for images first."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    samples: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: as in the run)")
    ] = None
    """Samples an image, where the states are too many to enumerate."""
    seed: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: as in the run)")
    ] = None
    """Of those samples."""
    splits: tuple[str, ...] = ("train", "validation", "test")
    """Which images: any of train, validation and test."""
    switched: bool = False
    """Of a model of attributes, only: train a classifier on the labels of all training images, and
    let it judge test images with an attribute switched (minutes)."""
    json: bool = False
    """Print JSON instead of a table."""

    memory: ClassVar[tuple[str, ...]] = ("--samples",)

    def run(self) -> None:
        """Evaluate."""
        from directmax.tool.look.progress import Terminal, bars
        from directmax.tool.run.finished import evaluate_run

        quiet()
        if self.switched:
            self._switched()
            return
        images: list[Any] = []
        with bars() as progress:
            metrics = evaluate_run(
                self.run_dir,
                data=self.data,
                data_dir=self.data_dir,
                device=self.device,
                num_samples=self.samples,
                seed=self.seed,
                splits=self.splits,
                progress=progress,
                read=images.append,
            )
        if self.json:
            import json

            print(json.dumps(metrics, indent=2))
            return
        from directmax.tool.run.tables import attribute_table, bound_table, confusion_table

        console = Terminal()
        for split, values in metrics.items():
            if "confusion" in values:
                console.print(confusion_table(split, values["confusion"], images[0].label_names))
        if any("attributes" in values for values in metrics.values()):
            console.print(attribute_table(metrics))
        console.print(bound_table(metrics))

    def _switched(self) -> None:
        from directmax.tool.look.progress import Terminal
        from directmax.tool.run.attribute_switching import switched_run
        from directmax.tool.run.tables import switched_table

        found = switched_run(
            self.run_dir, data=self.data, data_dir=self.data_dir, device=self.device
        )
        if self.json:
            import json

            print(json.dumps(found, indent=2))
        else:
            Terminal().print(switched_table(found))


@dataclass(frozen=True)
class Sample:
    """Draw a run's model: images decoded from its codes, reconstructions beside their originals."""

    run_dir: RunDir
    """Folder of the run."""
    output: Annotated[str, tyro.conf.arg(metavar="FILE.png")]
    """The PNG file to write."""
    images: int = 100
    """How many codes to decode: all of them, in order, where there are at most so many, else
    random ones. Ignored by the mixed model (one row per class, columns share a Gaussian code)
    and the attributes model (one row per test image)."""
    reconstructions: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="INT", help_behavior_hint="(default: 20, or 0 where there are no images)"
        ),
    ] = None
    """How many test images to reconstruct; with 0 no images are needed."""
    columns: int = 10
    """Images in a row; of a model of attributes, test images."""
    attributes: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: all, at most 4)"),
    ] = ()
    """Of a model of attributes: which are switched on and off."""
    data: OtherData = None
    """Other images of the same kind to reconstruct."""
    data_dir: DataDir = None
    """Where to look for images first."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    seed: int = 0
    """Of the random codes."""

    memory: ClassVar[tuple[str, ...]] = ("--images", "--reconstructions", "--columns")

    def run(self) -> None:
        """Draw."""
        from directmax.tool.run.finished import sample_run

        quiet()
        lacking = sample_run(
            self.run_dir,
            self.output,
            data=self.data,
            num_images=self.images,
            num_reconstructions=self.reconstructions,
            columns=self.columns,
            attributes=self.attributes,
            data_dir=self.data_dir,
            device=self.device,
            seed=self.seed,
        )
        print(f"wrote {self.output}" + (f", without images: {lacking}" if lacking else ""))


@dataclass(frozen=True)
class Edit:
    """Switch attributes of an image: its Gaussian code is decoded with others."""

    run_dir: RunDir
    """Folder of a run of the attributes model."""
    image: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
    """The image; its middle square is taken."""
    changes: Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=0|1 ...")]
    """Attributes to switch, such as Smiling=1 Eyeglasses=0."""
    output: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE.png", help_behavior_hint="(default: IMAGE's name-edited.png)"),
    ] = None
    """The PNG file to write."""
    keep_detail: bool = False
    """Add the change to the image itself, in place of the decoded one, which is smoother."""
    data_dir: DataDir = None
    """Not needed any more: the folder of the run has what is."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    def run(self) -> None:
        """Edit."""
        from directmax.tool.run.finished import edit_image

        quiet()
        output = self.output or f"{PurePath(self.image).stem}-edited.png"
        attributes = edit_image(
            self.run_dir,
            self.image,
            output,
            changes=_switches(self.changes),
            keep_detail=self.keep_detail,
            device=self.device,
        )
        for name, (before, after) in attributes.items():
            print(f"{name}: {before:.1%} before, {'on' if after else 'off'} now")
        print(f"wrote {output}")


@dataclass(frozen=True)
class Encode:
    """Write the codes of images, and how probable they are, to a file of arrays or a table."""

    run_dir: RunDir
    """Folder of the run."""
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|PATH")]
    """A data set by name, or images of your own that fit the model."""
    output: Annotated[str, tyro.conf.arg(metavar="FILE.npz|.csv")]
    """The file to write: codes, probabilities, and labels where there are any. In .csv the most
    probable values alone, a row an image."""
    samples: int = 0
    """Codes to draw for every image beside the most probable one."""
    data_dir: DataDir = None
    """Where to look for images first."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    seed: int = 0
    """Of the samples."""

    def run(self) -> None:
        """Encode."""
        from directmax.tool.look.progress import bars
        from directmax.tool.run.encode import encode_images

        quiet()
        with bars() as progress:
            count = encode_images(
                self.run_dir,
                self.source,
                self.output,
                num_samples=self.samples,
                data_dir=self.data_dir,
                device=self.device,
                seed=self.seed,
                progress=progress,
            )
        print(f"wrote {self.output}: codes of {count:,} image{'' if count == 1 else 's'}")


@dataclass(frozen=True)
class Export:
    """Write a run's encoder and decoder as ONNX or torch.export files, checked against it."""

    run_dir: RunDir
    """Folder of the run."""
    output: Annotated[str, tyro.conf.arg(metavar="DIR")]
    """The folder to write to."""
    format: Annotated[str, tyro.conf.arg(metavar="onnx|torch")] = "onnx"
    """onnx, or torch for torch.export (.pt2)."""

    def run(self) -> None:
        """Export."""
        from directmax.tool.run.export import export_run

        quiet()
        for name, difference in export_run(self.run_dir, self.output, format=self.format).items():
            print(f"wrote {PurePath(self.output) / name}: differs by at most {difference:.1e}")


def _switches(words: tuple[str, ...]) -> dict[str, bool]:
    """Attributes and values of `--set`.

    Raises:
        ValueError: none, another form than NAME=0 or NAME=1, or one twice.
    """
    if not words:
        raise ValueError("--set needs at least one attribute, such as --set Smiling=1")
    changes = {}
    for word in words:
        name, _, value = word.rpartition("=")  # a name may be gender=Female
        if value not in ("0", "1") or not name:
            raise ValueError(f"--set needs NAME=0 or NAME=1, such as Smiling=1, got '{word}'")
        if name in changes:
            raise ValueError(f"--set names {name} twice; name it once")
        changes[name] = value == "1"
    return changes
