"""Mini-batches of a data set that need not fit into memory: read by workers, in a given order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from directmax._validation import LARGEST, check_count
from directmax.tool.data.attributes import ImageDataset
from directmax.tool.data.errors import DataError, reason
from directmax.tool.data.workers import Workers, no_advice_on_workers, outlive_signals

Request = tuple[int, NDArray[np.int64]]
"""Epoch and image numbers of a batch. Not a tensor, of which another process gets a file, and asks
this one for it."""

PREFETCH = 2
"""Batches that every worker reads ahead."""


@dataclass(frozen=True)
class Augmentation:
    """Mirrored and shifted images, decided by the seed, the epoch and the image's number alone.

    Neither the order of the images, nor the batch that one is in, nor the number of workers
    matters, so that a resumed run sees the same.

    Attributes:
        seed: decides all.
        flip: whether half of the images, drawn anew in every epoch, are mirrored left to right.
        shift: at most so many pixels to each of the four sides, drawn uniformly; the pixels at the
            edge are repeated.

    Raises:
        TypeError: `seed` or `shift` is no integer.
        ValueError: `seed` or `shift` is negative.

    Example:
        >>> images = torch.arange(6, dtype=torch.uint8).view(1, 1, 2, 3).repeat(4, 1, 1, 1)
        >>> turned = Augmentation(seed=0)(images, torch.arange(4), epoch=0)
        >>> turned[:, 0, 0].tolist()
        [[0, 1, 2], [2, 1, 0], [2, 1, 0], [0, 1, 2]]
    """

    seed: int
    flip: bool = True
    shift: int = 0

    def __post_init__(self) -> None:
        check_count("seed", self.seed, 0, maximum=LARGEST)
        check_count("shift", self.shift, 0)

    def __call__(
        self,
        images: UInt8[Tensor, "batch channels height width"],
        indices: Int[Tensor, " batch"],
        *,
        epoch: int,
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Return the images of an epoch, on the same device.

        Args:
            images: `(b, channels, height, width)`, any type.
            indices: `(b,)`, their numbers in the data set.
            epoch: from 0.
        """
        height, width = images.shape[-2:]
        draws = _draws(self.seed, epoch, indices.cpu().numpy(), 3)  # (3, b)
        down, right = (draws[1:] % np.uint64(2 * self.shift + 1)).astype(np.int64) - self.shift
        rows = (np.arange(height) - down[:, None]).clip(0, height - 1)  # (b, height)
        columns = (np.arange(width) - right[:, None]).clip(0, width - 1)  # (b, width)
        if self.flip:
            columns = np.where(draws[:1].T & np.uint64(1), width - 1 - columns, columns)
        where = [torch.from_numpy(part).to(images.device) for part in (rows, columns)]
        batch = torch.arange(len(images), device=images.device)
        # the indexed axes come first: (b, height, width, channels)
        moved = images[batch[:, None, None], :, where[0][:, :, None], where[1][:, None, :]]
        return moved.permute(0, 3, 1, 2).contiguous()


