"""The diagrams in docs/ can be drawn, and say what the program does.

GitHub draws them with Mermaid. Where npm can fetch that program, so does this test, in Chromium; what they consist of
is checked in any case.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import sync_playwright

from ccapi.wire import events
from ccapi.wire.transcript import SEPARATOR
from tests.cli.readme import Page
from tests.cli.support import ROOT

MERMAID = "mermaid@11.9.0"
CHROMIUM = "/usr/bin/chromium"
ENVIRON = dict(os.environ)  # npm's own settings are the person's: where it finds packages, and through which proxy
FETCH_TIMEOUT = 100  # seconds
BROWSER_TIMEOUT = 90_000  # milliseconds

PAGES = [Page(f"docs/{file.name}") for file in sorted((ROOT / "docs").glob("*.md"))]
DIAGRAMS = [
    pytest.param(block.text, id=f"{page.path.stem}-{block.heading.replace(' ', '-')}")
    for page in PAGES
    for block in page.blocks
    if block.language == "mermaid"
]
HOW = Page("docs/how-it-works.md")


@pytest.fixture(scope="module")
def tab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """An empty page of a real browser, with Mermaid in it."""
    assert request.config.cache
    program = request.config.cache.mkdir("mermaid") / f"{MERMAID}.js"
    if not program.is_file():
        program.write_bytes(_fetched(tmp_path_factory.mktemp("npm")))
    with sync_playwright() as playwright:
        installed = CHROMIUM if Path(CHROMIUM).exists() else None
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=installed, args=arguments, timeout=BROWSER_TIMEOUT)
        tab = browser.new_page(viewport={"width": 1000, "height": 800})
        tab.set_default_timeout(BROWSER_TIMEOUT)
        tab.add_script_tag(path=program)
        tab.evaluate("mermaid.initialize({startOnLoad: false, securityLevel: 'strict'})")
        yield tab
        browser.close()


def _fetched(directory: Path) -> bytes:
    if not (npm := shutil.which("npm")):
        pytest.skip("Mermaid cannot be fetched: there is no npm")
    command = [npm, "pack", "--silent", f"--pack-destination={directory}", MERMAID]
    try:
        done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=FETCH_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"Mermaid cannot be fetched: npm takes more than {FETCH_TIMEOUT} s")
    if done.returncode:
        pytest.skip(f"Mermaid cannot be fetched: {done.stderr.strip()[-200:]}")
    with tarfile.open(directory / done.stdout.split()[-1]) as archive:
        source = archive.extractfile("package/dist/mermaid.min.js")
        assert source
        return source.read()


def drawn(tab: Tab, source: str) -> str:
    """All words of the picture. Fails with what Mermaid says is wrong."""
    tab.evaluate("async source => { document.body.innerHTML = (await mermaid.render('drawn', source)).svg }", source)
    return str(tab.evaluate("document.querySelector('svg').textContent"))


def labels(source: str) -> list[str]:
    """What a diagram says: in quotes, in an alias, after the colon of a message."""
    if source.startswith("sequenceDiagram"):
        found = re.findall(r"(?m)^ +(?:participant \w+ as |(?:alt|else|loop|opt) |\w+-?->>\w+: )(.+)$", source)
    else:
        found = re.findall(r'"([^"]+)"', source)
    return [words for label in found for words in label.split("<br/>")]


@pytest.mark.timeout(300)  # the first one waits for the program as well
@pytest.mark.parametrize("source", DIAGRAMS)
def test_it_is_drawn(source: str, tab: Tab, tmp_path: Path) -> None:
    """Mermaid takes it, and every word of it is in the picture."""
    words = re.sub(r"\s+", "", drawn(tab, source))
    for label in labels(source):
        assert re.sub(r"\s+", "", label) in words, label


def test_a_diagram_that_is_wrong_would_fail(tab: Tab) -> None:
    """Mermaid's own complaint reaches the test."""
    with pytest.raises(Exception, match="Parse error"):
        drawn(tab, "sequenceDiagram\n  A->>\n")


LINES = {
    "sequenceDiagram": (
        r"autonumber|participant (?P<declares>\w+) as .+|(?P<uses>\w+)-?->>(?P<uses2>\w+): .+"
        r"|(?P<opens>alt|loop|opt) .+|else .+|(?P<closes>end)"
    ),
    "flowchart": (
        r'(?P<opens>subgraph) \w+\[".+"\]|(?P<closes>end)'
        r'|\w+(?:\["[^"]+"\]|\[\("[^"]+"\)\]|\{"[^"]+"\})?'
        r'(?: (?:<-->|-->)(?:\|[^|]+\|)? \w+(?:\["[^"]+"\]|\[\("[^"]+"\)\]|\{"[^"]+"\})?)?'
    ),
}


@pytest.mark.parametrize("source", DIAGRAMS)
def test_it_keeps_to_what_every_version_of_mermaid_knows(source: str) -> None:
    """Two kinds of diagram, few kinds of lines; who speaks was introduced, what is opened is closed."""
    first, *lines = source.splitlines()
    form = LINES[first.split()[0]]
    assert re.fullmatch(r"sequenceDiagram|flowchart (?:LR|TB)", first)
    known: set[str] = set()
    depth = 0
    for line in filter(None, map(str.strip, lines)):
        found = re.fullmatch(form, line)
        assert found, line
        groups = {name: value for name, value in found.groupdict().items() if value}
        known |= {groups["declares"]} if "declares" in groups else set()
        assert {groups[name] for name in ("uses", "uses2") if name in groups} <= known, line
        depth += ("opens" in groups) - ("closes" in groups)
        assert depth >= 0
    assert depth == 0


def test_the_events_are_those_that_there_are() -> None:
    """The names in the diagram of a run, and how the segments of a transcript are joined."""
    (source,) = [block.text for block in HOW.blocks if block.heading == "From a run to a transcript"][:1]
    names = {"RunStarted", "MessageStarted", "TextDelta", "ToolCalled", "ToolFinished", "RunFinished", "RunFailed"}
    assert names <= set(vars(events))
    for name in names:
        assert re.sub(r"(?<!^)([A-Z])", r".\1", name).lower() in source
    assert repr(SEPARATOR)[1:-1] in HOW.block("text")
