"""The scenarios that come with the package, and where a scenario's file is."""

from __future__ import annotations

from pathlib import Path

from ccapi.errors import ScenarioInvalid
from ccapi.rehearsal.suggest import suggestion

_SHIPPED = Path(__file__).parent / "scenarios"


def names() -> list[str]:
    """The shipped scenarios, sorted; `load(name).description` says what each is for."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def find(name_or_path: str, *, beside: Path | None = None) -> Path:
    """The file of a scenario. A relative path is taken from `beside`, the directory of the file that includes it."""
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return (beside or Path()) / Path(name_or_path).expanduser()
    if name_or_path in names():
        return _SHIPPED / f"{name_or_path}.toml"
    raise ScenarioInvalid(
        f"there is no scenario {name_or_path!r}{suggestion(name_or_path, names())}",
        hint=f"shipped: {', '.join(names())}; or give the path of a .toml file",
    )
