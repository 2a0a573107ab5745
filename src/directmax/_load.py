"""The door from the library to a trained run of the tool, which is imported at the call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from directmax.tool.run.trained import TrainedModel


def load(run_dir: str | Path, *, device: str | torch.device = "auto") -> TrainedModel:
    """The best model of a run that `directmax train` wrote; the images are not needed.

    Args:
        run_dir: folder of the run.
        device: auto, cpu, cuda, cuda:N or mps, or a `torch.device`.

    Returns:
        An object with `encode(images)`: probabilities, the most probable code and samples;
        `decode(z)`: mean images; `sample(m)`: images of the prior; `bound(images)`, in nats per
        image; and `model`, the `torch.nn.Module`.

    Raises:
        ImportError: the packages of the tool are not installed.
        ValueError: the folder holds no finished epoch, is damaged, or the device is not there.

    Example:
        >>> import tempfile, torch
        >>> from directmax.tool import TrainConfig, train
        >>> folder = tempfile.TemporaryDirectory()
        >>> summary = train(TrainConfig(epochs=2), folder.name, device="cpu")  # 8×8 digits
        >>> model = load(folder.name, device="cpu")
        >>> images = torch.rand(5, 8, 8)  # or 8-bit, or rows of 64
        >>> found = model.encode(images)
        >>> found.probabilities.shape, found.code.shape
        (torch.Size([5, 1, 10]), torch.Size([5, 1]))
        >>> model.decode(found.code).shape, model.sample(3).shape
        (torch.Size([5, 8, 8]), torch.Size([3, 8, 8]))
        >>> bool((model.bound(images).bound > 0).all())
        True
        >>> folder.cleanup()
    """
    try:
        from directmax.tool.run import trained
    except ModuleNotFoundError as error:
        if (error.name or "directmax").partition(".")[0] == "directmax":
            raise
        raise ImportError(
            f"directmax.load needs pip install 'directmax[tool]' ({error.name} is not installed)"
        ) from error
    return trained.load(run_dir, device=device)
