"""The benchmark runs with nothing but torch and einops, and says what it goes without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKED = ("ray", "mlflow", "optuna", "pyarrow", "transformers", "lab", "pipelines", "sweeps")


@pytest.mark.slow
def test_a_small_model_has_a_row_for_every_implementation_that_is_here(tmp_path):
    for name in BLOCKED:
        (tmp_path / f"{name}.py").write_text("raise ModuleNotFoundError(name=__name__)")
    (tmp_path / "peers").mkdir()
    command = [sys.executable, "benchmarks/perceiver.py", "--shape", "small", "--repetitions", "2"]
    command += ["--threads", "1", "--peers", str(tmp_path / "peers")]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    told = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(" | ") for line in told.splitlines() if line.startswith("| ")]
    by_name = {row[0].removeprefix("| "): row for row in rows}
    assert {"plain formula", "scaled_dot_product_attention", "ours", "ours, checkpointing"} <= set(by_name)
    for peer in ("Hugging Face", "perceiver-pytorch", "perceiver-io"):
        assert peer not in by_name
        assert f"Without {peer}: not installed" in told
    assert all(float(by_name[name][6]) < 1e-5 for name in by_name if name), told
