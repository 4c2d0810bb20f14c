"""Of the pages that have a test module of their own: the headings below which there are examples, and who runs them."""

from __future__ import annotations

# Page, heading, test: its file in tests/ and its name.
COVERED: dict[str, dict[str, str]] = {
    "clients": {
        "curl": "docs/test_docs_clients.py::test_curl",
        "openai for Python": "docs/test_docs_clients.py::test_openai",
        "LangChain": "docs/test_docs_clients.py::test_langchain",
        "In containers, on other machines": "docs/test_docs_clients.py::test_keys",
    },
    "how-it-works": {},
    "reference": {},
}
