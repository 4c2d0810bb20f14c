"""`ccapi ask -x`: the code of an answer, and nothing but code."""

from __future__ import annotations

import json
from cProfile import Profile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccapi.cli.answer.extract import CodeBlock, code_blocks, same
from ccapi.wire.events import RunFinished
from tests.cli.answers import ask, called, run, said
from tests.cli.support import Cli, FakeAnswer, FakeGateway, Gateway

TWO = "First:\n\n```python\nprint(1)\n```\n\nThen:\n\n~~~sh\necho 2\n~~~\n\nAnd:\n\n```py\nprint(3)\n```\n"


# --- what is a code block


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("no `code` here\n\n    indented text\n", []),
        ("```\na\n```", [("", "a\n")]),
        ("```Python title='a.py'\na\n```", [("python", "a\n")]),
        ("``` {.python .numbered}\na\n```", [("python", "a\n")]),
        ("```rust,ignore\na\n```", [("rust", "a\n")]),
        ("~~~c++\na\n~~~", [("c++", "a\n")]),
        ("````md\n```python\na\n```\n````", [("md", "```python\na\n```\n")]),
        ("1. Do:\n\n   ```sh\n   a\n     b\n   ```\n2. Then", [("sh", "a\n  b\n")]),
        ("- x\n  - y\n\n    ~~~js\n    a\n    ~~~", [("js", "a\n")]),
        ("> ```go\n> a\n> ```", [("go", "a\n")]),
        ("  ```sql\n  a\n  ```", [("sql", "a\n")]),
        ("```python\r\na\r\nb\r\n```\r\n", [("python", "a\nb\n")]),
        ("```python\n\ta\n\n\n```", [("python", "\ta\n\n\n")]),
        ("```python\nnever closed", [("python", "never closed\n")]),
        ("```python\na\n```\n```sh\nb\n```", [("python", "a\n"), ("sh", "b\n")]),
    ],
)
def test_code_blocks(text: str, expected: list[tuple[str, str]]) -> None:
    """Fences of any kind, as CommonMark has them; the info string's first word is the language."""
    assert code_blocks(text) == [CodeBlock(*one) for one in expected]


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="`\r\0", exclude_categories=["Cs"]), max_size=60))
def test_code_is_not_changed(code: str) -> None:
    """Not a blank, not a character."""
    assert code_blocks(f"Here:\n\n```x\n{code}\n```\n") == [CodeBlock("x", f"{code}\n")]


def test_what_is_in_a_line_is_not_looked_at() -> None:
    """Only blocks count: an answer of many links takes no longer than one of as many letters."""
    code_blocks("")  # imports come with the first one
    links = 10_000
    profile = Profile()
    profile.runcall(code_blocks, "[a](b) " * links)
    assert sum(entry.callcount for entry in profile.getstats()) < links


def test_a_letter_may_come_in_halves() -> None:
    """Put together they are one; a half that stays alone is none, and no address with it is a reason to fail."""
    assert code_blocks("[a](\ud83d\ude00)\n\n```x\n\ud83d\ude00\ud83d\n```\n") == [CodeBlock("x", "😀\ufffd\n")]


@pytest.mark.parametrize(
    ("one", "other"),
    [("python", "py"), ("Python3", "PY"), ("bash", "sh"), ("shell", "bash"), ("yml", "yaml"), ("js", "javascript"),
     ("c++", "cpp"), ("mermaid", "Mermaid"), ("ts", "typescript"), ("rs", "rust")],
)  # fmt: skip
def test_names_of_one_language(one: str, other: str) -> None:
    """In any case, and by any of the names that it has."""
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"), [("c", "c++"), ("java", "javascript"), ("", "python"), ("foo", "bar"), ("", "x")]
)
def test_different_languages(one: str, other: str) -> None:
    """A name that nobody knows is only itself; no name is no language."""
    assert not same(one, other)


