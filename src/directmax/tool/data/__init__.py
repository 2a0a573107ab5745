"""Real image data by name: loaded from disk or downloaded, checked, split and binarised.

Names resolve on first use, so that `directmax.tool.data.names` can be read without importing torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from directmax._lazy import lazy_names

if TYPE_CHECKING:
    from directmax.tool.data.attributes import AttributeData as AttributeData
    from directmax.tool.data.attributes import AttributeSplit as AttributeSplit
    from directmax.tool.data.attributes import ImagesInMemory as ImagesInMemory
    from directmax.tool.data.binarization import best_threshold as best_threshold
    from directmax.tool.data.binarization import binarize as binarize
    from directmax.tool.data.errors import DataError as DataError
    from directmax.tool.data.labelled import balanced_indices as balanced_indices
    from directmax.tool.data.labelled import labelled_rows as labelled_rows
    from directmax.tool.data.load import load_attributes as load_attributes
    from directmax.tool.data.load import load_images as load_images
    from directmax.tool.data.names import ATTRIBUTE_DATASETS as ATTRIBUTE_DATASETS
    from directmax.tool.data.names import BINARIZATIONS as BINARIZATIONS
    from directmax.tool.data.names import DATASETS as DATASETS
    from directmax.tool.data.names import DEFAULT_ATTRIBUTES as DEFAULT_ATTRIBUTES
    from directmax.tool.data.streams import Augmentation as Augmentation
    from directmax.tool.data.streams import ImageStream as ImageStream
    from directmax.tool.data.types import ImageData as ImageData
    from directmax.tool.data.types import Split as Split

__all__, __getattr__, __dir__ = lazy_names(__name__)
