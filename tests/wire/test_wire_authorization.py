"""Which authorization URLs are relayed, and what is taken out of them (rows P11, P13, P14, P74)."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccapi.errors import LoginRefused
from ccapi.wire import authorization
from ccapi.wire.authorization import MAX_URL, Authorization, Redirect, parse

MARKER = "MARKER31337"
REDIRECT = "http://localhost:56957/callback"


def url(redirect_uri: str = REDIRECT, state: str = MARKER, base: str = "https://as.example/authorize") -> str:
    query = {"response_type": "code", "client_id": "c", "redirect_uri": redirect_uri, "state": state, "scope": "a b"}
    return f"{base}?{urlencode(query)}"


def refused(text: str, **options: int) -> None:
    """It is, and no message repeats any of it."""
    with pytest.raises(LoginRefused) as caught:
        parse(text, reserved={8000, 8888}, **options)
    shown = f"{caught.value.message} {caught.value.hint} {caught.value.detail}"
    assert MARKER not in shown
    assert "evil" not in shown


# --- what is taken


def test_what_claude_code_prints() -> None:
    """All that the relay needs, and the URL as it is."""
    text = url()
    assert parse(text) == Authorization(text, "as.example", Redirect("localhost", 56957, "/callback"), MARKER)


@pytest.mark.parametrize(
    ("uri", "redirect"),
    [
        ("http://localhost:1024/callback", Redirect("localhost", 1024, "/callback")),
        ("http://127.0.0.1:3118/callback", Redirect("127.0.0.1", 3118, "/callback")),
        ("http://[::1]:65535/callback", Redirect("[::1]", 65535, "/callback")),
        ("http://localhost:50000/oauth/callback", Redirect("localhost", 50000, "/oauth/callback")),
        ("http://localhost:50000/mcp/a_b-1/callback", Redirect("localhost", 50000, "/mcp/a_b-1/callback")),
    ],
)
def test_redirect_uris(uri: str, redirect: Redirect) -> None:
    """The three spellings of loopback, any port from 1024 on, a path that ends in `callback`."""
    assert parse(url(uri)).redirect == redirect
    assert authorization.redirect(uri) == redirect
    assert str(redirect) == uri


@pytest.mark.parametrize(
    ("base", "site"),
    [
        ("https://as.example/authorize", "as.example"),
        ("https://as.example:8443/authorize", "as.example:8443"),
        ("https://AS.Example", "AS.Example"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("https://a_b.example/", "a_b.example"),
        ("https://192.0.2.1/authorize", "192.0.2.1"),
        ("http://localhost:9000/authorize", "localhost:9000"),
        ("http://127.0.0.1:9000/authorize", "127.0.0.1:9000"),
        ("http://[::1]:9000/authorize", "[::1]:9000"),
    ],
)
def test_sites(base: str, site: str) -> None:
    """https anywhere, plain http on this machine; the site is the host as written, with its port."""
    assert parse(url(base=base)).site == site


@pytest.mark.parametrize(
    "extra", ["&x", "&&", "&x=%zz", "&name=%C3%A9", "&name=%FF", "&redirect=https://evil.example", "&STATE=x", "&x=y=z"]
)
def test_other_parameters_do_not_matter(extra: str) -> None:
    """The authorization server knows what they mean."""
    assert parse(url() + extra).state == MARKER


@pytest.mark.parametrize("text", ["a", "x" * 512, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "..", "a/b?c#d"])
def test_states(text: str) -> None:
    """Visible ASCII, as they were before they were encoded."""
    assert parse(url(state=text)).state == text


def test_a_state_is_decoded_as_in_a_form() -> None:
    """`+` is a space, which no state has; an encoded one is a plus sign."""
    assert parse(f"https://as.example/?redirect_uri={quote(REDIRECT)}&state=a%2Bb").state == "a+b"
    refused(f"https://as.example/?redirect_uri={quote(REDIRECT)}&state=a+b")


# --- what is refused


@pytest.mark.parametrize("port", [0, 1, 22, 25, 80, 443, 1023, 8000, 8888, 65536, 99999, 100000])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_ports_of_services(port: int, host: str) -> None:
    """P11; also those that are reserved here."""
    refused(url(f"http://{host}:{port}/callback"))


@pytest.mark.parametrize("port", ["", ":", ":0x1f90", ":08080", ":+8080", ":8080 ", ":8080x", ":-1", ":٨٠٨٠", ":1e4"])
def test_what_is_no_port(port: str) -> None:
    """There must be one, in plain decimal."""
    refused(url(f"http://localhost{port}/callback"))


@pytest.mark.parametrize(
    "host",
    [
        *("localhost.evil.com", "127.0.0.1.nip.io", "localhost@evil.com", "evil.com#@localhost", "[::ffff:127.0.0.1]"),
        *("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "LOCALHOST", "LOCALHOST.", "localhost."),
        *(
            "127.0.0.2",
            "[::]",
            "[::1%25lo]",
            "[0:0:0:0:0:0:0:1]",
            "::1",
            "evil.com",
            "user@localhost",
            "user:p@localhost",
        ),
        *(
            "evil.com\\@localhost",
            "localhost\\",
            "localhost%00",
            "localhost\t",
            "loc\nalhost",
            "ⓛocalhost",
            "ip6-localhost",
        ),
        *("", "host.docker.internal", "169.254.169.254", "claude-code-api"),
    ],
)
def test_hosts_that_only_look_like_this_machine(host: str) -> None:
    """P13: only exactly `localhost`, `127.0.0.1`, `[::1]`."""
    refused(url(f"http://{host}:56957/callback"))
    refused(url(f"http://{host}/callback"))


@pytest.mark.parametrize(
    "uri",
    [
        *("https://localhost:56957/callback", "HTTP://localhost:56957/callback", "javascript:alert(1)//callback"),
        *(
            "myapp://localhost:56957/callback",
            "//localhost:56957/callback",
            "localhost:56957/callback",
            "/callback",
            "",
        ),
        *(
            "http://localhost:56957",
            "http://localhost:56957/",
            "http://localhost:56957/admin",
            f"{REDIRECT}/",
            f"{REDIRECT}/..",
        ),
        *(
            "http://localhost:56957/x/../callback",
            "http://localhost:56957//callback",
            "http://localhost:56957/%63allback",
        ),
        *("http://localhost:56957/./callback", "http://localhost:56957/mycallback", "http://localhost:56957/Callback"),
        *(
            f"{REDIRECT}?x=1",
            f"{REDIRECT}?",
            f"{REDIRECT}#x",
            f"{REDIRECT}#",
            f"{REDIRECT};x",
            f"{REDIRECT}\\",
            f"{REDIRECT}%00",
        ),
        *(
            f" {REDIRECT}",
            f"{REDIRECT} ",
            f"{REDIRECT}\n",
            f"{REDIRECT}\r\nX: y",
            f"x{REDIRECT}",
            f"{REDIRECT},{REDIRECT}",
        ),
        *("http:/localhost:56957/callback", "http:localhost:56957/callback", "http:\\\\localhost:56957/callback"),
        f"http://localhost:56957/{MARKER}é/callback",
    ],
)
def test_redirect_uris_that_are_not_relayed(uri: str) -> None:
    """P14: another scheme, path, a query, a fragment; whatever is around it."""
    refused(url(uri))
    with pytest.raises(LoginRefused):
        authorization.redirect(uri)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "--flag", "-https://as.example", "file:///etc/passwd", "javascript:alert(1)", "data:text/html,x"),
        *(
            "vscode://x",
            "ssh://as.example",
            "ftp://as.example/",
            "HTTPS://as.example/",
            "https:as.example",
            "https:/as.example",
        ),
        *(
            "https://",
            "https:///authorize",
            "https://?x=y",
            "https://:443/",
            "//as.example/",
            "https://as.example:99999/",
        ),
        *(
            "https://as.example:x/",
            "https://as.example:0/",
            "https://[/",
            "https://[::1",
            "https://[evil]/",
            "https://[::2]/",
        ),
    ],
)
def test_what_is_no_authorization_url(text: str) -> None:
    """P74: whatever comes behind it."""
    refused(text)
    refused(f"{text}?redirect_uri={quote(REDIRECT)}&state={MARKER}")


@pytest.mark.parametrize(
    "base",
    [
        *(
            "http://as.example/authorize",
            "http://192.168.0.1/",
            "http://localhost.evil.com/",
            "http://127.0.0.1.nip.io/",
        ),
        *("http://localhost@evil.com/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0:9000/", "http://127.1/"),
    ],
)
def test_plain_http_elsewhere(base: str) -> None:
    """P74: what is sent there can be read by others."""
    refused(url(base=base))


@pytest.mark.parametrize(
    "base",
    [
        *(
            "https://user@as.example/",
            "https://user:pw@as.example/",
            "https://@as.example/",
            "https://as.example@evil.com/",
        ),
        *(
            "https://evil.com\\@as.example/",
            "https://evil.com\\.as.example/",
            "https://as.example;evil/",
            "https://a'b/",
        ),
        *('https://as.example"/', "https://<b>as.example</b>/", "https://as.example%2eevil.com/", "https://a$(id)/"),
        *("https://as.example,evil/", "https://-evil.example/", "https://.evil/", "https://evil./", "https://a`id`/"),
        *("https://" + "a" * 254 + "/", "https://as.example|evil/", "https://as^evil/", "https://{as}/"),
    ],
)
def test_a_site_that_a_person_could_misread(base: str) -> None:
    """What a browser and a parser take for the host must be one and the same, and fit to be shown."""
    refused(url(base=base))


@pytest.mark.parametrize(
    "char", ["\x00", "\x07", "\n", "\r", "\t", " ", "\x1b", "\x7f", "\x9b", "é", "\u202e", "\ud800"]
)
@pytest.mark.parametrize("place", ["start", "site", "middle", "end"])
def test_characters_that_no_url_has(char: str, place: str) -> None:
    """P74: a terminal would act on some of them."""
    good = url()
    at = {"start": 0, "site": 11, "middle": len(good) // 2, "end": len(good)}[place]
    refused(good[:at] + char + good[at:])


@pytest.mark.parametrize("fragment", ["#", "#x", "#&state=y", "#access_token=x"])
def test_a_fragment(fragment: str) -> None:
    """No authorization endpoint has one (RFC 6749, 3.1)."""
    refused(url() + fragment)


@pytest.mark.parametrize("name", ["redirect_uri", "state"])
def test_parameters_that_must_be_there_once(name: str) -> None:
    """Who reads the first of two and who reads the last would not speak of the same login."""
    values = {"redirect_uri": REDIRECT, "state": MARKER}
    both = urlencode(values)
    without = urlencode({key: value for key, value in values.items() if key != name})
    refused(f"https://as.example/?{without}")
    refused(f"https://as.example/?{both}&{name}={quote(values[name])}")
    refused(f"https://as.example/?{both}&{name}=")
    refused(f"https://as.example/?{both}&{name}")
    refused(f"https://as.example/?{both}&{name[0]}{'%' + format(ord(name[1]), 'x')}{name[2:]}=x")
    refused(f"https://as.example/?{without}&{name}=")


@pytest.mark.parametrize("text", ["", " ", "a b", "x" * 513, "é", "a\nb", "\x00", "\x7f"])
def test_states_that_identify_nothing(text: str) -> None:
    """Empty, too long, or not visible."""
    refused(url(state=text))
    with pytest.raises(LoginRefused):
        authorization.state(text)


def test_the_longest() -> None:
    """By default 8,192 characters; who takes them from strangers says less."""
    text = f"{url()}&x=".ljust(MAX_URL, "x")
    assert parse(text).state == MARKER
    refused(f"{text}x")
    assert parse(text[:2048], longest=2048).state == MARKER
    refused(text[:2049], longest=2048)


# --- whatever it is


@given(st.text(max_size=300))
@example("https://[v1.x]/")
@example("https://as.example:99999999999999999999/")
def test_any_text_is_taken_or_refused(text: str) -> None:
    """Nothing else is ever raised."""
    for candidate in (text, f"https://{text}", url() + text, f"https://as.example/?redirect_uri={text}&state={text}"):
        try:
            found = parse(candidate)
        except LoginRefused:
            continue
        assert found.url == candidate
        assert found.site in candidate
        assert found.redirect.host in {"localhost", "127.0.0.1", "[::1]"}
        assert 1024 <= found.redirect.port <= 65535


VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)


@given(
    st.sampled_from(["localhost", "127.0.0.1", "[::1]"]),
    st.integers(1024, 65535),
    st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), max_size=3),
    VISIBLE,
    st.dictionaries(st.sampled_from(["scope", "client_id", "x"]), st.text(max_size=20), max_size=3),
)
def test_what_is_taken_is_what_was_meant(
    host: str, port: int, path: list[str], state: str, rest: dict[str, str]
) -> None:
    """The redirect URI and the state come out as they went in."""
    uri = f"http://{host}:{port}{''.join(f'/{part}' for part in path)}/callback"
    found = parse(f"https://as.example/a?{urlencode({**rest, 'redirect_uri': uri, 'state': state}, errors='replace')}")
    assert (str(found.redirect), found.state) == (uri, state)
