"""Of the pages that have a test module of their own: the headings below which there are examples, and who runs them."""

from __future__ import annotations

# Page, heading, test: its file in tests/ and its name.
COVERED: dict[str, dict[str, str]] = {
    "ask": {
        "The question": "docs/test_docs_ask.py::test_the_question",
        "To go on": "docs/test_docs_ask.py::test_to_go_on",
        "Models and limits": "docs/test_docs_ask.py::test_models_and_limits",
        "In a pipe": "docs/test_docs_ask.py::test_in_a_pipe",
        "JSON": "docs/test_docs_ask.py::test_json",
        "Events": "docs/test_docs_ask.py::test_events",
        "An answer in a form": "docs/test_docs_ask.py::test_an_answer_in_a_form",
    },
    "cli": {
        "Completion": "docs/test_docs_cli.py::test_completion",
        "News of a newer version": "docs/test_docs_cli.py::test_no_news",
    },
    "clients": {
        "curl": "docs/test_docs_clients.py::test_curl",
        "openai for Python": "docs/test_docs_clients.py::test_openai",
        "LangChain": "docs/test_docs_clients.py::test_langchain",
        "In containers, on other machines": "docs/test_docs_clients.py::test_keys",
    },
    "how-it-works": {},
    "migration": {
        "Stop the old": "docs/test_docs_docker.py::test_moving_over_and_back",
        "Take over what Claude knew": "docs/test_docs_docker.py::test_moving_over_and_back",
        "See that it works": "docs/test_docs_docker.py::test_moving_over_and_back",
        "Go back": "docs/test_docs_docker.py::test_moving_over_and_back",
    },
    "platforms": {},
    "production": {
        "A key": "docs/test_docs_production.py::test_a_key",
        "Start with the machine": "test_docs.py::test_the_proxy_as_a_service",
        "Monitoring": "docs/test_docs_production.py::test_monitoring",
        "Back-up": "docs/test_docs_docker.py::test_back_up_and_back",
        "Going back": "docs/test_docs_production.py::test_going_back",
    },
    "reference": {},
    "server": {
        "The folder": "stack/test_stack_docker_export.py::test_the_page",
        "Overlays": "stack/test_stack_docker_export.py::test_the_page",
        "Another version": "stack/test_stack_docker_export.py::test_the_page",
        "Back-up": "stack/test_stack_docker_export.py::test_the_page",
        "systemd": "stack/test_stack_docker_export.py::test_the_page",
        "Remove it": "stack/test_stack_docker_export.py::test_the_page",
        "By hand with ccapi": "stack/test_stack_docker_export.py::test_the_page",
    },
    "security": {},
    "setup": {
        "Install": "docs/test_docs_setup.py::test_install_with_uv",
        "Your own directory": "docs/test_docs_docker.py::test_from_nothing_to_an_answer",
        "Settings": "docs/test_docs_docker.py::test_from_nothing_to_an_answer",
        "Several stacks": "docs/test_docs_docker.py::test_several_stacks",
        "Update": "docs/test_docs_setup.py::test_pipx_again_and_never_more",
        "Remove it": "stack/test_stack_docker_uninstall.py::test_the_page",
        "When something is wrong": "docs/test_docs_production.py::test_monitoring",
    },
    "troubleshooting": {"Troubleshooting": "docs/test_docs_production.py::test_monitoring"},
}
