"""Runs `ccapi` as it would see another system: `python -m tests.elsewhere PLATFORM [ARGUMENT...]`.

Only what ccapi's own modules see is changed: the names that `import` gives them, and `sys.platform` and `os.name`. The
standard library and the packages stay what they are on this machine. So this finds a module that is not there, a
function or a signal that is missing, and what a wrong branch for that system does. It finds nothing about the system's
own behaviour: that takes the system.
"""

from __future__ import annotations

import builtins
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_POSIX_MODULES = frozenset({
    "crypt", "curses", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource", "spwd", "syslog",
    "termios", "tty",
})  # fmt: skip
# Source: "Availability" in the documentation of the modules, for Python 3.11 to 3.13.
_NOT_ON_WINDOWS = {
    "os": (
        "chown chroot confstr ctermid eventfd fchdir fchmod fchown fork forkpty fpathconf fstatvfs getegid "
        "geteuid getgid getgrouplist getgroups getloadavg getpgid getpgrp getpriority getresgid getresuid "
        "getsid getuid getxattr initgroups killpg lchown listxattr lockf login_tty major memfd_create minor "
        "mkfifo mknod nice openpty pathconf pidfd_open pipe2 posix_fadvise posix_fallocate posix_openpt "
        "posix_spawn posix_spawnp pread preadv pwrite pwritev readv register_at_fork sched_getaffinity "
        "sched_setaffinity sched_yield sendfile setegid seteuid setgid setgroups setns setpgid setpriority "
        "setregid setresgid setresuid setreuid setsid setuid setxattr splice statvfs sync sysconf "
        "sysconf_names tcgetpgrp tcsetpgrp ttyname uname unshare wait wait3 wait4 waitid writev WCONTINUED "
        "WNOHANG WUNTRACED P_PID P_PIDFD O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC"
    ),
    "signal": (
        "SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPOLL SIGPROF SIGPWR SIGQUIT SIGSTOP "
        "SIGSTKFLT SIGSYS SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ "
        "alarm getitimer pause pidfd_send_signal pthread_kill pthread_sigmask setitimer siginterrupt sigpending "
        "sigtimedwait sigwait sigwaitinfo"
    ),
    "select": "devpoll epoll kevent kqueue poll",
    "socket": (
        "AF_NETLINK AF_UNIX AF_VSOCK CMSG_LEN SCM_CREDENTIALS SCM_RIGHTS SO_PEERCRED SO_REUSEPORT recv_fds send_fds"
    ),
}  # fmt: skip
_NOT_ON_MACOS = {
    "os": (
        "eventfd getresgid getresuid getxattr listxattr memfd_create pidfd_open posix_fadvise posix_fallocate "
        "sched_getaffinity sched_setaffinity setns setresgid setresuid setxattr splice unshare P_PIDFD"
    ),
    "signal": "SIGCLD SIGPOLL SIGPWR SIGRTMAX SIGRTMIN SIGSTKFLT pidfd_send_signal sigtimedwait sigwaitinfo",
    "select": "devpoll epoll",
    "socket": "AF_NETLINK AF_PACKET AF_VSOCK SCM_CREDENTIALS SO_BINDTODEVICE SO_PEERCRED",
}
_REAL = {"os": os, "signal": signal, "select": select, "socket": socket, "sys": sys}


class _Elsewhere(ModuleType):
    """A module without some of its names, and with other values of some."""

    def __init__(self, real: ModuleType, missing: frozenset[str], instead: Mapping[str, object]) -> None:
        super().__init__(real.__name__)
        self.__dict__.update(_real=real, _missing=missing, **instead)

    def __getattr__(self, name: str) -> Any:
        if name in self._missing:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}' on this system", name=name)
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._real, name, value)


def become(platform: str) -> None:
    """From now on ccapi's modules see `win32` or `darwin`. None may have been imported yet."""
    assert not [name for name in sys.modules if name.partition(".")[0] == "ccapi"]
    windows = platform == "win32"
    missing = _NOT_ON_WINDOWS if windows else _NOT_ON_MACOS
    instead: dict[str, dict[str, object]] = {"sys": {"platform": platform}, "os": {"name": "nt"} if windows else {}}
    seen = {
        name: _Elsewhere(real, frozenset(missing.get(name, "").split()), instead.get(name, {}))
        for name, real in _REAL.items()
    }
    absent = _POSIX_MODULES if windows else frozenset({"spwd"})
    usual = builtins.__import__

    def import_(name: str, globals: Mapping[str, object] | None = None, *rest: Any, **more: Any) -> ModuleType:  # noqa: A002
        found = usual(name, globals, *rest, **more)
        if str((globals or {}).get("__name__")).partition(".")[0] != "ccapi":
            return found
        if name in absent:
            raise ModuleNotFoundError(f"No module named '{name}' on this system", name=name)
        return seen.get(name, found)

    builtins.__import__ = import_


def main(platform: str, *arguments: str) -> int:
    become(platform)
    from ccapi.cli.main import main as ccapi_main

    return ccapi_main(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
