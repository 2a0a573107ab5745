"""PerturbedArgmax: what it asks of a maximiser, what it answers, and one line for what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from directmax import (
    Exact,
    LocalExpectation,
    PairwiseBinary,
    PerturbedArgmax,
    ScoreFunction,
)
from directmax.solvers import OneByOne
from perturbed_problems import ASSIGNMENTS, NO_NEIGHBOURS, ONE_OF_THREE, tries_all


def draw(*sizes: int, seed: int = 0) -> Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def best_of(allowed: Tensor, scores: Tensor) -> Tensor:
    """One-hot argmax of one problem's scores `(n, k)`, in a plain loop."""
    totals = [sum(float(scores[i, v]) for i, v in enumerate(z)) for z in allowed.tolist()]
    values = allowed[totals.index(max(totals))]
    return torch.nn.functional.one_hot(values, scores.shape[-1]).double()


@pytest.mark.parametrize("allowed", [ONE_OF_THREE, NO_NEIGHBOURS, ASSIGNMENTS])
def test_argmaxes_against_brute_force(allowed: Tensor) -> None:
    n, k = allowed.shape[1], int(allowed.max()) + 1
    q = PerturbedArgmax(draw(2, n, k), tries_all(allowed))
    noise, shift = draw(3, 2, n, k, seed=1), draw(3, 2, n, k, seed=2)
    plain, shifted = q.argmax(noise), q.argmax(noise, shift)
    for s in range(3):
        for b in range(2):
            scores = q.unary[b] + noise[s, b]
            assert torch.equal(plain[s, b], best_of(allowed, scores))
            assert torch.equal(shifted[s, b], best_of(allowed, scores + shift[s, b]))
    for b in range(2):
        assert torch.equal(q.mode()[b], best_of(allowed, q.unary[b]))
    z = q.sample(5, generator=torch.Generator().manual_seed(0))
    assert z.shape == (5, 2, n, k)
    assert torch.equal(z, q.argmax(q.noise(5, generator=torch.Generator().manual_seed(0))))
    torch.testing.assert_close(q.score(z), (z * q.unary).sum((-2, -1)))


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_argmaxes_with_labels_against_brute_force(scale: float) -> None:
    """However far the potentials are from the labels."""
    q = PerturbedArgmax(scale * draw(2, 4, 4), tries_all(ASSIGNMENTS))
    noise = draw(3, 2, 4, 4, seed=1)
    labels = torch.zeros(2, 4, 4, dtype=torch.float64)
    labels[0, 1, 3] = 1  # the second problem has none
    z = q.argmax_given(noise, labels)
    allowed = ASSIGNMENTS[ASSIGNMENTS[:, 1] == 3]
    for s in range(3):
        assert torch.equal(z[s, 0], best_of(allowed, q.unary[0] + noise[s, 0]))
        assert torch.equal(z[s, 1], best_of(ASSIGNMENTS, q.unary[1] + noise[s, 1]))


def test_alternatives_against_brute_force() -> None:
    always = NO_NEIGHBOURS[NO_NEIGHBOURS[:, 0] == 1]  # the first variable is always on
    for allowed in (ONE_OF_THREE, NO_NEIGHBOURS, always):
        q = PerturbedArgmax(draw(2, 3, 2), tries_all(allowed))
        noise = draw(4, 2, 3, 2, seed=1)
        z = q.argmax(noise)
        other, gap = q.alternatives(noise, z)
        assert other.shape == (3, 4, 2, 3, 2)
        for i in range(3):
            for s in range(4):
                for b in range(2):
                    value = int(z[s, b, i].argmax())
                    rest = allowed[allowed[:, i] != value]
                    if not len(rest):
                        assert torch.equal(other[i, s, b], z[s, b])
                        assert gap[i, s, b] == torch.inf
                        continue
                    without = noise[s, b].clone()
                    without[i] = 0
                    scores = q.unary[b] + without
                    expected = best_of(rest, scores)
                    assert torch.equal(other[i, s, b], expected)
                    short = (scores * (z[s, b] - expected)).sum()
                    torch.testing.assert_close(gap[i, s, b], short)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda potentials: -potentials, "never returned another value"),
        (lambda potentials: potentials.clamp(-0.1, 0.1), "never returned|is worth less"),
        (lambda potentials: potentials + draw(*potentials.shape), "is worth less"),
    ],
)
def test_answers_that_contradict_each_other_warn(
    change: Callable[[Tensor], Tensor], words: str
) -> None:
    """A function that minimises let nothing be learned without a word."""
    best = tries_all(ONE_OF_THREE)
    q = PerturbedArgmax(draw(8, 3, 2), lambda potentials: best(change(potentials)))
    noise = 0.1 * draw(4, 8, 3, 2, seed=1)
    with pytest.warns(RuntimeWarning, match=words):
        q.alternatives(noise, q.argmax(noise))


