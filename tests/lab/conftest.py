"""A Ray of the tests' own, on this machine."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def local_ray():
    """Two CPUs, without a dashboard; ends with the module."""
    from lab import cluster  # noqa: F401 (says what Ray reads when it is imported)

    import ray  # isort: skip

    # Sockets live under the temporary folder, and their paths must be short.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    paths = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, _temp_dir=folder, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}},
    )  # fmt: skip
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)
