"""The house stands as docs and pyproject say: floors, doors, and a folder called platform/ that shadows
nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("platform/lab", "perceiver", "pipelines", "sweeps")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_imports_point_down_and_heavy_libraries_have_one_door() -> None:
    linted = run("-c", "from importlinter.cli import lint_imports_command as c; c()", PYTHONPATH="platform:.")
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "broken" in linted.stdout  # "N kept, 0 broken"
    assert " 0 broken" in linted.stdout


def test_the_model_imports_without_ray_mlflow_optuna_or_arrow() -> None:
    absent = ["ray", "mlflow", "optuna", "pyarrow", "lab"]
    blocked = f"import sys; sys.modules.update(dict.fromkeys({absent})); import perceiver"
    assert run("-c", blocked, PYTHONPATH=".").returncode == 0


def test_the_shelf_platform_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert not list((ROOT / "tests").rglob("__init__.py")), (
        "tests/lab/__init__.py would shadow the package lab"
    )


def test_platform_is_the_standard_library_in_pytest() -> None:
    assert platform.python_version() == ".".join(map(str, sys.version_info[:3]))


def test_platform_is_the_standard_library_when_python_starts_in_the_root() -> None:
    started = run("-c", "import platform; print(platform.python_version())", PYTHONPATH=".")
    assert started.stdout.strip() == platform.python_version(), started.stderr


def test_platform_is_the_standard_library_inside_a_ray_worker() -> None:
    path = f"{ROOT}/platform:{ROOT}"
    script = (
        "import ray\n"
        f"environment = {{'env_vars': {{'PYTHONPATH': '{path}'}}}}\n"
        "ray.init(address='local', num_cpus=1, include_dashboard=False, runtime_env=environment)\n"
        "def look():\n"
        "    import platform, lab\n"
        "    return platform.python_version(), lab.__name__\n"
        "print(ray.get(ray.remote(look).remote()))\n"
    )
    started = run("-c", script, PYTHONPATH=path, RAY_USAGE_STATS_ENABLED="0")
    assert started.stdout.strip().endswith(f"('{platform.python_version()}', 'lab')"), started.stderr[-2000:]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_longer_than_four_hundred_lines(package: str) -> None:
    lengths = {p.name: len(p.read_text().splitlines()) for p in (ROOT / package).rglob("*.py")}
    assert lengths, package
    assert {name: n for name, n in lengths.items() if n > 400} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_has_a_name_that_says_nothing(package: str) -> None:
    empty_words = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
    assert {p.stem for p in (ROOT / package).rglob("*.py")} & empty_words == set()
