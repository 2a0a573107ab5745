"""E_q[f] as a value whose gradient is the estimator's; one file a family.

`ESTIMATORS` declares each that has a name on the command line. Classes are imported on first use,
so that the declarations can be read without torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from directmax._lazy import lazy_names

if TYPE_CHECKING:
    from directmax.estimators._arm import Arm as Arm
    from directmax.estimators._arm import DisArm as DisArm
    from directmax.estimators._base import Estimate as Estimate
    from directmax.estimators._base import Estimator as Estimator
    from directmax.estimators._clamped_argmax import ClampedArgmax as ClampedArgmax
    from directmax.estimators._corrected_direct import CorrectedDirect as CorrectedDirect
    from directmax.estimators._direct import Direct as Direct
    from directmax.estimators._exact import Exact as Exact
    from directmax.estimators._gumbel_softmax import GumbelSoftmax as GumbelSoftmax
    from directmax.estimators._implicit_mle import ImplicitMLE as ImplicitMLE
    from directmax.estimators._labelled_direct import LabelledDirect as LabelledDirect
    from directmax.estimators._local_divergence import LocalDivergence as LocalDivergence
    from directmax.estimators._local_expectation import LocalExpectation as LocalExpectation
    from directmax.estimators._local_search import LocalSearch as LocalSearch
    from directmax.estimators._noise_score import NoiseScore as NoiseScore
    from directmax.estimators._rebar import Rebar as Rebar
    from directmax.estimators._rebar import Relax as Relax
    from directmax.estimators._rebar import Surrogate as Surrogate
    from directmax.estimators._refine import candidate_noise as candidate_noise
    from directmax.estimators._refine import refine as refine
    from directmax.estimators._score_function import ScoreFunction as ScoreFunction
    from directmax.estimators._straight_through import GumbelRao as GumbelRao
    from directmax.estimators._straight_through import ReinMax as ReinMax
    from directmax.estimators._straight_through import StraightThrough as StraightThrough

__all__, __getattr__, __dir__ = lazy_names(__name__)

_DRAWS = {"num_samples": "num_samples"}
_STEP = {"epsilon": "epsilon", "epsilon_scale": "scale", "two_sided": "two_sided", **_DRAWS}
_MEAN = {"rao_blackwell": "rao_blackwell"}
_SUBSET = {"num_variables": "num_variables"}
_RELAXED = {"temperature": "temperature", **_DRAWS}
_BOTH = ("unary", "states")


@dataclass(frozen=True)
class Declaration:
    """What is known of an estimator without importing it.

    Attributes:
        class_name: its class, a name of this package.
        uses: settings of a training that it uses, and the constructor's argument for each.
        timed: those that say when an argument changes.
        bias: in words, as `needs` and `evaluations`, for the table of the documentation.
        needs: of q and f.
        evaluations: of f, for a problem and sample.
        anneals: the setting that may fall with the step.
        coupled: kinds of noise with which it takes coupled variables; none: independent ones only.
        gibbs: whether it takes the Gibbs distribution of a structure.
        independent: whether it takes independent variables.
        binary: whether it takes binary variables only.
        tabulates: whether it asks for f of single changes, without gradient.
        temperature: where τ starts.
        parts: arguments that are networks of their own: their classes, for n variables of k values.

    Example:
        >>> ESTIMATORS["direct"].class_name, "epsilon" in ESTIMATORS["exact"].uses
        ('Direct', False)
    """

    class_name: str
    uses: dict[str, str]
    bias: str
    needs: str
    evaluations: str
    timed: tuple[str, ...] = ()
    anneals: str | None = None
    coupled: tuple[str, ...] = ()
    gibbs: bool = False
    independent: bool = True
    binary: bool = False
    tabulates: bool = False
    temperature: float = 1.0
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def cls(self) -> type[Estimator]:
        """The class, imported now."""
        found: type[Estimator] = __getattr__(self.class_name)
        return found

    def make(self, settings: dict[str, Any], num_variables: int, num_values: int) -> Estimator:
        """The estimator with some settings, by the names in `uses`, others as they are by default.

        Args:
            settings: values or schedules.
            num_variables: n, for an estimator with networks of its own.
            num_values: k, likewise.

        Example:
            >>> ESTIMATORS["exact"].make({"epsilon": 0.1}, 1, 10)
            Exact(max_states=65536)
        """
        arguments = {
            self.uses[name]: value for name, value in settings.items() if name in self.uses
        }
        for argument, part in self.parts.items():
            arguments[argument] = __getattr__(part)(num_variables, num_values)
        return self.cls(**arguments)


_TABLE = "$n(k-1)$, and 1 with gradient"
_ONE = "1, with gradient"
_TWO = "2, with gradient"
_BINARY = "independent binary variables"
_INDEPENDENT = "independent variables"
_AT_VERTICES = "independent variables, $f$ differentiable at the vertices"
_TWICE = "independent variables, $f$ differentiable twice"

ESTIMATORS: dict[str, Declaration] = {
    "direct": Declaration(
        "Direct",
        _STEP | _MEAN | _SUBSET,
        r"$O(\varepsilon)$; two-sided $O(\varepsilon^2)$; more with couplings ([](structured.md))",
        "an argmax",
        _TABLE,
        anneals="epsilon",
        coupled=_BOTH,
        tabulates=True,
    ),
    "exact": Declaration(
        "Exact",
        {},
        "none, no variance",
        "few states",
        "$k^n$, with gradient",
        coupled=_BOTH,
        gibbs=True,
    ),
    "gumbel-softmax": Declaration(
        "GumbelSoftmax",
        _RELAXED | {"straight_through": "straight_through"},
        "of the relaxation",
        "independent variables or few states, $f$ differentiable between the vertices",
        _ONE,
        anneals="temperature",
        coupled=("states",),
    ),
    "local-expectation": Declaration(
        "LocalExpectation", _DRAWS | _SUBSET, "none", _INDEPENDENT, _TABLE, tabulates=True
    ),
    "local-search": Declaration(
        "LocalSearch",
        _DRAWS | {"moves": "moves", "covering": "alpha"},
        "the bound of a refined $q'$ in place of $q$'s",
        "independent or coupled binary variables",
        "$(m+1) n(k-1)$ with $m$ moves, and 1 with gradient",
        timed=("moves_from", "refined_from"),
        coupled=_BOTH,
        tabulates=True,
    ),
    "local-divergence": Declaration(
        "LocalDivergence",
        _DRAWS | {"covering": "alpha"},
        r"towards soft $q$ for $\alpha > 0$",
        _INDEPENDENT,
        _TABLE,
        tabulates=True,
    ),
    "clamped-argmax": Declaration(
        "ClampedArgmax",
        _DRAWS,
        "none for perturb-and-MAP samples",
        "binary variables, an exact argmax",
        "$n$, and 1 with gradient",
        coupled=("unary",),
        independent=False,
        tabulates=True,
    ),
    "corrected-direct": Declaration(
        "CorrectedDirect",
        _STEP,
        "none",
        _INDEPENDENT,
        _TABLE,
        anneals="epsilon",
        tabulates=True,
    ),
    "score-function": Declaration(
        "ScoreFunction",
        _DRAWS | {"baseline": "baseline"},
        "none",
        r"samples of $q$ and $\log q$",
        _ONE,
        coupled=("states",),
        gibbs=True,
    ),
    "rebar": Declaration(
        "Rebar",
        _RELAXED,
        "none",
        _TWICE,
        "1 with gradient, 2 with second derivatives",
        temperature=0.5,
    ),
    "relax": Declaration(
        "Relax",
        _RELAXED,
        "none",
        _TWICE + "; not with `scale=None`",
        "as `Rebar`; with `scale=None` 1, with gradient",
        temperature=0.5,
        parts={"surrogate": "Surrogate"},
    ),
    "arm": Declaration("Arm", _DRAWS, "none", _BINARY, _TWO, binary=True),
    "disarm": Declaration("DisArm", _DRAWS, "none", _BINARY, _TWO, binary=True),
    "straight-through": Declaration(
        "StraightThrough", _RELAXED, "of first order", _AT_VERTICES, _ONE, anneals="temperature"
    ),
    "reinmax": Declaration("ReinMax", _RELAXED, "of second order", _AT_VERTICES, _ONE),
    "gumbel-rao": Declaration(
        "GumbelRao",
        _RELAXED,
        "of first order",
        _AT_VERTICES,
        _ONE,
        anneals="temperature",
        temperature=0.5,
    ),
    "implicit-mle": Declaration(
        "ImplicitMLE",
        _STEP | _MEAN,
        r"of first order, and $O(\varepsilon)$",
        "an argmax, $f$ differentiable at the vertices",
        _ONE,
        anneals="epsilon",
        coupled=_BOTH,
    ),
}
"""Every estimator by its name on the command line."""
