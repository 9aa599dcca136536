"""The pytest plugin: options, fixtures, and how each check's end is recorded."""
