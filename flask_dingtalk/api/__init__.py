"""DingTalk's servers: their names, their answers, and the calls to them.

Nothing in here knows Flask. Importing it still runs ``flask_dingtalk/__init__.py``, which does: the
folder keeps a story together, it is not a package to be used without the other one.
"""
