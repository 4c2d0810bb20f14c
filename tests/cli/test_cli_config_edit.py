"""`ccapi config edit`: a real editor's part is played by a script, which is given the file as any editor is."""

from __future__ import annotations

import os
import re
import signal
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from ccapi.commands import configedit
from ccapi.settings import TABLE, check
from tests.cli.support import Cli, Terminal
from tests.cli.test_cli_prompt import type_to_who_waits

GOOD = "# mine\n[gateway]\nport = 8002 # known to n8n\n"
WRONG = '[gateway]\nport = "a"\nprot = 1\n'


def user_file(cli: Cli) -> Path:
    return Path(cli.environ["CCAPI_HOME"]) / "config" / "config.toml"


def written(cli: Cli, text: str) -> Path:
    file = user_file(cli)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def drafts(cli: Cli) -> list[Path]:
    return sorted((Path(cli.environ["CCAPI_HOME"]) / "state" / "drafts").glob("*"))


def editor(cli: Cli, *texts: str, script: Sequence[str] = ()) -> dict[str, str]:
    """An editor that writes one of these texts each time it is started, and does these lines of shell after it."""
    for number, text in enumerate(texts):
        (cli.directory / f"text-{number}").write_text(text)
    file = cli.directory / "my editor.sh"
    lines = [f'cd "{cli.directory}"', "n=$(cat count 2>/dev/null || echo 0)", "echo $((n + 1)) > count"]
    lines += ['cp "text-$n" "$1"'] * bool(texts) + [*script]
    file.write_text("\n".join(lines) + "\n")
    return {"EDITOR": f"sh '{file}'"}


def test_what_was_written_takes_the_files_place(cli: Cli) -> None:
    """All of it, once nothing is wrong with it; the file keeps its mode, and no copy stays."""
    file = written(cli, "# old\n")
    file.chmod(0o640)
    done = cli.run("config", "edit", environ=editor(cli, GOOD))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{file} is written\nWhat runs already takes changes over with: ccapi up\n"
    assert file.read_text() == GOOD
    assert file.stat().st_mode & 0o777 == 0o640
    assert drafts(cli) == []


def test_what_is_edited_is_a_copy(cli: Cli) -> None:
    """That nobody else can read, called so that an editor knows its kind; the file itself is whole all the time."""
    file = written(cli, "# old\n")
    script = [
        f"cmp '{file}' \"$1\" || exit 9",
        'stat -c %a "$1" > mode',
        'echo "$1" > name',
        f'cp text-new "$1"; cat "{file}" > old',
    ]
    (cli.directory / "text-new").write_text(GOOD)
    assert cli.run("config", "edit", environ=editor(cli, script=script)).returncode == 0
    assert (cli.directory / "mode").read_text() == "600\n"
    assert (cli.directory / "name").read_text().endswith(".toml\n")
    assert (cli.directory / "old").read_text() == "# old\n"


def test_visual_before_editor(cli: Cli) -> None:
    """As with every program."""
    environ = {"VISUAL": editor(cli, GOOD)["EDITOR"], "EDITOR": "false"}
    assert cli.run("config", "edit", environ=environ).returncode == 0


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "no editor is known: neither VISUAL nor EDITOR is set"),
        ({"EDITOR": " "}, "no editor is known"),
        ({"EDITOR": "no-such-editor -w"}, "the editor no-such-editor cannot be started: No such file"),
        ({"EDITOR": "vi 'x"}, "EDITOR: this is no command"),
    ],
)
def test_without_an_editor(cli: Cli, environ: dict[str, str], said: str) -> None:
    """Exit 2, and what to do; nothing was made."""
    done = cli.run("config", "edit", environ=environ)
    assert done.returncode == 2
    assert said in done.stderr
    assert not user_file(cli).exists()
    assert drafts(cli) == []


def test_an_editor_that_fails(cli: Cli) -> None:
    """As `:cq` in vi: the person wants none of it. What was written before that is not lost."""
    file = written(cli, "# old\n")
    done = cli.run("config", "edit", environ=editor(cli, script=["exit 3"]))
    assert (done.returncode, "the editor ended with exit code 3; nothing was changed" in done.stderr) == (1, True)
    assert drafts(cli) == []
    done = cli.run("config", "edit", environ=editor(cli, GOOD, GOOD, script=["exit 3"]))
    (draft,) = drafts(cli)
    assert (done.returncode, f"What you have written is kept: {draft}\n" in done.stderr) == (1, True)
    assert draft.read_text() == GOOD
    assert file.read_text() == "# old\n"


def test_nothing_changed(cli: Cli) -> None:
    """It is said, and the file is not touched, whatever is in it; where there is none, none is made."""
    done = cli.run("config", "edit", environ={"EDITOR": "true"})
    assert (done.returncode, done.stderr) == (0, f"Nothing was changed in {user_file(cli)}\n")
    assert not user_file(cli).exists()
    before = written(cli, WRONG).stat()
    assert cli.run("config", "edit", environ={"EDITOR": "true"}).returncode == 0
    assert user_file(cli).stat().st_mtime_ns == before.st_mtime_ns
    assert drafts(cli) == []


