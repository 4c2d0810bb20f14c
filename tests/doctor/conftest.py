"""A doctor for each test, and the table that its findings are held against."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doctor.stage import Stage
from tests.doctor.support import Doctor, Table
from tests.stack.support import docker


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """Sees a home of its own, in which nothing is yet."""
    return Doctor(tmp_path)


@pytest.fixture
def collected() -> Iterator[None]:
    """What is left to the garbage collector goes here and now, and not in another test."""
    yield
    gc.collect()


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Of docs/troubleshooting.md, for this test's rows."""
    return Table(tmp_path)


@pytest.fixture(scope="session")
def images(docker_engine: None) -> Iterator[None]:
    """At the end, the images are gone that were not there before; others may have removed, or need, one of them."""
    before = docker("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    yield
    for image in Stage.images.difference(before):
        docker("rmi", image, check=False)


@pytest.fixture(scope="module")
def stage(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stack of its own; see `Stage`. No container of it is left for tests elsewhere to stumble over."""
    stage = Stage(tmp_path_factory.mktemp("stage"))
    try:
        yield stage
    finally:
        stage.remove_everything()
