"""A worker that Ray ends to keep its machine alive: told from one that died, by what a real Ray raises."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from lab.errors import OutOfMemory

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture
def crowded_ray():
    """A Ray that finds its machine full at once."""
    from lab import cluster  # noqa: F401 (says what Ray reads when it is imported)

    import ray  # isort: skip

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    paths = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    ray.init(
        address="local", num_cpus=1, include_dashboard=False, _temp_dir=folder, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
        _system_config={"memory_usage_threshold": 0.01, "memory_monitor_refresh_ms": 1000},
    )  # fmt: skip
    yield ray
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


class Sleeper:
    def sleep(self) -> None:
        time.sleep(120)


def test_the_verdict_on_a_worker_that_ray_ended_for_its_memory_names_it_and_the_way_out(crowded_ray):
    from lab.train.distributed import cause, verdict

    with pytest.raises(Exception, match="low on memory") as told:
        crowded_ray.get(crowded_ray.remote(Sleeper).remote().sleep.remote())
    failures = {0: RuntimeError("Connection closed by peer"), 1: told.value}
    assert cause(failures) == "worker 1 was ended by Ray: its machine was running low on memory"
    fault = verdict(cause(failures))
    assert isinstance(fault, OutOfMemory)
    assert "use --micro-batch auto" in str(fault)
