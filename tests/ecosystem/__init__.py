"""Beside other extensions, under servers, and watched by trackers: docs/ecosystem.md."""
