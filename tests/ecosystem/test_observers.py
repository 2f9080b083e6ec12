"""What OpenTelemetry and Sentry are told of a sign-in: everything but codes, states and cookies."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flask_dingtalk.testing import DingTalkSimulator

from ..helpers import SECRET_KEY
from ..server import Asked, Reply, Server
from .conftest import Build
from .walk import InProcess, begin, come_back, sign_in


@pytest.fixture(scope="module")
def provider() -> TracerProvider:
    """Return where spans go; a process can have only one."""
    made = TracerProvider()
    trace.set_tracer_provider(made)
    return made


@pytest.fixture
def spans(provider: TracerProvider) -> Iterator[InMemorySpanExporter]:
    """Keep the spans of one test."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


def test_no_span_holds_a_code(
    documented: Build, simulator: DingTalkSimulator, spans: InMemorySpanExporter
) -> None:
    """Neither of a sign-in that succeeds, nor of one that fails; other routes have theirs."""
    app, _ = documented("with_opentelemetry.py")
    try:
        browser = InProcess(app.test_client())
        failed = simulator.authorization_code("zhang")
        simulator.fail("userAccessToken", status=500)
        assert come_back(browser, state=begin(browser), code=failed).status == 502
        sign_in(browser, simulator)
    finally:
        FlaskInstrumentor().uninstrument_app(app)
    names = {span.name for span in spans.get_finished_spans()}
    assert {"GET /report", "GET /dingtalk/login"} <= names
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    assert '"url.query": "next=' in told
    assert failed not in told
    assert not [secret for secret in simulator.secrets if secret in told]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Run a server that takes what Sentry's SDK sends, and name it in the environment."""
    events: list[dict[str, Any]] = []

    def take(asked: Asked) -> Reply:
        body = asked.body
        if asked.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        events.extend(json.loads(line) for line in body.splitlines() if b'"exception"' in line)
        return 200, [("Content-Length", "2")], b"{}"

    with Server(take) as server:
        monkeypatch.setenv("SENTRY_DSN", f"http://key@127.0.0.1:{server.server_port}/1")
        yield events
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


def test_no_report_to_sentry_holds_a_secret(
    documented: Build, simulator: DingTalkSimulator, reported: list[dict[str, Any]]
) -> None:
    """Of a hook that fails in the callback, with user, token and code at hand."""
    app, module = documented("with_sentry.py")
    bug = LookupError("in the hook")

    @module.dingtalk.on_login
    def hook(user: object, token: object) -> None:
        raise bug

    browser = InProcess(app.test_client())
    code = simulator.authorization_code("zhang")
    assert come_back(browser, state=begin(browser), code=code).status == 500
    sentry_sdk.get_client().flush(30)
    assert any("in the hook" in json.dumps(event) for event in reported)
    told = json.dumps(reported)
    assert code not in told
    assert not [secret for secret in simulator.secrets if secret in told]
    assert SECRET_KEY not in told
