"""Data curation: splits by scene, calibration sets stratified by condition, hard-case mining."""

from models.curation.activation_drift import ActivationReport, TensorReport, compare_activations
from models.curation.calibration_coverage import CategoryCoverage, Coverage, coverage
from models.curation.calibration_draw import draw_calibration
from models.curation.failures import FrameFailures, failures
from models.curation.mine import Mined, MiningPolicy, mine
from models.curation.mining_record import MINING_FILE, MinedFrame, MiningRecord
from models.curation.near_duplicates import NearDuplicate, near_duplicates
from models.curation.splits import Pool
from models.curation.stored_splits import check_disjoint, load_pools, shared_scenes
from models.curation.synthetic_splits import POOLS, PoolSpec, generate_pools

__all__ = [
    "MINING_FILE", "POOLS", "ActivationReport", "CategoryCoverage", "Coverage", "FrameFailures", "Mined", "MinedFrame",
    "MiningPolicy", "MiningRecord", "NearDuplicate", "Pool", "PoolSpec", "TensorReport", "check_disjoint",
    "compare_activations", "coverage", "draw_calibration", "failures", "generate_pools", "load_pools", "mine",
    "near_duplicates", "shared_scenes",
]  # fmt: skip
