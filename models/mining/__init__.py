"""Hard cases: the frames that earlier model versions failed on, with a random arm to compare them with."""

from models.mining.failures import FrameFailures, failures
from models.mining.mine import Mined, MiningPolicy, mine
from models.mining.record import MINING_FILE, MinedFrame, MiningRecord

__all__ = ["MINING_FILE", "FrameFailures", "Mined", "MinedFrame", "MiningPolicy", "MiningRecord", "failures", "mine"]
