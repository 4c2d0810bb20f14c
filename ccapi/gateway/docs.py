"""`GET /docs`: the API on one page, made from the OpenAPI document.

No script, and nothing from elsewhere: the page's own style is all that its policy lets a browser load. Nothing in it
comes from a request.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import html
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from ccapi.gateway import openapi
from ccapi.gateway.operations import STREAM

Object = Mapping[str, Any]

_STYLE = """
:root{color-scheme:light dark;--back:#fbfaf7;--card:#fff;--text:#26241f;--soft:#6b675e;--line:#e4e0d6;--accent:#b4532a;
--code:#f3f0e8;--get:#1d6fa5;--post:#2c7a4b;--delete:#b3352b}
@media(prefers-color-scheme:dark){:root{--back:#171614;--card:#1f1e1b;--text:#e9e6df;--soft:#a09b8f;--line:#34322d;
--accent:#e08a5f;--code:#141311;--get:#6cb4e4;--post:#76c793;--delete:#ee8a80}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:1rem}
@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--back);color:var(--text);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;
display:grid;grid-template-columns:17rem minmax(0,1fr)}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1.6rem 1.2rem;border-right:1px solid var(--line);
font-size:.9rem}
nav strong{display:block;font-size:1.05rem;margin-bottom:.2rem}
nav h2{font-size:.75rem;letter-spacing:.06em;text-transform:uppercase;color:var(--soft);margin:1.4rem 0 .3rem}
nav ul{list-style:none;margin:0;padding:0}
nav a{display:flex;gap:.5rem;align-items:baseline;padding:.22rem 0;color:inherit;text-decoration:none;
overflow-wrap:anywhere}
nav a:hover span:last-child{text-decoration:underline}
main{padding:2.2rem clamp(1rem,4vw,3.5rem) 5rem;max-width:64rem;width:100%}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .4rem}
main>p{max-width:44rem}
h2.tag{margin:3rem 0 .8rem;font-size:1.35rem}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.2rem 1.3rem;margin:0 0 1.2rem}
section h3{margin:0 0 .5rem;font:600 1.02rem/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;display:flex;
gap:.6rem;align-items:baseline;overflow-wrap:anywhere}
section h3 a{color:inherit;text-decoration:none}
section p{margin:.3rem 0}
.summary{font-weight:600}
.soft{color:var(--soft)}
.verb{font:700 .72rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;letter-spacing:.03em;flex:none;
min-width:3.4rem}
.get{color:var(--get)}.post{color:var(--post)}.delete{color:var(--delete)}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.86em}
code{background:var(--code);border-radius:4px;padding:.1em .3em;overflow-wrap:anywhere}
pre{background:var(--code);border:1px solid var(--line);border-radius:8px;padding:.8rem .9rem;overflow-x:auto;
margin:.9rem 0;line-height:1.5;font-size:.82rem}
pre code{background:none;padding:0;font-size:1em;overflow-wrap:normal}
details{border-top:1px solid var(--line);margin-top:.7rem;padding-top:.6rem}
details+details{margin-top:.6rem}
summary{cursor:pointer;font-weight:600;font-size:.93rem}
summary:focus-visible,a:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:4px}
dl{margin:.6rem 0 0;display:grid;grid-template-columns:minmax(9rem,15rem) minmax(0,1fr);gap:.35rem 1.2rem;
font-size:.93rem}
dt{overflow-wrap:anywhere}dd{margin:0;overflow-wrap:anywhere}
.must{color:var(--accent);font-size:.78rem;margin-left:.4rem}
.good{color:var(--post)}.bad{color:var(--delete)}
dd a,summary a,main p a{color:var(--accent)}
.types section{padding:.9rem 1.2rem}
@media(max-width:820px){body{display:block}nav{position:static;height:auto;max-height:45vh;border-right:0;
border-bottom:1px solid var(--line);padding:1rem}main{padding-top:1.4rem}
dl{grid-template-columns:1fr;gap:.1rem}dd{margin-bottom:.6rem}section{padding:1rem}}
@media print{nav{display:none}body{display:block}details{display:block}}
""".strip()
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


async def handle(request: web.Request) -> web.Response:
    del request
    text = await asyncio.to_thread(page)  # a tenth of a second the first time, which no stream should wait
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})


@functools.cache
def page() -> str:
    return render(openapi.document())


def render(document: Object) -> str:
    """The page. Whatever the document holds is text in it, never markup."""
    info, operations = document["info"], list(_operations(document))
    types = document["components"]["schemas"]
    facts = f"{_text(info['summary'])} · version {_text(info['version'])}"
    body = [
        _contents(info, operations),
        "<main>",
        f"<h1>{_text(info['title'])}</h1>",
        f'<p class="soft">{facts} · <a href="/openapi.json">OpenAPI document</a></p>',
        *(f"<p>{_marked(paragraph)}</p>" for paragraph in info["description"].split("\n\n")),
    ]
    tag = ""
    for path, method, operation in operations:
        if operation["tags"][0] != tag:
            tag = operation["tags"][0]
            body.append(f'<h2 class="tag">{_text(tag)}</h2>')
        body.append(_operation(path, method, operation, types))
    body += ['<h2 class="tag">Types</h2>', '<div class="types">']
    body += [_type(name, schema) for name, schema in sorted(types.items())]
    body += ["</div>", "</main>"]
    return _PAGE.format(title=_text(info["title"]), style=_STYLE, body="\n".join(body))


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _operations(document: Object) -> Iterator[tuple[str, str, Object]]:
    """Path, method and operation, the tags together and in their order."""
    found = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    order = [tag["name"] for tag in document["tags"]]
    yield from sorted(found, key=lambda one: order.index(one[2]["tags"][0]))


def _contents(info: Object, operations: list[tuple[str, str, Object]]) -> str:
    lines, tag = [f"<nav><strong>{_text(info['title'])}</strong>"], ""
    for path, method, operation in operations:
        if operation["tags"][0] != tag:
            lines.append(f"{'</ul>' if tag else ''}<h2>{_text(operation['tags'][0])}</h2><ul>")
            tag = operation["tags"][0]
        link = f'<a href="#{_text(operation["operationId"])}">{_verb(method)}<span>{_breakable(path)}</span></a>'
        lines.append(f"<li>{link}</li>")
    return "\n".join([*lines, "</ul></nav>"])


def _breakable(path: str) -> str:
    """A path that may go on in another line after a slash."""
    return "/<wbr>".join(_text(step) for step in path.split("/"))


def _verb(method: str) -> str:
    return f'<span class="verb {_text(method)}">{_text(method.upper())}</span>'


def _operation(path: str, method: str, operation: Object, types: Object) -> str:
    name = _text(operation["operationId"])
    parts = [
        f'<section id="{name}"><h3>{_verb(method)}<a href="#{name}">{_text(path)}</a></h3>',
        f'<p class="summary">{_marked(operation["summary"])}</p>',
    ]
    if description := operation.get("description"):
        parts += [f"<p>{_marked(paragraph)}</p>" for paragraph in description.split("\n\n")]
    parts += [f"<pre><code>{_text(sample['source'])}</code></pre>" for sample in operation["x-codeSamples"]]
    if operation["parameters"]:
        rows = [
            _row([one["name"]], one, {one["name"]} if one["required"] else set()) for one in operation["parameters"]
        ]
        parts.append(_details("Parameters", rows))
    if content := operation.get("requestBody", {}).get("content"):
        (schema,) = (media["schema"] for media in content.values())
        rows = _fields(types.get(schema.get("$ref", "").rpartition("/")[2], {}))
        parts.append(_details(f"Body: {_kind(schema)}", rows))
    parts.append(_details("Answers", [_answer(status, answer) for status, answer in operation["responses"].items()]))
    return "\n".join([*parts, "</section>"])


def _details(title: str, rows: list[str]) -> str:
    return f"<details><summary>{title}</summary><dl>{''.join(rows)}</dl></details>"


def _after(words: str) -> str:
    return f" · {_marked(words)}" if words else ""


def _answer(status: str, answer: Object) -> str:
    kinds = []
    for content_type, media in answer.get("content", {}).items():
        if content_type == STREAM:
            *_, text = media["schema"]["properties"]["data"]["anyOf"]
            kinds.append(f"or <code>{_text(content_type)}</code> of {_kind(text['contentSchema'])}")
        else:
            kinds.append(_kind(media["schema"]) if "json" in content_type else f"<code>{_text(content_type)}</code>")
    quality = "good" if status.startswith("2") else "bad"
    phrase = HTTPStatus(int(status)).phrase
    kind = ", ".join(kinds)
    return (
        f'<dt><strong class="{quality}">{_text(status)}</strong> <span class="soft">{_text(phrase)}</span></dt>'
        f"<dd>{_marked(answer['description'])}{f' {kind}' if kind else ''}</dd>"
    )


def _type(name: str, schema: Object) -> str:
    rows = _fields(schema)
    words = schema.get("description", "")
    return "\n".join(
        [
            f'<section id="type-{_text(name)}"><h3><a href="#type-{_text(name)}">{_text(name)}</a></h3>',
            *(f"<p>{_marked(paragraph)}</p>" for paragraph in words.split("\n\n") if paragraph),
            f"<dl>{''.join(rows)}</dl>" if rows else f"<p>{_kind(schema)}</p>",
            "</section>",
        ]
    )


def _fields(schema: Object) -> list[str]:
    """A row for each field, what is required first. Fields of which the same is said share one, after the others."""
    required = set(schema.get("required", ()))
    same: dict[tuple[str, str], list[str]] = {}
    for name, field in schema.get("properties", {}).items():
        words = field.get("description", "")
        same.setdefault((_kind(field), words or name), []).append(name)
    rows = [(_row(names, schema["properties"][names[0]], required), names) for names in same.values()]
    rows.sort(key=lambda row: (not required.issuperset(row[1]), len(row[1]) > 1))
    return [row for row, _ in rows]


def _row(names: list[str], field: Object, required: set[str]) -> str:
    must = '<span class="must">required</span>' if required.issuperset(names) else ""
    place = f' <span class="soft">{_text(field["in"])}</span>' if "in" in field else ""
    words = field.get("description", "")
    title = " ".join(f"<code>{_text(name)}</code>" for name in names)
    return f"<dt>{title}{place}{must}</dt><dd>{_kind(field.get('schema', field))}{_after(words)}</dd>"


def _kind(schema: Object) -> str:
    """A schema in a few words."""
    if reference := schema.get("$ref"):
        name = _text(reference.rpartition("/")[2])
        return f'<a href="#type-{name}">{name}</a>'
    for many in ("anyOf", "oneOf", "allOf"):
        if many in schema:
            return " or ".join(dict.fromkeys(_kind(one) for one in schema[many]))
    if "const" in schema:
        return f"<code>{_text(_json(schema['const']))}</code>"
    if "enum" in schema:
        return " or ".join(f"<code>{_text(_json(one))}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return _text(str(schema.get("type", "anything"))) + _limits(schema)


_LIMITS = {"minimum": "≥", "maximum": "≤", "exclusiveMinimum": ">", "minLength": "length ≥", "maxLength": "length ≤"}


def _limits(schema: Object) -> str:
    found = [f"{sign} {schema[name]}" for name, sign in _LIMITS.items() if name in schema]
    return f" ({_text(', '.join(found))})" if found else ""


def _json(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _text(words: str) -> str:
    return html.escape(words)


def _marked(words: str) -> str:
    """Text, with what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(" ".join(words.split())))
