"""docker-compose.yml, as the real `docker compose` reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ccapi.stack import compose, spec, templates
from tests.cli.support import ROOT
from tests.stack.support import NAME, docker

pytestmark = pytest.mark.docker


def test_the_compose_file_by_hand(docker_engine: None) -> None:
    """`docker compose config` accepts it as it is, and without anything set it says what the README says."""
    directory = ROOT / "templates" / "compose"
    text = docker("compose", f"--project-directory={directory}", "config", "--format=json")
    service = json.loads(text)["services"]["gateway"]
    assert service["container_name"] == NAME
    assert service["ports"][0]["host_ip"] == "127.0.0.1"
    assert service["ports"][0]["published"] == "8000"
    assert Path(service["build"]["context"]) == ROOT
    assert service["environment"].keys() == set(spec.VARIABLES)
    assert {"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"}.isdisjoint(service["environment"])


@pytest.mark.parametrize("value", ["$HOME", "$$", "${X:-y}", "'\"`\\", "a=b,c=d", "#", "%s {{.}} ü\u2028"])
def test_values_reach_the_container_as_they_are(docker_engine: None, tmp_path: Path, value: str) -> None:
    """Compose interpolates its own text, never what a setting holds."""
    lines: list[str] = []
    workspace = tmp_path / value.replace(":", "").replace("/", "")
    wanted = spec.StackSpec(NAME, 8000, "debian:" + value, {"CCAPI_MODELS_MAP": value}, workspace)
    compose.run(
        "config",
        "--format=json",
        stack=NAME,
        text=templates.compose_text(),
        environ={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        variables=wanted.interpolation("image:tag", "id"),
        directory=tmp_path,
        on_line=lines.append,
    )
    service = json.loads("\n".join(lines).replace("$$", "$"))["services"]["gateway"]  # it escapes for the next reader
    assert service["environment"]["CCAPI_MODELS_MAP"] == value
    assert service["volumes"][1]["source"] == str(workspace)
    assert service["build"]["args"]["BASE_IMAGE"] == "debian:" + value
