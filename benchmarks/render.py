"""What it costs to show an answer on a terminal: as `ccapi ask` does, printed as it is, and with rich's live display.

The text is Markdown as models write it and comes in pieces of five characters. What is written goes to a
pseudo-terminal that another process empties. "drawn" is with the area below the finished lines drawn anew after every
tenth piece; rich draws as often, and, as its cost grows with the square of the text, only a short answer.
"""

from __future__ import annotations

import os
import pty
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from ccapi.cli.answer.live import LiveArea
from ccapi.cli.answer.markdown import Markdown
from ccapi.cli.answer.paint import Paint

WIDTH, HEIGHT, AREA = 80, 24, 6
PIECE, DRAWN = 5, 10
SHORT = 10_000
SAMPLE = """\
## Reading the file

The **first** step reads `settings.toml` and checks each *key* against the table, as described in
[the manual](https://example.org/manual). Unknown keys are refused, and the message names the line. That is
all there is to it: nothing is written, and nothing is asked.

1. Open the file, and refuse it if others may write to it.
2. Parse it:

   ```python
   def read(path: Path) -> dict[str, Any]:
       \"\"\"The settings in `path`; empty without a file.\"\"\"
       try:
           return tomllib.loads(path.read_text("utf-8"))  # TOML is always UTF-8
       except FileNotFoundError:
           return {}
   ```

3. Compare what it says with what is known:
   - a key that is **unknown** ends the command
   - a value of another type does, too

| Setting | Type | Default | What it is |
|---------|------|--------:|------------|
| `gateway.port` | int | 8000 | The port that the gateway listens on |
| `updates.check` | bool | true | Whether to look for a new version once a day |

> Values from the environment win over the file, and options over both.

```console
$ ccapi config show --origin
gateway.port = 8000
```

"""
Show = Callable[[TextIO, list[str]], None]


def measure(size: int = 100_000, rounds: int = 3) -> dict[str, Any]:
    """Seconds of each way for `size` characters and for a tenth of them, and what follows from these."""
    with terminal() as stream:
        ways: dict[str, Show] = {"plain": plain, "lines": lines, "drawn": drawn}
        for show in (*ways.values(), rich_live):
            show(stream, pieces(1_000))  # what is imported late is there then
        found = {
            name: {f"{length}": timed(show, stream, length, rounds) for length in (SHORT, size)}
            for name, show in ways.items()
        }
        found["rich"] = {f"{SHORT}": timed(rich_live, stream, SHORT, 1)}
    whole, short = f"{size}", f"{SHORT}"
    grown = {name: {"growth": growth(found[name], size)} for name in ("lines", "drawn")}
    return {
        **found,
        "lines to plain": ratio(found["lines"][whole], found["plain"][whole]),
        "drawn to plain": ratio(found["drawn"][whole], found["plain"][whole]),
        "drawn to rich": ratio(found["drawn"][short], found["rich"][short]),
        "linear": grown,
    }


def plain(stream: TextIO, text: list[str]) -> None:
    for piece in text:
        stream.write(piece)
        stream.flush()


def lines(stream: TextIO, text: list[str]) -> None:
    """Finished lines only."""
    markdown = Markdown(Paint(colour=True, links=True))
    for piece in text:
        if finished := markdown.feed(piece, WIDTH):
            stream.write("".join(f"{line}\n" for line in finished))
            stream.flush()
    stream.write("".join(f"{line}\n" for line in markdown.end(WIDTH)))
    stream.flush()


def drawn(stream: TextIO, text: list[str]) -> None:
    """Finished lines, and below them what is not."""
    markdown = Markdown(Paint(colour=True, links=True))
    area = LiveArea(stream)
    due: list[str] = []
    for number, piece in enumerate(text):
        due += markdown.feed(piece, WIDTH)
        if number % DRAWN == 0:
            area.update(due, markdown.tail(WIDTH, AREA))
            due = []
    area.update([*due, *markdown.end(WIDTH)], [])
    area.close()


def rich_live(stream: TextIO, text: list[str]) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.markdown import Markdown as RichMarkdown

    console = Console(file=stream, force_terminal=True, color_system="standard", width=WIDTH, height=HEIGHT)
    said = ""
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        for number, piece in enumerate(text):
            said += piece
            if number % DRAWN == 0:
                live.update(RichMarkdown(said), refresh=True)
        live.update(RichMarkdown(said), refresh=True)


def pieces(size: int) -> list[str]:
    text = (SAMPLE * (size // len(SAMPLE) + 1))[:size]
    return [text[at : at + PIECE] for at in range(0, size, PIECE)]


def timed(show: Show, stream: TextIO, size: int, rounds: int) -> dict[str, float]:
    """The seconds of the fastest round."""
    text = pieces(size)
    found = []
    for _ in range(rounds):
        began, worked = time.perf_counter(), time.process_time()
        show(stream, text)
        found.append((time.process_time() - worked, time.perf_counter() - began))
    return {"cpu": round(min(cpu for cpu, _ in found), 4), "wall": round(min(wall for _, wall in found), 4)}


def growth(found: dict[str, dict[str, float]], size: int) -> float:
    """How much more a character costs in the long text; 1 is linear."""
    return round(found[f"{size}"]["cpu"] / found[f"{SHORT}"]["cpu"] / (size / SHORT), 2)


def ratio(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {name: round(one[name] / other[name], 3) for name in one}


@contextmanager
def terminal() -> Iterator[TextIO]:
    """A pseudo-terminal that another process reads."""
    reader, writer = pty.openpty()
    child = os.fork()
    if not child:
        os.close(writer)
        try:
            while os.read(reader, 1 << 16):
                pass
        except OSError:  # nobody writes any more
            pass
        os._exit(0)
    os.close(reader)
    try:
        with os.fdopen(writer, "w", encoding="utf-8") as stream:
            yield stream
    finally:
        os.waitpid(child, 0)
