"""Readers of real datasets into the same `CaptureSet`, frames in place, with a report of what could not be read."""

from models.readers.assemble import Options
from models.readers.bands import Band
from models.readers.detect import read_dataset
from models.readers.report import FrameCounts, ProblemKind, ReadReport
from models.readers.split import split_by_scene

__all__ = ["Band", "FrameCounts", "Options", "ProblemKind", "ReadReport", "read_dataset", "split_by_scene"]