def test_a_gap_of_an_integer_programme_does_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    best = tries_all(ONE_OF_THREE)
    q = PerturbedArgmax(draw(8, 3, 2), lambda potentials: best((potentials * 1e3).round()))
    noise = draw(4, 8, 3, 2, seed=1)
    q.alternatives(noise, q.argmax(noise))
    assert not recwarn.list


def test_the_alternatives_of_a_pairwise_distribution() -> None:
    """The same set and potentials as a `PairwiseBinary`, whose solver is the maximiser."""
    unary, pairwise = draw(2, 5, 2), draw(2, 10, seed=3)
    coupled = PairwiseBinary(unary, pairwise)

    def maximise(potentials: Tensor) -> Tensor:
        rows = potentials.shape[0]
        found = coupled.solver(potentials, pairwise)
        assert found.value.shape[0] == rows
        return found.value[..., 1].long()

    q = PerturbedArgmax(unary, maximise)
    noise = draw(3, 2, 5, 2, seed=4)
    z = coupled.argmax(noise)
    assert torch.equal(q.argmax(noise), z)
    with pytest.warns(RuntimeWarning, match="add some of its own"):
        other, _ = q.alternatives(noise, z)
    assert torch.equal(other, coupled.alternatives(noise, z)[0])


def test_half_precision_is_computed_in_float32() -> None:
    q = PerturbedArgmax(draw(1, 3, 2).bfloat16(), tries_all(ONE_OF_THREE))
    assert q.sample(2).dtype == torch.float32


def test_no_problems() -> None:
    q = PerturbedArgmax(draw(0, 3, 2), tries_all(ONE_OF_THREE))
    z = q.sample(2)
    assert z.shape == (2, 0, 3, 2)
    assert q.alternatives(q.noise(2), z)[0].shape == (3, 2, 0, 3, 2)


def test_a_function_for_one_problem() -> None:
    """As many threads as there are, samples of problems in their order, with their number."""

    def matching(potentials: object, problem: int) -> object:
        assert problem in (0, 1)
        return linear_sum_assignment(potentials, maximize=True)[1]

    maximise = OneByOne(matching)
    assert repr(maximise) == "OneByOne(matching)"
    q = PerturbedArgmax(draw(2, 4, 4), maximise)
    noise = draw(30, 2, 4, 4, seed=1)
    expected = PerturbedArgmax(q.unary, tries_all(ASSIGNMENTS)).argmax(noise)
    assert torch.equal(q.argmax(noise), expected)
    numbers = OneByOne(lambda potentials, problem: [problem, problem])
    assert numbers(torch.zeros(2, 3, 2, 4)).tolist() == [[[0, 0], [1, 1], [2, 2]]] * 2


# Errors


