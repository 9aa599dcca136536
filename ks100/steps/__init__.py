"""Implementations of the steps as functions on plain files, used by commands and the pipeline."""
