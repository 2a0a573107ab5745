"""A trained model for other programs, as ONNX or torch.export files that are checked."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from directmax._choices import check_choice
from directmax.models import DiscreteVAE, StructuredEncoder
from directmax.tool.files import RunError, cannot_write, making_folder, user_path
from directmax.tool.run.export_parts import ExportedDecoder, ExportedEncoder
from directmax.tool.run.trained import TrainedModel, load

FORMATS = {"onnx": ".onnx", "torch": ".pt2"}
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Of a difference, relative to numbers above 1."""
CHECKED = (1, 7)
"""Sizes of the batches with which an export is compared."""


def export_run(
    run_dir: str | Path,
    output: str | Path,
    *,
    format: str = "onnx",  # noqa: A002
) -> dict[str, float]:
    """Write `encoder` and `decoder` of a run's best model as files, and `model.json` about them.

    The batch may be of any size. Each file is read again and compared with the model on random
    input, also of other batch sizes; what differs is not kept.

    Args:
        run_dir: folder of the run.
        output: folder to write to; made if it is not there.
        format: "onnx", or "torch" for `torch.export` (`.pt2`).

    Returns:
        The largest difference to the model, by file.

    Raises:
        RunError, ValueError: the run or the folder cannot be used, a package is missing, or an
            export differs from the model.
    """
    check_choice("format", format, tuple(FORMATS))
    if format == "onnx":
        _check_onnx()
    trained = load(run_dir, device="cpu")
    if isinstance(trained.model.encoder, StructuredEncoder):
        raise ValueError(
            f"a run with --encoder {trained.config.encoder} cannot be exported: its codes are the "
            "best of a set, which a file of layers cannot find; use directmax.load in Python"
        )
    folder = user_path(output)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"cannot write to {output}: it is no folder")
    differences = {}
    try:
        with (
            making_folder(folder),
            tempfile.TemporaryDirectory(dir=folder, prefix=".half-") as half,
        ):
            written = []
            for name, part in _parts(trained).items():
                file = Path(half) / f"{name}{FORMATS[format]}"
                with torch.no_grad(), _quiet():
                    _write(part, _input(trained, part.inputs, 3), file, format)
                    differences[file.name] = _compare(trained, part, file, format)
                written.append(file)
            about = Path(half) / "model.json"
            about.write_text(json.dumps(_about(trained, format), indent=2) + "\n")
            for file in (*written, about):
                file.replace(folder / file.name)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return differences


def _check_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            f"--format onnx needs pip install 'directmax[onnx]' ({error.name} is not installed); "
            "--format torch needs nothing more"
        ) from error


def _parts(trained: TrainedModel) -> dict[str, Any]:
    """What is exported, by name."""
    return {"encoder": ExportedEncoder(trained), "decoder": ExportedDecoder(trained)}


def _input(trained: TrainedModel, names: Sequence[str], count: int, seed: int = 0) -> Any:
    """Random input by name."""
    generator = torch.Generator().manual_seed(seed)
    config, dtype = trained.config, next(trained.model.parameters()).dtype
    found = {}
    if "images" in names:
        flat = config.model != "attributes"
        shape = (trained.images.num_pixels,) if flat else trained.images.shape
        found["images"] = torch.rand(count, *shape, generator=generator, dtype=dtype)
        if flat and trained.binarization != "none":
            found["images"] = found["images"].round()
    if "z" in names:
        values = torch.randint(config.values, (count, config.variables), generator=generator)
        found["z"] = nn.functional.one_hot(values, config.values).to(dtype)
    if "gaussian" in names:
        found["gaussian"] = torch.randn(count, config.gaussian, generator=generator, dtype=dtype)
    return found


def _write(part: Any, example: dict[str, Tensor], file: Path, format: str) -> None:  # noqa: A002
    # Not an example of one image: torch would take 1 for a constant.
    batch = torch.export.Dim("batch", min=1)
    shapes = {name: {0: batch} for name in example}
    program = torch.export.export(part, (), kwargs=example, dynamic_shapes=shapes)
    if format == "torch":
        content = io.BytesIO()  # torch's own file ends the process where the disk is full
        torch.export.save(program, content)
        file.write_bytes(content.getvalue())
        return
    torch.onnx.export(
        program,
        kwargs=example,
        f=file,
        external_data=False,
        input_names=list(example),
        output_names=part.outputs,
        verbose=False,
    )


def _compare(trained: TrainedModel, part: Any, file: Path, format: str) -> float:  # noqa: A002
    """The largest difference between a file and the model.

    Raises:
        RunError: it is too large.
    """
    run, worst = _reader(file, format), 0.0
    for seed, count in enumerate(CHECKED, 1):
        inputs = _input(trained, part.inputs, count, seed)
        expected, found = _tuple(part(**inputs)), _tuple(run(inputs))
        for name, one, other in zip(part.outputs, expected, found, strict=True):
            worst = max(worst, _difference(name, one, other, expected))
    limit = TOLERANCE[next(trained.model.parameters()).dtype]
    if not worst <= limit:
        raise RunError(
            f"{file.name} differs from the model by {worst:.2g}, and at most {limit:g} is "
            "expected; nothing was written"
        )
    return worst


def _difference(name: str, model: Tensor, exported: Tensor, everything: Sequence[Tensor]) -> float:
    """The largest difference, relative to numbers above 1; of codes, in their probability."""
    if model.shape != exported.shape or model.dtype != exported.dtype:
        return torch.inf
    if name == "code":  # of two that are equally probable either will do
        probabilities = everything[0]
        chosen = [probabilities.gather(-1, each.unsqueeze(-1)) for each in (model, exported)]
        return float((chosen[0] - chosen[1]).abs().max())
    return float(((model - exported).abs() / model.abs().clamp_min(1)).max())


def _reader(file: Path, format: str) -> Any:  # noqa: A002
    """What calls an exported file with inputs by name."""
    if format == "torch":
        module = torch.export.load(file).module()
        return lambda inputs: module(**inputs)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda inputs: tuple(
        torch.from_numpy(each)
        for each in session.run(None, {name: each.numpy() for name, each in inputs.items()})
    )


def _tuple(found: Any) -> tuple[Tensor, ...]:
    return (found,) if isinstance(found, Tensor) else tuple(found)


def _about(trained: TrainedModel, format: str) -> dict[str, Any]:  # noqa: A002
    """What a program that uses the files must know."""
    parts = _parts(trained)
    learned = trained.model.prior if isinstance(trained.model, DiscreteVAE) else None
    return {
        "run": trained.config.title,
        "format": format,
        "inputs": {
            name: {
                each: ["batch", *tensor.shape[1:]]
                for each, tensor in _input(trained, part.inputs, 1).items()
            }
            for name, part in parts.items()
        },
        "outputs": {name: part.outputs for name, part in parts.items()},
        "dtype": str(next(trained.model.parameters()).dtype).removeprefix("torch."),
        "images": trained.images.to_dict(),
        "pixels": "from 0 to 1, in the order channels, rows, columns",
        "binarization": trained.binarization,
        "threshold": trained.config.threshold,
        "prior": None if learned is None else learned.tolist(),  # of codes to draw; else uniform
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the notes of the exporters."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
