"""What the image is made of: its files, the hash that names it, and the build context staged for `docker compose`.

The tag is a hash of everything that enters the image, so an image that exists is never built again and one whose inputs
changed always is. From a checkout and from an installed wheel the same files lie at the same places of the context.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ccapi import paths
from ccapi.errors import SettingInvalid
from ccapi.stack import spec
from ccapi.stack.spec import User

_COMPOSE = "templates/compose"
_CA = f"{_COMPOSE}/ca"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s.+?-----END CERTIFICATE-----", re.DOTALL)
_PIN = r"(?m)^ARG CLAUDE_AGENT_SDK_VERSION=(.+)$"
_USER = User()
_NOT_STAGED = {"__pycache__", "_templates"}


def compose_text(*, start_interval: bool = True) -> str:
    """docker-compose.yml; without `start_interval` for engines that do not know it and would refuse the file."""
    text = (paths.templates_dir() / "compose" / "docker-compose.yml").read_text("utf-8")
    if start_interval:
        return text
    return re.sub(r"^ *start_interval:.*\n", "", text, flags=re.MULTILINE).replace("interval: 15s", "interval: 2s")


def pinned() -> str:
    """The release of claude-agent-sdk that the Dockerfile names."""
    found = re.search(_PIN, (paths.templates_dir() / "compose" / "Dockerfile").read_text("utf-8"))
    assert found
    return found[1]


def compose_id(text: str) -> str:
    """Tells whether a container was made from this text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class BuildInput:
    """All files of the build context, read once: what is hashed is what is built, also while somebody edits it."""

    base_image: str
    files: Mapping[str, bytes]  # by their path in the context
    user: User = User()  # noqa: RUF009 -- a tuple
    claude: str | None = None  # release of claude-agent-sdk in the place of the Dockerfile's

    @property
    def image(self) -> str:
        """The name of the image that these inputs give: `claude-code-api:<12 hex digits>`."""
        digest = hashlib.sha256(f"{self.base_image}\0{self.user}\0{self.claude or ''}".encode())
        for name, content in sorted(self.files.items()):
            digest.update(f"\0{name}\0{len(content)}\0".encode())
            digest.update(content)
        return f"{spec.REPOSITORY}:{digest.hexdigest()[:12]}"

    @contextmanager
    def staged(self, cache: Path) -> Iterator[Path]:
        """The project directory for `docker compose build`, two levels below the build context. Gone afterwards."""
        import tempfile

        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=cache) as directory:
            for name, content in self.files.items():
                file = Path(directory, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                file.chmod(0o644)
            for folder in Path(directory).rglob("*/"):
                folder.chmod(0o755)  # whatever the umask is: the modes enter the image
            yield Path(directory, _COMPOSE)


def build_input(
    base_image: str, ca_file: Path | None = None, user: User = _USER, claude: str | None = None
) -> BuildInput:
    """`user`: as whom everything in the container shall run; `claude`: see `BuildInput`.

    Raises `SettingInvalid` for a useless CA file.
    """
    templates = paths.templates_dir() / "compose"
    files = {f"ccapi/{name}": content for name, content in _tree(paths.package_dir())}
    for name in ("Dockerfile", "Dockerfile.dockerignore", "ccapi-browser", "requirements.txt"):
        files[f"{_COMPOSE}/{name}"] = (templates / name).read_bytes()
    for file in (templates / "ca").glob("*.crt"):
        files[f"{_CA}/{file.name}"] = file.read_bytes()
    for number, pem in enumerate(certificates(ca_file) if ca_file else []):
        files[f"{_CA}/ca-file-{number:03}.crt"] = pem.encode()
    files[f"{_CA}/.keep"] = b""  # COPY needs the directory
    return BuildInput(base_image, files, user, claude)


def _tree(root: Path) -> Iterator[tuple[str, bytes]]:
    above = len(str(root)) + 1
    for directory, below, names in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".") and name not in _NOT_STAGED]
        for name in names:
            if not name.startswith("."):
                file = os.path.join(directory, name)  # noqa: PTH118 -- a third of the time, at each `up`
                with open(file, "rb") as content:  # noqa: PTH123 -- as above
                    yield file[above:].replace(os.sep, "/"), content.read()


def certificates(file: Path) -> list[str]:
    """Each certificate of a PEM file by itself, as `update-ca-certificates` wants them; nothing else of the file.

    A private key in the same file therefore never reaches the image. Raises `SettingInvalid`.
    """
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError as error:
        raise SettingInvalid(f"CA file {file}: {error.strerror}") from None
    found = [block + "\n" for block in _CERTIFICATE.findall(text)]
    if not found:
        hint = f"If it is in DER form: openssl x509 -inform der -in {file} -out ca.pem"
        raise SettingInvalid(f"CA file {file}: holds no certificate in PEM form", hint=hint)
    import ssl

    try:
        for block in found:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=block)
    except (ssl.SSLError, ValueError) as error:
        raise SettingInvalid(f"CA file {file}: not a valid certificate: {error}") from None
    return found
