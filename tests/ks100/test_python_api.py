"""The Python API that `ks100` exports."""

import subprocess
import sys

import pytest

import ks100


def test_every_exported_name_is_there_and_described():
    for name in ks100.__all__:
        assert (getattr(ks100, name).__doc__ or "").strip(), name


def test_a_name_that_is_not_exported_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        _ = ks100.quantise


def test_importing_the_package_loads_nothing_heavy():
    heavy = "'numpy', 'tensorflow', 'paramiko', 'hil', 'models'"
    code = f"import sys, ks100; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