ANSWERS: dict[str, tuple[Callable[[Tensor], object], type[Exception], str]] = {
    "no tensor": (lambda h: [0], TypeError, "maximise must return a torch.Tensor, got list"),
    "floats": (
        lambda h: h[..., 0],
        TypeError,
        "maximise must return integers or bool, got torch.float64; round them where they are "
        "whole, as .round().long()",
    ),
    "one-hot": (
        lambda h: h > 0,
        ValueError,
        "maximise must return the value of every variable, shape (1, 2, 3) for potentials of "
        "shape (1, 2, 3, 2), got (1, 2, 3, 2)",
    ),
    "out of range": (
        lambda h: h[..., 0].long() * 0 + 2,
        ValueError,
        "maximise must return values from 0 to 1, got values from 2 to 2",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_wrong_answers_are_one_line_errors(name: str) -> None:
    maximise, kind, message = ANSWERS[name]
    q = PerturbedArgmax(draw(2, 3, 2), maximise)  # type: ignore[arg-type]
    with pytest.raises(kind) as e:
        q.sample()
    assert str(e.value) == message


def test_wrong_arguments_are_one_line_errors() -> None:
    maximise = tries_all(ONE_OF_THREE)
    for unary, kind, message in (
        (torch.zeros(3), ValueError, r"^unary must have shape \(batch, variables, values\)"),
        (torch.zeros(1, 3, 1), ValueError, r"^unary must have at least 1 variable and 2 values"),
        (torch.zeros(1, 3, 2).long(), TypeError, r"^unary must be floating point"),
        (torch.full((1, 3, 2), torch.nan), ValueError, r"^unary must be finite.*got nan"),
    ):
        with pytest.raises(kind, match=message):
            PerturbedArgmax(unary, maximise)
    with pytest.raises(TypeError, match=r"^maximise must be callable, got int"):
        PerturbedArgmax(torch.zeros(1, 3, 2), 3)  # type: ignore[arg-type]
    q = PerturbedArgmax(torch.zeros(1, 3, 2), maximise)
    with pytest.raises(ValueError, match=r"^z must end in \(batch, variables, values\) = \(1, 3"):
        q.score(torch.zeros(2, 3, 2))
    both_on = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]]])
    with pytest.raises(ValueError, match=r"^maximise found no z with the labels of problem 0"):
        q.argmax_given(q.noise(1), both_on)


def test_a_single_problem_s_function_has_one_line_errors_too() -> None:
    with pytest.raises(TypeError, match=r"^solve must be callable, got str"):
        OneByOne("simplex")  # type: ignore[arg-type]
    for answer, got in (
        ([0.0, 0.5], "got 0.5 for variable 1 of problem 0; solve for integers"),
        ([0.0, torch.nan], "got nan for variable 1 of problem 0"),
        ([0], r"int64 of shape \(1,\) for problem 0"),
        (None, "got NoneType for problem 0"),
        ({0, 1}, "got set for problem 0"),
    ):
        q = PerturbedArgmax(torch.zeros(1, 2, 2), OneByOne(lambda h, b, answer=answer: answer))
        with pytest.raises(ValueError, match=rf"^solve must return 2 integers or bool.*{got}"):
            q.sample()


def test_what_has_no_probability_says_so() -> None:
    q = PerturbedArgmax(torch.zeros(1, 3, 2), tries_all(ONE_OF_THREE))
    z = q.sample()
    for refused in (
        q.entropy,
        q.kl_to_uniform,
        q.marginals,
        q.log_prob_table,
        lambda: q.log_prob(z),
        lambda: q.log_prob_given(z[0]),
        lambda: q.log_prob_states(z[0]),
        lambda: Exact()(q, lambda z: z[..., 1].sum(-1)),
    ):
        with pytest.raises(TypeError, match=r"^PerturbedArgmax is known by its samples only"):
            refused()
    with pytest.raises(TypeError, match=r"^LocalExpectation needs independent variables"):
        LocalExpectation()(q, lambda z: z[..., 1].sum(-1))
    with pytest.raises(TypeError, match=r"^ScoreFunction needs a Categorical, or a PairwiseBinary"):
        ScoreFunction()(q, lambda z: z[..., 1].sum(-1))


def test_a_gradient_from_elsewhere_is_refused() -> None:
    q = PerturbedArgmax(torch.zeros(2, 3, 2), lambda scores: scores.argmax(-1))
    with pytest.raises(TypeError, match="gradient must be on cpu, as the potentials, got meta"):
        q.with_gradient(torch.zeros(2), torch.zeros(2, 3, 2, device="meta"))
