"""The folder for a server without ccapi: the same stack as `ccapi up` runs, for plain `docker compose`.

What the image is made of lies at the same places of the build context as for `up`, so that a build gives the very same
image. The folder's compose file differs from the one of `up` in where that context is, and in what the image is called:
with a name of its own, as somebody may change the folder, and `up` takes an image for what its name says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ccapi import paths
from ccapi.stack import overlays as overlay_files
from ccapi.stack import templates
from ccapi.stack.overlays import Overlay
from ccapi.stack.spec import StackSpec
from ccapi.stack.templates import BuildInput

_COMPOSE = "templates/compose"
_HEADER = "# Made by `ccapi compose export`: see README.md beside it."
_SECTION = re.compile(r"(?ms)^<!-- with ([\w-]+) -->\n(.*?)^<!-- end -->\n")
STACK = "${CCAPI_STACK:-claude-code-api}"


def compose_text(spec: StackSpec, image: str) -> str:
    """docker-compose.yml for the folder."""
    text = templates.compose_text()
    text = _swapped(text, text.partition("\n")[0], _HEADER)
    text = _swapped(text, "context: ../..", "context: .")
    text = _swapped(text, f"dockerfile: {_COMPOSE}/Dockerfile", "dockerfile: Dockerfile")
    text = _swapped(
        text, "${CCAPI_COMPOSE_ID:-}", f"${{CCAPI_COMPOSE_ID:-{templates.compose_id(templates.compose_text())}}}"
    )
    return _named(text, spec, image)


def files(spec: StackSpec, inputs: BuildInput, overlays: Sequence[Overlay]) -> dict[str, bytes]:
    """All but `.env` and the keys, by their path in the folder. `inputs`: what the image is made of."""
    image = exported(inputs.image)
    found = dict(inputs.files)
    dockerfile = found.pop(f"{_COMPOSE}/Dockerfile").decode()
    ignored = found.pop(f"{_COMPOSE}/Dockerfile.dockerignore").decode()
    found["Dockerfile"] = _about(dockerfile).encode()
    found["Dockerfile.dockerignore"] = _about(ignored).encode()
    found["docker-compose.yml"] = compose_text(spec, image).encode()
    for name in overlay_files.files(overlays):
        found[f"overlays/{name}"] = _template(f"compose/overlays/{name}", lambda text: _named(text, spec, image))
    names = {overlay.name for overlay in overlays}
    found["README.md"] = _template("export/README.md", lambda text: _sections(_named(text, spec, image), names))
    found[f"{spec.stack}.service"] = _template("systemd/ccapi.service", lambda text: _named(text, spec, image))
    return found


def exported(image: str) -> str:
    """What the folder calls the image that `up` calls `image`."""
    repository, _, tag = image.partition(":")
    return f"{repository}:exported-{tag}"


def _template(name: str, change: Callable[[str], str]) -> bytes:
    return change((paths.templates_dir() / name).read_text("utf-8")).encode()


def _named(text: str, spec: StackSpec, image: str) -> str:
    """With this stack's name, and the image of this version, in the place of those that hold without any `.env`."""
    text = text.replace(STACK, f"${{CCAPI_STACK:-{spec.stack}}}").replace("@STACK@", spec.stack)
    return text.replace("${CCAPI_IMAGE:-claude-code-api:local}", f"${{CCAPI_IMAGE:-{image}}}")


def _about(text: str) -> str:
    """A file of the build with a first line that is true in the folder."""
    _, _, rest = text.partition("\n")
    return f"{_HEADER}\n{rest}"


def _sections(text: str, names: set[str]) -> str:
    """Without what is only of interest with an overlay that is not there."""
    return _SECTION.sub(lambda match: match[2] if match[1] in names else "", text)


def _swapped(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"docker-compose.yml has {old!r} {text.count(old)} times")
    return text.replace(old, new)
