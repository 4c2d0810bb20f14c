"""What the tests of the gateway share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.harness import Gateway, assert_gone, gateway

Start = Callable[..., Gateway]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts gateways for one test: `start("scenario", **settings)`, or `start()` with the stub CLI."""
    with ExitStack() as stack:

        def make(scenario: str | None = None, **options: Any) -> Gateway:
            return stack.enter_context(gateway(tmp_path / "gateway", scenario, **options))

        yield make


@pytest.fixture
def stubbed(stubbed_for_all: Gateway) -> Iterator[Gateway]:
    """A gateway with the stub CLI and small limits.

    Each test waits for the end of its stubs: their last notes would be taken for those of the next test's stub.
    """
    yield stubbed_for_all
    assert_gone(stubbed_for_all.workspace, within=15)


@pytest.fixture(scope="module")
def stubbed_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One for all tests of a module."""
    settings: dict[str, Any] = {"max_body": 100_000, "model_map": {"gpt-4o": "sonnet"}}
    with gateway(tmp_path_factory.mktemp("stubbed"), **settings) as running:
        yield running
