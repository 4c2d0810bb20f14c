"""Everything that is wrong with the settings, not only the first thing that stops a command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ccapi import paths
from ccapi.paths import Home
from ccapi.settings import layers, problems
from ccapi.settings.environment import own
from ccapi.settings.layers import Layer
from ccapi.settings.problems import Problem
from ccapi.settings.table import BY_KEY, VARIABLES


def places(home: Home, directory: Path | None = None) -> list[Path]:
    """The files of settings that count for this stack and that there are."""
    stack = paths.project_config_file(home)
    here, user = layers.shared(home, directory)
    return [file for file in (here, stack, user) if file and file.is_file()]


def everything(home: Home, *, environ: Mapping[str, str] | None = None, directory: Path | None = None) -> list[Problem]:
    """All that is wrong in the files that count for this stack and in the environment, also where it is covered."""
    return [
        problem
        for layer in [*layers.of_files(home, directory), layers.of_environment(environ)]
        for problem in of(layer)
    ]


def text_of(place: Path, text: str, *, of_stack: bool = False) -> list[Problem]:
    """All that is wrong in a file with this text. `of_stack`: it is the file of one of several stacks."""
    return of(layers.of_text(text, place, of_stack=of_stack))


def of(layer: Layer) -> list[Problem]:
    """What has no place there, and each value that is none, in the order in which it is written."""
    found = [*layer.problems]
    for key, value in layer.values.items():
        try:
            BY_KEY[key].parse(value)
        except ValueError:
            found.append(layer.place.value(BY_KEY[key], value))
    return sorted(found, key=lambda problem: problem.line or 0)


def unread(environ: Mapping[str, str] | None = None) -> list[Problem]:
    """Variables that are called nearly like one of a setting, and that nothing reads."""
    known = {variable.name for variable in VARIABLES}
    found = problems.variables(own(environ), known)
    return [one for one in found if one.variable not in of_compose()] if found else []


def of_compose() -> set[str]:
    """What the compose files read, for those who run them by hand."""
    import re

    texts = (file.read_text("utf-8") for file in paths.templates_dir().rglob("*.y*ml"))
    return {name for text in texts for name in re.findall(r"CCAPI_[A-Z_]+", text)}
