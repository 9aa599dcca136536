"""A limit of your own on a real board, beside the suite's.

pytest examples/test_my_limit.py --ks-board emu: --ks-package runs/demo/package.ksm
"""

from hil.measurements.measurement import Limit


def test_the_board_holds_no_more_than_two_models(ks_installed, ks_board, ks_record):
    """A figure with a limit: recorded, compared, reported like the suite's own."""
    used = sum(bool(slot.model) for slot in ks_board.info().slots)
    ks_record.require(ks_record.figure("slots_in_use", used, "1", limit=Limit(high=2)))
