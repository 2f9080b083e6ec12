"""Beside other extensions, under servers, and watched by trackers: docs/how-to/ecosystem.md."""
