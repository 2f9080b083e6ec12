"""Looks for what is wrong with a site's set-up; ``flask dingtalk check`` shows what it finds.

``site`` and ``dingtalk`` return findings, ``report`` prints them.
"""
