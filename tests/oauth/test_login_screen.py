"""What is read from the terminal of `claude mcp login`, and what of a person's paste may be typed into it."""

from __future__ import annotations

import itertools
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.commands import pasted
from ccapi.commands.loginscreen import LoginScreen
from ccapi.errors import UsageError
from ccapi.wire import authorization

URL = (
    "https://as.example/authorize?response_type=code&client_id=c&scope=a%20b&state=GOOD&"
    "redirect_uri=http%3A%2F%2Flocalhost%3A56957%2Fcallback"
)
LOGIN = authorization.parse(URL)
ANSWER = "http://localhost:56957/callback?code=C0DE&state=GOOD&iss=https%3A%2F%2Fas.example&scope=a%20b"

BEGINNING = 'Starting authentication for "demo"…\r\n[mcp-sdk] SEP-2352: see https://sdk.example/issue?id=1 for it\r\n'
LINK = f"Visit this URL to authorize:\r\n  \x1b]8;;{URL}\x07\x1b[94m{URL}\x1b[39m\x1b]8;;\x07\r\n"
PLAIN = f"Visit this URL to authorize:\r\n  {URL}\r\n"
ST_LINK = f"Visit this URL to authorize:\r\n  \x1b]8;id=1;{URL}\x1b\\here\x1b]8;;\x1b\\\r\n"
PROMPT = "Waiting for authorization… (^C to cancel)\r\nOr paste the redirect URL here: "
DONE = '\r\nAuthenticated with "demo". Its tools are now available in Claude Code.\r\n'


def chunks(text: str, cuts: list[int]) -> list[bytes]:
    """The bytes of the text, cut at these places, wherever in a character or a sequence they are."""
    data = text.encode()
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    return [data[begin:end] for begin, end in itertools.pairwise(places)]


# --- the screen


@given(st.lists(st.integers(0, 10_000), max_size=40), st.sampled_from([LINK, PLAIN, ST_LINK]))
def test_the_url_is_found_however_it_is_cut(cuts: list[int], shown: str) -> None:
    """It is never a part of it, and it is there as soon as all of it has come."""
    screen, seen = LoginScreen(), b""
    for chunk in chunks(BEGINNING + shown + PROMPT + DONE, cuts):
        seen += chunk
        screen.feed(chunk)
        assert screen.url in {None, URL}
        if (BEGINNING + shown).encode() in seen:
            assert screen.url == URL
        assert screen.takes_pastes == (b"paste the redirect URL" in seen)
        assert screen.signed_in == (b'Authenticated with "demo"' in seen)


@given(st.binary(max_size=400))
def test_whatever_is_printed(data: bytes) -> None:
    """No output breaks it."""
    screen = LoginScreen()
    screen.feed(data)
    assert (screen.url, screen.signed_in, screen.refused_pastes) == (None, False, 0)
    assert isinstance(screen.reason, str)


def test_endless_output_is_not_kept() -> None:
    """A CLI that prints and prints does not fill the memory, and what it says at last is still read."""
    screen = LoginScreen()
    for _ in range(300):
        screen.feed(b"x" * 4096)
    screen.feed(DONE.encode())
    assert screen.signed_in


def test_pastes_that_the_cli_did_not_take() -> None:
    """Each is counted."""
    screen = LoginScreen()
    screen.feed((LINK + PROMPT).encode())
    screen.feed(b"\r\nThat doesn't look like a redirect URL. It should begin with http\r\n" * 2)
    assert screen.refused_pastes == 2


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ('\r\nCouldn\'t complete authentication for "demo": OAuth error: access_denied - no\r\n', "access_denied"),
        ('\r\nCouldn\'t complete authentication for "demo": Authenticated with "demo"\r\n', "Authenticated"),
        ("\x1b[31mNo MCP server named x\x1b[0m\r\n\r\n", "No MCP server named x"),
        ("", ""),
    ],
)
def test_the_reason(printed: str, reason: str) -> None:
    """In the CLI's words, else its last line. A reason that is worded like a success is none."""
    screen = LoginScreen()
    screen.feed((LINK + PROMPT if reason == "access_denied" else "").encode() + printed.encode())
    assert reason in screen.reason
    assert not screen.signed_in


