"""The reference is complete: whatever users may rely on stands on the built site."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any, Final

import click
import pytest
from flask import Flask
from jinja2 import Environment, meta

import flask_dingtalk
from flask_dingtalk import testing
from flask_dingtalk.api.error_codes import NEW_API, OLD_API
from flask_dingtalk.api.events import Event
from flask_dingtalk.cli import dingtalk as commands
from flask_dingtalk.settings import Settings
from flask_dingtalk.testing import people
from flask_dingtalk.user_api import AsApp, AsUser

from .built import inventory, read_page

LANGUAGES: Final = ("en", "zh_CN")
#: What people meet as arguments, attributes and answers, beside what the packages export.
FURTHER: Final = (
    AsApp,
    AsUser,
    Event,
    people.Application,
    people.Membership,
    people.Organisation,
    people.Person,
    people.Role,
)
#: Public only so that the package itself can call it.
OUR_OWN: Final = {
    "accepts",
    "avatar_path",
    "base_url",
    "effect",
    "effect_on",
    "from_frame",
    "from_message",
    "from_user_info",
    "from_wire",
    "lock",
    "news",
    "renew",
    "serve_avatars_at",
    "settle",
    "tell_news",
    "user_ids",
    "wait_until",
}
TEMPLATES: Final = Path(flask_dingtalk.__file__).parent / "templates" / "dingtalk"


def _exports() -> list[tuple[str, Any]]:
    named = [(f"flask_dingtalk.{name}", flask_dingtalk) for name in flask_dingtalk.__all__]
    named += [(f"flask_dingtalk.testing.{name}", testing) for name in testing.__all__]
    found = [(name, getattr(module, name.rpartition(".")[2])) for name, module in named]
    return found + [(f"{each.__module__}.{each.__qualname__}", each) for each in FURTHER]


EXPORTS: Final = _exports()


@pytest.fixture(params=LANGUAGES)
def built(request: pytest.FixtureRequest, site: Path) -> Path:
    """Return the folder of the site in each language."""
    folder: Path = site / request.param
    return folder


def _described(built: Path) -> set[str]:
    kinds = inventory(built)
    return {name for kind, names in kinds.items() if kind.startswith("py:") for name in names}


def _cells(built: Path, page: str) -> list[str]:
    """Return what stands as code on a page of the reference, in the order of the page."""
    return sorted(read_page(built / "reference" / f"{page}.html").code)


def test_every_export_is_described(built: Path) -> None:
    """Classes, functions, errors and signals of both packages have an entry."""
    assert {name for name, _ in EXPORTS} - _described(built) == set()


def test_every_public_member_is_described(built: Path) -> None:
    """Methods, properties and fields of the public classes have an entry."""
    members = {
        f"{name}.{member}"
        for name, each in EXPORTS
        if inspect.isclass(each)
        for member in _members(each)
    }
    assert members - _described(built) == set()


def _members(public: type) -> set[str]:
    """Return the names of a class that are ours and public; of an error, those that it adds."""
    own = [each for each in public.__mro__ if each.__module__.startswith("flask_dingtalk")]
    if issubclass(public, flask_dingtalk.DingTalkError):
        own = [public]
    names = {name for each in own for name in vars(each) if not name.startswith("_")}
    if dataclasses.is_dataclass(public):
        names |= {field.name for field in dataclasses.fields(public)}
    if issubclass(public, flask_dingtalk.DingTalkError) and public.__init__ is not (
        flask_dingtalk.DingTalkError.__init__
    ):
        facts = inspect.signature(flask_dingtalk.DingTalkError).parameters
        names |= set(inspect.signature(public).parameters) - facts.keys() - {"facts", "timed_out"}
        names -= {"data", "get_response"}
    return names - OUR_OWN - {"code", "error_code"}


def test_every_entry_says_something(built: Path) -> None:
    """No entry of the reference is a bare name."""
    bare = []
    for path in (built / "reference").glob("*.html"):
        content = path.read_text(encoding="utf-8")
        bare += re.findall(
            r'<dt class="sig[^>]* id="([^"]+)">(?:(?!</dt>).)*</dt>\s*<dd></dd>', content, re.DOTALL
        )
    # Overloads share one text.
    assert [name for name in bare if not name.endswith(".login_required")] == []


def test_every_error_is_described_with_status_and_code(built: Path) -> None:
    """The entry of an error names its HTTP status and what JSON calls it."""
    content = (built / "reference" / "errors.html").read_text(encoding="utf-8")
    for error in flask_dingtalk.DingTalkError.__subclasses__():
        _, _, entry = content.partition(f'id="flask_dingtalk.{error.__name__}"')
        text = re.sub(r"<[^>]+>", "", entry.partition('<dl class="py exception"')[0])
        assert re.search(rf"HTTP {error.code}(,|，)\s*{error.error_code}", text), error


def test_every_setting_is_described(built: Path) -> None:
    """Each setting is on the page of settings."""
    settings = {f"DINGTALK_{field.name.upper()}" for field in dataclasses.fields(Settings)}
    assert settings - set(_cells(built, "settings")) == set()


def test_every_command_and_option_is_described(built: Path) -> None:
    """Each command of ``flask dingtalk`` has a heading, and each of its options an entry."""
    options = inventory(built)["std:cmdoption"]
    page = read_page(built / "reference" / "commands.html")
    for name, command in commands.commands.items():
        assert f"flask-dingtalk-{name}" in {attributes.get("id") for _, attributes in page.elements}
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert f"flask-dingtalk-{name}.{parameter.opts[0]}" in options
            else:
                assert parameter.make_metavar(click.Context(command)).strip("[].") in str(
                    page.texts
                )


def test_every_template_and_variable_is_described(built: Path) -> None:
    """The page of templates has each template, what it gets, and what every template can use."""
    listed = set(_cells(built, "templates"))
    environment = Environment()
    functions = {"dingtalk_button", "dingtalk_logout_button", "dingtalk_qr"}
    flasks_own = {"url_for"}
    for path in TEMPLATES.glob("*.html"):
        assert f"dingtalk/{path.name}" in listed
        source = path.read_text(encoding="utf-8")
        used = meta.find_undeclared_variables(environment.parse(source))
        assert used - functions - flasks_own - listed == set(), path.name
    described = _described(built)
    assert {f"flask_dingtalk.template_globals.{name}" for name in functions} <= described


def test_every_route_is_described(built: Path, bare: Flask) -> None:
    """The page of routes has the path and the endpoint of each."""
    listed = set(_cells(built, "routes"))
    for rule in bare.url_map.iter_rules():
        if rule.endpoint.startswith("dingtalk."):
            assert {rule.rule, rule.endpoint} <= listed


def test_every_code_of_dingtalk_is_described(built: Path) -> None:
    """The page of DingTalk's codes has those of both APIs."""
    codes = {str(code) for table in (NEW_API, OLD_API) for code in table}
    assert codes - set(_cells(built, "dingtalk-codes")) == set()
