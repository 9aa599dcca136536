"""Boards without hardware: numerics are real, time and power are modelled, and every figure says so."""