# --- the command


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["-x", "q"], "print(1)\n\necho 2\n\nprint(3)\n"),
        (["q", "-x"], "print(1)\n\necho 2\n\nprint(3)\n"),
        (["--extract", "q"], "print(1)\n\necho 2\n\nprint(3)\n"),
        (["-x", "python", "q"], "print(1)\n\nprint(3)\n"),
        (["q", "-x", "PY"], "print(1)\n\nprint(3)\n"),
        (["-xpython3", "q"], "print(1)\n\nprint(3)\n"),
        (["--extract=bash", "q"], "echo 2\n"),
        (["-x", "", "q"], "print(1)\n\necho 2\n\nprint(3)\n"),
        (["-x", "two words?"], "print(1)\n\necho 2\n\nprint(3)\n"),
        (["-x", "-m", "opus", "q"], "print(1)\n\necho 2\n\nprint(3)\n"),
        (["-x", "--", "q"], "print(1)\n\necho 2\n\nprint(3)\n"),
        (["-x", "sh", "--", "q"], "echo 2\n"),
        (["-qx", "sh", "q"], "echo 2\n"),
        (["-qx", "q"], "print(1)\n\necho 2\n\nprint(3)\n"),
    ],
    ids=" ".join,
)
def test_how_it_is_asked_for(cli: Cli, fake: FakeGateway, args: list[str], expected: str) -> None:
    """A language is optional; a word that could be one is the question where there is no other."""
    done = ask(cli, fake, run(*said(TWO)), *args)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, expected, b"")
    (part,) = json.loads(fake.received[0].body)["input"][0]["content"]
    assert part["text"] == ("two words?" if "two words?" in args else "q")


def test_the_value_of_another_option_is_no_option(cli: Cli, fake: FakeGateway) -> None:
    """`--system -x` is an instruction, however odd."""
    done = ask(cli, fake, run(*said(TWO)), "--system", "-x", "q")
    assert done.stdout.decode() == TWO + "\n"
    assert json.loads(fake.received[0].body)["instructions"] == "-x"


STEPS = [
    *called("cat x", "```python\nfrom a tool\n```"),
    *said("```python\nunfinished", "msg_2"),
    *said("```python\nprint(4)\n```", "msg_3"),
]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], "print(4)\n"),
        (["--final"], "print(4)\n"),
        (["--transcript", "text"], "unfinished\n\nprint(4)\n"),
        (["--transcript", "full"], "unfinished\n\nprint(4)\n"),
    ],
    ids=["default", "final", "text", "full"],
)
def test_which_messages_count(cli: Cli, fake: FakeGateway, args: list[str], expected: str) -> None:
    """The last one, unless all are wanted. What a tool gave never does, and a fence ends with its message."""
    done = ask(cli, fake, run(*STEPS), "-x", *args, "what?!")
    assert (done.returncode, done.stdout.decode()) == (0, expected)


@pytest.mark.parametrize(
    ("text", "args", "words"),
    [
        ("Nothing.", ["-x"], ["no code block"]),
        (TWO, ["-xrust"], ["rust", "python", "sh", "py"]),
        ("```\na\n```", ["-xrust"], ["rust", "(none named)"]),
    ],
)
def test_none_is_a_failure(cli: Cli, fake: FakeGateway, text: str, args: list[str], words: list[str]) -> None:
    """That says which there are, and how to see the answer. Nothing is on standard output."""
    done = ask(cli, fake, run(*said(text)), *args, "q q")
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"Look at it: ccapi sessions show --port {fake.port} --last" in done.stderr.decode()
    for word in words:
        assert word in done.stderr.decode()


def test_an_answer_that_a_limit_cut(cli: Cli, fake: FakeGateway) -> None:
    """Gives the code that there is, and the failure of every answer that is not complete."""
    end = RunFinished(FakeAnswer.SESSION, "length")
    done = ask(cli, fake, run(*said("```python\nprint(1"), end=end), "-x", "q q")
    assert (done.returncode, done.stdout) == (1, b"print(1\n")
    done = ask(cli, fake, run(*said("None yet"), end=end), "-x", "q q")
    assert (done.returncode, done.stdout) == (1, b"")
    assert "not complete" in done.stderr.decode()


def test_on_a_terminal_code_commands_nothing(cli: Cli, fake: FakeGateway) -> None:
    """A person who looks at it gets no control sequences; a program gets the code as it is."""
    events = run(*said("```sh\nprintf '\x1b[31m'\n```"))
    assert ask(cli, fake, events, "-x", "q q").stdout == b"printf '\x1b[31m'\n"
    with cli.terminal("ask", "--port", str(fake.port), "-x", "q q") as terminal:
        with fake.request() as connection:
            connection.sendall(FakeAnswer().whole("```sh\nprintf '\x1b[31m'\n```"))
        assert "printf '[31m'" in terminal.read_all()
    assert terminal.process.returncode == 0


def test_with_the_real_claude_code(cli: Cli, scripted: Gateway) -> None:
    """What the model says in a fence, whole."""
    done = cli.run("ask", "--port", str(scripted.port), "-x", "sh", "this:\n\n```sh\necho it\n```")
    assert (done.returncode, done.stdout) == (0, "echo it\n")
