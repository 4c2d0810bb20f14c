"""Completion in the shell: the scripts, where a shell finds them, and how they are taken out again.

Each script asks `ccapi __complete =WORD ARGUMENT...` what can stand where the cursor is: WORD is what was typed of it,
the arguments are what stands before. The answer is a line for each possibility: the whole word, a tab, what it is.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from ccapi import files, paths
from ccapi.errors import OutputFailed, UsageError
from ccapi.paths import Home

Shell = Literal["bash", "zsh", "fish", "powershell"]

_READ_BY = "# read by "
_MARK = "# ccapi completion"  # at the end of a line that is ours in a file that is not

# bash 3.2, which macOS has, is enough. It takes what stands behind a = for a word of its own.
_BASH = r"""
_ccapi_completion() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        [[ $COMP_WORDBREAKS == *=* ]] && line=${line#--*=}
        COMPREPLY+=("$line")
    done < <(ccapi __complete "=${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null </dev/null)
}
complete -o bashdefault -o default -F _ccapi_completion ccapi
"""

_ZSH = r"""
#compdef ccapi
_ccapi_completion() {
    local line
    local -a found values shown
    found=("${(@f)$(ccapi __complete "=${(Q)words[CURRENT]}" "${(@Q)words[2,CURRENT-1]}" 2>/dev/null </dev/null)}")
    for line in "${found[@]}"; do
        [[ -n $line ]] || continue
        values+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  -- }")
    done
    if (( $#values )); then
        compadd -l -d shown -- "${values[@]}"
    else
        _files
    fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _ccapi_completion ccapi
"""

_FISH = r"""
function __ccapi_completion
    set -l current (commandline -ct)
    set -l before (commandline -opc)
    set -l found (ccapi __complete "=$current" $before[2..-1] 2>/dev/null </dev/null)
    if count $found >/dev/null
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end
complete -c ccapi -f -a '(__ccapi_completion)'
"""

_POWERSHELL = r"""
Register-ArgumentCompleter -Native -CommandName ccapi -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $before = @($commandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
    ccapi __complete "=$wordToComplete" @before 2>$null | ForEach-Object {
        $value, $text = $_ -split "`t", 2
        if (-not $text) { $text = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $text)
    }
}
"""

_SCRIPTS: Mapping[Shell, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}


class Installed(NamedTuple):
    """`read_from`: the file of the person's that a line was put into; None if the shell finds the script by itself."""

    script: Path
    read_from: Path | None


def script(shell: Shell) -> str:
    """To be evaluated by the shell; `#compdef` must be the first line of zsh's."""
    return _SCRIPTS[shell].lstrip("\n")


def known(environ: Mapping[str, str]) -> Shell:
    """The shell that the person has, by `$SHELL`. Raises `UsageError` if that says nothing we know."""
    name = Path(environ.get("SHELL", "")).name
    for shell in get_args(Shell):
        if name == shell:
            return shell  # type: ignore[no-any-return] # one of those
    raise UsageError("which shell is it?", hint=f"Say so, such as: ccapi completion {get_args(Shell)[0]}")


def install(shell: Shell, environ: Mapping[str, str], home: Home) -> Installed:
    """Put the script where the shell looks, or where a line in the shell's own start file reads it.

    Raises `OutputFailed`, and `UsageError` where there is no PowerShell that could say which file it reads.
    """
    place = _script_file(shell, environ, home)
    start = _powershell_profile(environ) if shell == "powershell" else _start_file(shell, environ)
    files.replace(place, script(shell) + (f"{_READ_BY}{start}\n" if start else ""))
    if start:
        lines = [line for line in _read(start).splitlines() if not line.endswith(_MARK)]
        files.replace(start, "\n".join([*lines, f"{_reads(shell, place)}  {_MARK}", ""]))
    return Installed(place, start)


def uninstall(environ: Mapping[str, str], home: Home) -> list[Path]:
    """Take all of it out; the files that were removed, or have a line less. Raises `OutputFailed`."""
    found, scripts = installed(environ, home), _scripts(environ, home)
    for file in found:
        if file in scripts:
            file.unlink(missing_ok=True)
        else:
            kept = (line for line in _read(file).splitlines() if not line.endswith(_MARK))
            files.replace(file, "".join(f"{line}\n" for line in kept))
    return found


def installed(environ: Mapping[str, str], home: Home) -> list[Path]:
    """The scripts that are there, and the person's own files in which a line reads one."""
    scripts = [file for file in _scripts(environ, home) if file.is_file()]
    starts = {_start_file(shell, environ) for shell in get_args(Shell)}
    for file in scripts:
        last = _read(file).splitlines()[-1:]
        starts |= {Path(line.removeprefix(_READ_BY)) for line in last if line.startswith(_READ_BY)}
    reading = (file for file in starts if file and any(line.endswith(_MARK) for line in _read(file).splitlines()))
    return [*scripts, *sorted(reading)]


def _scripts(environ: Mapping[str, str], home: Home) -> list[Path]:
    return [_script_file(shell, environ, home) for shell in get_args(Shell)]


def _script_file(shell: Shell, environ: Mapping[str, str], home: Home) -> Path:
    if shell == "fish":  # looks there by itself
        return (
            Path(environ.get("XDG_CONFIG_HOME") or _user(environ) / ".config") / "fish" / "completions" / "ccapi.fish"
        )
    suffix = "ps1" if shell == "powershell" else shell
    return paths.config_file(home._replace(project=None, config=None)).parent / "completion" / f"ccapi.{suffix}"


def _start_file(shell: Shell, environ: Mapping[str, str]) -> Path | None:
    match shell:
        case "bash":  # macOS opens a login shell in each window, which reads no .bashrc
            return _user(environ) / (".bash_profile" if sys.platform == "darwin" else ".bashrc")
        case "zsh":
            return Path(environ.get("ZDOTDIR") or _user(environ)) / ".zshrc"
        case _:
            return None


def _reads(shell: Shell, place: Path) -> str:
    if shell == "powershell":
        quoted = "'" + str(place).replace("'", "''") + "'"
        return f"if (Test-Path {quoted}) {{ . {quoted} }}"
    quoted = shlex.quote(str(place))
    return f"[ -r {quoted} ] && . {quoted}"


def _user(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or "~").expanduser()


def _powershell_profile(environ: Mapping[str, str]) -> Path:
    """The file that PowerShell reads when it starts: only it knows."""
    found = next(filter(None, (shutil.which(name, path=environ.get("PATH")) for name in ("pwsh", "powershell"))), None)
    if found is None:
        raise UsageError("there is no PowerShell here", hint="Print the script instead: ccapi completion powershell")
    asked = [found, "-NoProfile", "-NonInteractive", "-Command", "$PROFILE.CurrentUserAllHosts"]
    try:
        said = subprocess.run(asked, capture_output=True, encoding="utf-8", timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
        raise UsageError(f"PowerShell does not say which file it reads when it starts: {error}") from None
    return Path(said)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise OutputFailed(f"{file} cannot be read, so no line can be put into it: {error}") from None