class ImageStream:
    """Mini-batches of a dataset's images, read by worker processes ahead of their use.

    The batches depend on the order, the batch size and the augmentation alone: any number of
    workers gives the same, and an epoch that begins at a later step continues as the whole one.

    Workers start with the first batch and stay for the next epochs. They leave Ctrl-C and
    SIGTERM to the process that they work for. Close the stream, or use it in a `with` statement.

    Args:
        images: a map-style dataset: `images[i]` is a `(channels, height, width)` uint8 tensor. With
            a method `__getitems__`, a batch is asked for at once.
        batch_size: b.
        workers: how many processes read; 0 reads in this one, when a batch is asked for.
        augmentation: what is done to the images; None for nothing.
        pin_memory: whether the batches are in page-locked memory, from which
            `batch.to("cuda", non_blocking=True)` copies while the GPU computes; not without CUDA.

    Raises:
        TypeError: `batch_size` or `workers` is no integer.
        ValueError: `batch_size` is below 1 or `workers` below 0.

    Example:
        >>> from directmax.tool.data import ImagesInMemory
        >>> images = ImagesInMemory(torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1))
        >>> with ImageStream(images, batch_size=2) as stream:
        ...     for batch in stream.batches(torch.tensor([4, 0, 3, 1, 2])):
        ...         print(batch.flatten().tolist())
        [4, 0]
        [3, 1]
        [2]
        >>> [batch.flatten().tolist() for batch in stream.batches(torch.tensor([4, 0, 3]), start=1)]
        [[3]]
    """

    def __init__(
        self,
        images: ImageDataset,
        *,
        batch_size: int,
        workers: int = 0,
        augmentation: Augmentation | None = None,
        pin_memory: bool = False,
    ) -> None:
        self.images = images
        self.batch_size = check_count("batch_size", batch_size)
        self.workers = check_count("workers", workers, 0)
        self.augmentation = augmentation
        self.pin_memory = pin_memory
        self._requests = _Requests()
        self._loader: DataLoader[Tensor | _Failure] | None = None
        self._workers = Workers()

    def batches(
        self, order: Int[Tensor, " images"], *, epoch: int = 0, start: int = 0
    ) -> Iterator[UInt8[Tensor, "batch channels height width"]]:
        """Yield the batches of an epoch; one epoch at a time.

        Args:
            order: `(m,)`, numbers of images, for example a permutation. Batch t has the images
                `order[t * b : (t + 1) * b]`; the last may have fewer than b.
            epoch: number of the epoch, for the augmentation.
            start: batches to leave out at the beginning.

        Yields:
            `(b, channels, height, width)`, uint8, on the CPU.

        Raises:
            TypeError: `order` is no tensor of integers.
            ValueError: `order` has another number of axes than one or a number that no image has.
            DataError: an image cannot be read, or a worker was killed (one line).
        """
        self._check(order)
        check_count("start", start, 0, maximum=LARGEST)
        chunks = order.cpu().split(self.batch_size)[start:] if len(order) else ()
        return self._read([(epoch, chunk.numpy()) for chunk in chunks])

    def close(self) -> None:
        """End the workers; the next call of `batches` would start new ones."""
        loader, self._loader = self._loader, None
        self._workers.end(getattr(loader, "_iterator", None))

    def __enter__(self) -> ImageStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self, requests: list[Request]) -> Iterator[Tensor]:
        if not requests:
            return
        self._requests.pending = requests
        if self._loader is None:
            with no_advice_on_workers():
                self._loader = self._make_loader()
        batches = self._workers.begin(self._loader)
        while (batch := self._workers.next(batches)) is not None:
            if isinstance(batch, _Failure):
                raise DataError(batch.message)
            yield batch

    def _make_loader(self) -> DataLoader[Tensor | _Failure]:
        return DataLoader(
            _Batches(self.images, self.augmentation),
            batch_size=None,  # an item is a batch already
            sampler=self._requests,
            num_workers=self.workers,
            worker_init_fn=outlive_signals if self.workers else None,
            prefetch_factor=PREFETCH if self.workers else None,
            persistent_workers=self.workers > 0,
            pin_memory=self.pin_memory and torch.cuda.is_available(),
            generator=torch.Generator(),  # it draws a seed, which nothing here uses
        )

    def _check(self, order: Tensor) -> None:
        if not isinstance(order, Tensor) or order.is_floating_point() or order.dtype == torch.bool:
            got = order.dtype if isinstance(order, Tensor) else type(order).__name__
            raise TypeError(f"order must be a tensor of integers, got {got}")
        if order.ndim != 1:
            raise ValueError(f"order must have one axis, got shape {tuple(order.shape)}")
        if len(order):
            low, high = (int(bound) for bound in order.aminmax())
            if low < 0 or high >= len(self.images):
                raise ValueError(
                    f"order must have numbers in 0 … {len(self.images) - 1}, "
                    f"got numbers from {low} to {high}"
                )


@dataclass(frozen=True)
class _Failure:
    """What a worker sends instead of a batch: torch would add its traceback to an exception."""

    message: str


class _Requests(Sampler[Request]):
    """Epoch and image numbers of the batches to read next."""

    def __init__(self) -> None:
        self.pending: list[Request] = []

    def __iter__(self) -> Iterator[Request]:
        return iter(self.pending)

    def __len__(self) -> int:
        return len(self.pending)


class _Batches(Dataset["Tensor | _Failure"]):
    """The dataset that workers hold: an item is a batch."""

    def __init__(self, images: ImageDataset, augmentation: Augmentation | None) -> None:
        self.images = images
        self.augmentation = augmentation

    def __getitem__(self, request: Request) -> Tensor | _Failure:
        epoch, indices = request
        try:
            together = getattr(self.images, "__getitems__", None)
            if together is not None:
                batch = torch.as_tensor(together(indices.tolist()))
            else:
                batch = torch.stack([self.images[index] for index in indices.tolist()])
        except DataError as error:
            return _Failure(str(error))
        except (OSError, MemoryError) as error:
            return _Failure(f"cannot read images: {reason(error)}; try fewer workers")
        if self.augmentation is not None:
            batch = self.augmentation(batch, torch.from_numpy(indices), epoch=epoch)
        return batch


def _draws(seed: int, epoch: int, indices: NDArray[np.int64], count: int) -> NDArray[np.uint64]:
    """`(count, b)` words of 64 random bits, each a function of seed, epoch, index and row alone.

    SplitMix64's finaliser over the four numbers in turn (Steele, Lea and Flood, OOPSLA 2014).
    """
    words = np.broadcast_to(np.arange(count, dtype=np.uint64)[:, None], (count, len(indices)))
    for part in (indices.astype(np.uint64), np.uint64(epoch), np.uint64(seed % 2**64)):
        words = _mix(words * _GOLDEN + part + np.uint64(1))
    return words


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
