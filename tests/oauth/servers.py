"""The real MCP server of these tests, as a program in the background."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.cli.support import DEADLINE, clean_environ, read_line

PROGRAM = Path(__file__).parent / "mcp_server.py"


@contextmanager
def mcp_server(directory: Path, *args: str) -> Iterator[str]:
    """Its URL; the arguments are those of the program."""
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), *args],
        env=clean_environ(directory),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield str(json.loads(read_line(process.stdout, "the MCP server's URL"))["url"])
        finally:
            process.terminate()
            process.wait(DEADLINE)


def access_token(url: str) -> str:
    """A token that the server takes, got as a client gets one: registration, consent, PKCE."""
    site, verifier, back = url.removesuffix("/mcp"), secrets.token_urlsafe(48), "http://localhost:9/callback"
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with httpx.Client(base_url=site, trust_env=False, timeout=DEADLINE) as client:
        registration = {"redirect_uris": [back], "token_endpoint_auth_method": "none", "client_name": "test"}
        client_id = client.post("/register", json=registration).raise_for_status().json()["client_id"]
        asked = {"response_type": "code", "client_id": client_id, "redirect_uri": back, "state": "s"}
        asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        consent = client.get("/authorize", params=asked).headers["location"]
        ticket = parse_qs(urlsplit(consent).query)["ticket"][0]
        answer = client.post("/consent", data={"ticket": ticket, "answer": "allow"}).headers["location"]
        code = parse_qs(urlsplit(answer).query)["code"][0]
        exchange = {"grant_type": "authorization_code", "code": code, "client_id": client_id, "redirect_uri": back}
        done = client.post("/token", data=exchange | {"code_verifier": verifier}).raise_for_status()
        return str(done.json()["access_token"])
