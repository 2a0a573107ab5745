"""Which tests of the conformance suite are slow."""

from __future__ import annotations

import pytest

COMPILED = ("TestDirect", "TestExact", "TestGumbelSoftmax", "TestScoreFunction")
"""Estimators that are compiled in every run of the tests; a compilation takes seconds."""


@pytest.hookimpl(tryfirst=True)  # before the slow ones are left out
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    for item in items:
        if item.originalname == "test_compiled" and item.cls.__name__ not in COMPILED:
            item.add_marker(pytest.mark.slow)