def test_something_is_wrong_and_nobody_can_be_asked(cli: Cli) -> None:
    """Exit 2: everything that is wrong, with its line in what was written, which is kept."""
    file = written(cli, "# old\n")
    done = cli.run("config", "edit", environ=editor(cli, WRONG))
    (draft,) = drafts(cli)
    assert done.returncode == 2
    assert f"{draft}:2: gateway.port: expected a port, 1 to 65535, not 'a'\n" in done.stderr
    assert f"{draft}:3: no setting is called 'gateway.prot'\n  Did you mean gateway.port?\n" in done.stderr
    assert f"What you have written is kept: {draft}\n" in done.stderr
    assert (draft.read_text(), draft.stat().st_mode & 0o777) == (WRONG, 0o600)
    assert file.read_text() == "# old\n"


def asked_again(terminal: Terminal, answer: bytes) -> None:
    terminal.read_until("Edit again? [Y/n]:")
    terminal.raw = b""
    type_to_who_waits(terminal, answer)


def test_the_editor_comes_again(cli: Cli) -> None:
    """With what was written, until it is right."""
    with cli.terminal("config", "edit", environ=editor(cli, "[gateway\n", WRONG, GOOD)) as terminal:
        terminal.read_until(":1:9: not valid TOML")
        asked_again(terminal, b"\r")
        terminal.read_until("Did you mean gateway.port?")
        asked_again(terminal, b"y\r")
        assert "is written" in terminal.read_all()
    assert terminal.process.returncode == 0
    assert user_file(cli).read_text() == GOOD
    assert drafts(cli) == []


def test_enough_of_it(cli: Cli) -> None:
    """`n` keeps what was written, and the file as it was."""
    with cli.terminal("config", "edit", environ=editor(cli, WRONG)) as terminal:
        asked_again(terminal, b"n\r")
        text = terminal.read_all().replace("\n", "")
    assert terminal.process.returncode == 2
    assert str(drafts(cli)[0]) in text
    assert not user_file(cli).exists()


def test_ctrl_c_is_the_editors(cli: Cli) -> None:
    """Many editors use it; what was written by then is not lost with ccapi."""
    script = ["trap 'cp text-new \"$1\"; exit 0' INT", "echo editing", "while :; do sleep 0.05; done"]
    (cli.directory / "text-new").write_text(GOOD)
    with cli.terminal("config", "edit", environ=editor(cli, script=script)) as terminal:
        terminal.read_until("editing")
        os.killpg(terminal.process.pid, signal.SIGINT)
        terminal.read_all()
    assert terminal.process.returncode == 0
    assert user_file(cli).read_text() == GOOD


def test_somebody_else_was_quicker(cli: Cli) -> None:
    """Neither change is lost: the file is theirs, the copy is yours. Exit 1."""
    file = written(cli, "# old\n")
    script = [f"echo '# theirs' > '{file}'"]
    done = cli.run("config", "edit", environ=editor(cli, GOOD, script=script))
    (draft,) = drafts(cli)
    assert done.returncode == 1
    assert f"{file} was changed by somebody else meanwhile" in done.stderr
    assert str(draft) in done.stderr
    assert (file.read_text(), draft.read_text()) == ("# theirs\n", GOOD)


def test_a_broken_file_can_be_mended(cli: Cli) -> None:
    """That is what one has an editor for."""
    file = written(cli, "[gateway\n")
    assert cli.run("config", "edit", environ=editor(cli, GOOD)).returncode == 0
    assert file.read_text() == GOOD


def test_which_file(cli: Cli) -> None:
    """`--local`: the directory's; `--project`: that of the stack, which cannot name itself."""
    assert cli.run("config", "edit", "--local", environ=editor(cli, GOOD)).returncode == 0
    assert (cli.directory / "ccapi.toml").read_text() == GOOD
    texts = ["", "pool.size = 1\n", "stack.project = 'web'\n"]
    assert cli.run("config", "edit", "-p", "web", environ=editor(cli, *texts)).returncode == 0
    assert (user_file(cli).parent / "projects" / "web.toml").read_text() == "pool.size = 1\n"
    done = cli.run("config", "edit", "-p", "web", environ=editor(cli, *texts))
    assert (done.returncode, "cannot stand in the file of one stack" in done.stderr) == (2, True)


# --- a new file


def test_a_new_file_lists_all_settings(tmp_path: Path) -> None:
    """It says nothing yet; with the defaults taken in, nothing is wrong with it, and it says the defaults."""
    text = configedit.template(of_stack=False)
    document = tomllib.loads(text)
    assert all(table == {} for table in document.values())
    lines = text.splitlines()
    for row in TABLE:
        assert any(line.startswith(f"# {row.key.partition('.')[2]} =") for line in lines), row.key
    taken = re.sub(r"(?m)^# ([a-z_]+ = )", r"\1", text)
    assert check.text_of(tmp_path / "config.toml", taken) == []
    defaults = {row.key: row.default for row in TABLE if row.default is not None}
    found = {f"{table}.{name}": value for table, inner in tomllib.loads(taken).items() for name, value in inner.items()}
    assert found == defaults


def test_a_new_file_of_a_stack_lists_all_that_it_can_say() -> None:
    """Its name is not among it."""
    assert "# project =" in configedit.template(of_stack=False)
    assert "# project =" not in configedit.template(of_stack=True)
