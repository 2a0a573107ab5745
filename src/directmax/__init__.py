"""directmax: train through arg max.

The library's public names, imported on first use so that the command line starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from directmax._lazy import lazy_names
from directmax._version import __version__ as __version__

if TYPE_CHECKING:
    from directmax._load import load as load
    from directmax.distributions import Categorical as Categorical
    from directmax.distributions import Gibbs as Gibbs
    from directmax.distributions import PairwiseBinary as PairwiseBinary
    from directmax.distributions import PerturbedArgmax as PerturbedArgmax
    from directmax.distributions import SumOfGamma as SumOfGamma
    from directmax.estimators import Arm as Arm
    from directmax.estimators import ClampedArgmax as ClampedArgmax
    from directmax.estimators import CorrectedDirect as CorrectedDirect
    from directmax.estimators import Direct as Direct
    from directmax.estimators import DisArm as DisArm
    from directmax.estimators import Estimate as Estimate
    from directmax.estimators import Estimator as Estimator
    from directmax.estimators import Exact as Exact
    from directmax.estimators import GumbelRao as GumbelRao
    from directmax.estimators import GumbelSoftmax as GumbelSoftmax
    from directmax.estimators import ImplicitMLE as ImplicitMLE
    from directmax.estimators import LabelledDirect as LabelledDirect
    from directmax.estimators import LocalDivergence as LocalDivergence
    from directmax.estimators import LocalExpectation as LocalExpectation
    from directmax.estimators import LocalSearch as LocalSearch
    from directmax.estimators import NoiseScore as NoiseScore
    from directmax.estimators import Rebar as Rebar
    from directmax.estimators import ReinMax as ReinMax
    from directmax.estimators import Relax as Relax
    from directmax.estimators import ScoreFunction as ScoreFunction
    from directmax.estimators import StraightThrough as StraightThrough
    from directmax.estimators import Surrogate as Surrogate
    from directmax.estimators import candidate_noise as candidate_noise
    from directmax.estimators import refine as refine
    from directmax.gumbel import conditional_gumbel as conditional_gumbel
    from directmax.gumbel import sample_gumbel as sample_gumbel
    from directmax.laboratory import GradientComparison as GradientComparison
    from directmax.laboratory import GradientStatistics as GradientStatistics
    from directmax.laboratory import compare_gradients as compare_gradients
    from directmax.models import AttributeDecoder as AttributeDecoder
    from directmax.models import AttributeEncoder as AttributeEncoder
    from directmax.models import AttributeVAE as AttributeVAE
    from directmax.models import Codebook as Codebook
    from directmax.models import CodebookDecoder as CodebookDecoder
    from directmax.models import Decoder as Decoder
    from directmax.models import DiscreteVAE as DiscreteVAE
    from directmax.models import Encoder as Encoder
    from directmax.models import ImageDecoder as ImageDecoder
    from directmax.models import ImageTrunk as ImageTrunk
    from directmax.models import MixedEncoder as MixedEncoder
    from directmax.models import MixedVAE as MixedVAE
    from directmax.models import PairwiseEncoder as PairwiseEncoder
    from directmax.objectives import AttributeReconstruction as AttributeReconstruction
    from directmax.objectives import LinearCost as LinearCost
    from directmax.objectives import MixedReconstruction as MixedReconstruction
    from directmax.objectives import Reconstruction as Reconstruction
    from directmax.objectives import batched as batched
    from directmax.schedules import ExponentialDecay as ExponentialDecay
    from directmax.schedules import GeometricDecay as GeometricDecay
    from directmax.schedules import LinearDecay as LinearDecay

__all__, __getattr__, __dir__ = lazy_names(__name__)
__all__ += ["__version__"]
