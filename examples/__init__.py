"""Sites that sign people in with Flask-DingTalk: ``quickstart.py`` and ``site``."""