def test_a_reason_holds_no_secret() -> None:
    """What looks like a code or a token in it is taken out."""
    screen = LoginScreen()
    screen.feed(b'Couldn\'t complete authentication for "d": GET https://as/token?code=S3CRET&state=S3CRET failed\r\n')
    assert "S3CRET" not in screen.reason


# --- what is pasted


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_answer(host: str, scheme: str) -> None:
    """Any spelling of this machine, also without the scheme that browsers hide; typed as the login has it."""
    text = ANSWER.replace("http://localhost", scheme + host)
    assert pasted.redirect_url(f"  {text}\r\n", LOGIN) == ANSWER


def test_a_fragment_is_left_out() -> None:
    """Some servers append one; it never belongs to the answer."""
    assert pasted.redirect_url(f"{ANSWER}#_=_", LOGIN) == ANSWER


def test_an_answer_of_four_kibibytes() -> None:
    """Codes may be long."""
    long = ANSWER.replace("C0DE", "c" * 5000)
    assert pasted.redirect_url(long, LOGIN) == long


def test_a_denial() -> None:
    """It is an answer, too: the CLI then says that access was not allowed."""
    denied = "http://localhost:56957/callback?error=access_denied&error_description=no&state=GOOD"
    assert pasted.redirect_url(denied, LOGIN) == denied


@pytest.mark.parametrize(
    "character", ["\x1b", "\x03", "\x04", "\n", "\r", "\t", " ", "\x7f", "\x00", "\x1b[201~", "é", "\u2028", "\x9b"]
)
@pytest.mark.parametrize("place", [10, 40, len(ANSWER) - 1])
def test_nothing_that_commands_a_terminal(character: str, place: int) -> None:
    """Wherever it is in the text. What is encoded stays encoded."""
    with pytest.raises(UsageError):
        pasted.redirect_url(ANSWER[:place] + character + ANSWER[place:], LOGIN)
    encoded = ANSWER.replace("C0DE", f"C0DE{quote(character)}")
    assert pasted.redirect_url(encoded, LOGIN) == encoded


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "http://localhost:56957/callback",
        "http://localhost:56957/callback?code=C0DE",
        "http://localhost:56957/callback?state=GOOD",
        "http://localhost:56957/callback?code=&state=GOOD",
        ANSWER.replace("GOOD", "GOO"),
        ANSWER.replace("GOOD", "GOODER"),
        ANSWER.replace("56957", "56958"),
        ANSWER.replace("/callback", "/callback/../admin"),
        ANSWER.replace("/callback", "/Callback"),
        ANSWER.replace("http:", "https:"),
        ANSWER.replace("localhost", "localhost.evil.example"),
        ANSWER.replace("localhost", "evil.example"),
        ANSWER.replace("localhost", "user@localhost"),
        ANSWER.replace("localhost", "0.0.0.0"),
        ANSWER.replace("localhost", "127.1"),
        f"{ANSWER}&state=GOOD",
        f"{ANSWER}&code=OTHER",
        f"{ANSWER}&error=x",
        f"{ANSWER}&padding={'x' * 20_000}",
        f"x {ANSWER}",
        f"{ANSWER} {ANSWER}",
        URL,
        "https://as.example/consent?ticket=1",
    ],
)
def test_what_is_no_answer_of_this_login(text: str) -> None:
    """It is refused in words that help, and that repeat none of it."""
    with pytest.raises(UsageError) as raised:
        pasted.redirect_url(text, LOGIN)
    assert not set(re.findall(r"C0DE|GOOD|evil|ticket", raised.value.message))


@given(st.text(max_size=300))
def test_anything_that_passes_is_this_logins_address(text: str) -> None:
    """Whatever is pasted: what would be typed is one line of printable ASCII that begins with the redirect URI."""
    for candidate in (text, ANSWER + text, f"http://localhost:56957/callback?state=GOOD&code={text}"):
        try:
            typed = pasted.redirect_url(candidate, LOGIN)
        except UsageError:
            continue
        assert re.fullmatch(r"http://localhost:56957/callback\?[!-~]+", typed)
        assert "state=GOOD" in typed
