"""The shell: names are found, mistakes are answered in one line with the way out and exit code 2."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Shell:
    """`lab` in a folder of its own, as a person runs it."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "RAY_"))}
        return subprocess.run(
            [sys.executable, "-m", "lab.cli", *words],
            cwd=self.home,
            env=clean | {"PYTHONPATH": f"{ROOT}/platform:{ROOT}"} | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def refusal(self, *words: str, **environment: str) -> str:
        """The one line a mistaken command is answered with."""
        done = self(*words, **environment)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr


@pytest.fixture
def lab(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trian"], "Did you mean 'train'?"),
        (
            ["show", "imagenet.fourrier"],
            "no experiment 'imagenet.fourrier'. Did you mean 'imagenet.fourier'?",
        ),
        (["sweep", "table66"], "no sweep 'table66'. Did you mean 'table6'?"),
        (["plan", "imagnet.fourier"], "experiment 'imagnet.fourier'. Did you mean 'imagenet.fourier'?"),
        (["plan", "table66"], "table or experiment 'table66'. Did you mean 'table6'?"),
        (["tables", "table22"], "no table 'table22'. Did you mean 'table2'?"),
        (["show", "imagenet.fourier", "--scale", "labtop"], "no scale 'labtop'. Did you mean 'laptop'?"),
        (["data", "prepare", "digit"], "no data set 'digit'. Did you mean 'digits'?"),
        (["train", "./mine.py::narrow"], "no file ./mine.py"),
        (
            ["train", "imagenet.fourier", "--model.num-latent", "8"],
            "model.num_latent: PerceiverConfig has no field 'num_latent'. Did you mean 'num_latents'?",
        ),
        (
            ["train", "imagenet.fourier", "--model.num-latents", "five"],
            "model.num_latents: must be int, got 'five'",
        ),
        (["train", "imagenet.fourier", "--model.num-latents"], "--model.num-latents needs a value"),
        (["train", "imagenet.fourier", "--model.latent-channels", "33"], "latent_channels must be divisible"),
        (["train", "imagenet.fourier", "--model.cross-attends", "3"], "cross_attends must divide blocks"),
        (["train", "imagenet.fourier", "--optimizer.lr", "-1"], "greater than 0 and finite, got -1"),
        (["train", "imagenet.fourier", "--workers", "0"], "--workers must be 1 or more, got 0"),
        (["train", "imagenet.fourier", "--workers", "many"], "argument --workers: invalid int value: 'many'"),
        (["sweep", "table6", "--trials", "3"], "--trials is for searches; table6 is an ablation"),
        (
            ["sweep", "perceiver", "--seeds", "1"],
            "--seeds and --only are for ablations; perceiver is a search",
        ),
        (["sweep", "table6", "--only", "nine"], "no case of table6 contains 'nine'"),
        (
            ["train", "imagenet.fourier", "--clip", "Infinity"],
            "clip is a gradient norm, greater than 0 and finite",
        ),
        (["train", "imagenet.fourier", "--optimizer.beta1", "5"], "AdamW.beta1 is a rate of decay"),
        (
            ["train", "imagenet.fourier", "--optimizer.weight-decay", "NaN"],
            "must be 0 or more and finite, got nan",
        ),
        (
            ["train", "imagenet.fourier", "--duration.count", "Infinity"],
            "Epochs must be greater than 0 and finite",
        ),
        (["train", "imagenet.fourier", "--seed", str(2**64)], "seed must be from 0 to 2**63 - 1"),
        (["sweep", "table6", "--seeds", "0,0"], "seeds must be one or more, all different, got [0, 0]"),
        (["sweep", "table6", "--seeds", ","], "argument --seeds: must be integers like 0,1,2, got"),
        (["tables", "table6", "--out", "/proc/nope"], "--out /proc/nope: cannot be written"),
        (["list", "sweps"], "Did you mean 'sweeps'?"),
        (["runs", "--stauts", "complete"], "unexpected '--stauts'"),
    ],
)
def test_a_mistake_is_one_line_with_the_way_out(lab: Shell, words: list[str], says: str) -> None:
    assert says in lab.refusal(*words)


def test_a_missing_data_set_names_the_command_that_prepares_it(lab: Shell) -> None:
    assert "lab data prepare digits" in lab.refusal("train", "imagenet.fourier")


@pytest.mark.parametrize(
    ("flag", "value", "says"),
    [
        ("--evaluation.splits", "tset", "no split of digits 'tset'. Did you mean 'test'?"),
        ("--batch-size", "5000", "batch_size is 5000, but digits has 1197 training examples"),
    ],
)
def test_what_would_stop_a_run_at_its_first_step_is_said_before_it_starts(
    lab: Shell, tmp_path: Path, flag: str, value: str, says: str
) -> None:
    assert lab("data", "prepare", "digits").returncode == 0
    assert says in lab.refusal("train", "imagenet.fourier", flag, value)
    assert not (tmp_path / ".lab" / "record.db").exists(), "nothing was put on record"


def test_a_corrupt_shard_is_named(lab: Shell, tmp_path: Path) -> None:
    assert lab("data", "prepare", "digits").returncode == 0
    shard = next((tmp_path / ".lab" / "data").rglob("test*.parquet"))
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    shard.write_bytes(damaged)
    assert shard.name in lab.refusal("data", "verify", "digits")


def test_an_unreachable_tracking_server_is_named(lab: Shell) -> None:
    assert lab("data", "prepare", "digits").returncode == 0
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        assert address in lab.refusal("train", "imagenet.fourier", LAB_TRACKING=address)


def test_a_port_in_use_is_answered_with_a_free_one(lab: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = lab.refusal("ui", "--port", str(port))
        assert f"port {port}" in line
        assert "try `lab ui --port " in line


def test_list_names_what_there_is(lab: Shell) -> None:
    listed = lab("list").stdout
    for name in ("imagenet.fourier", "table6", "perceiver", "table2", "digits", "laptop", "paper"):
        assert f"  {name} " in listed


def test_show_counts_the_main_model_as_the_paper_prints_it(lab: Shell) -> None:
    shown = lab("show", "imagenet.fourier", "--scale", "paper").stdout
    assert "44,912,254 parameters, 707.2 GFLOP" in shown  # paper, Table 7
    assert "model.num_latents" in shown


def test_the_digest_that_show_prints_is_the_hash_of_the_json_it_prints(lab: Shell) -> None:
    import hashlib

    text = lab("show", "imagenet.fourier", "--json").stdout.strip()
    assert hashlib.sha256(text.encode()).hexdigest()[:12] in lab("show", "imagenet.fourier").stdout


def test_a_file_of_ones_own_is_an_experiment(lab: Shell, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from lab import ExperimentSpec\n"
        "from sweeps.experiments import imagenet\n"
        "def narrow() -> ExperimentSpec:\n"
        "    'A narrow one.'\n"
        "    return imagenet.fourier().override({'model.latent_channels': 512})\n"
    )
    # 512 channels shrink by the 3/64 that make 48 of the paper's 1024.
    assert re.search(r"model\.latent_channels +24\n", lab("show", "./mine.py::narrow").stdout)


def test_two_files_of_one_name_define_two_different_models(lab: Shell, tmp_path: Path) -> None:
    digests = []
    for folder, width in (("a", 10), ("b", 20)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(
            "from __future__ import annotations\n"
            "from dataclasses import dataclass\n"
            "from lab import ExperimentSpec\n"
            "from pipelines.data import Digits\n"
            "@dataclass(frozen=True)\n"
            "class Flat:\n"
            "    input_shape = (8, 8, 1)\n"
            "    num_outputs = 10\n"
            "    def build(self):\n"
            f"        from torch import nn; return nn.Sequential(nn.Flatten(), nn.Linear(64, {width}))\n"
            "    def parameters(self): return 650\n"
            "    def flops(self): return 1280\n"
            "def flat() -> ExperimentSpec:\n"
            "    'A linear model.'\n"
            "    return ExperimentSpec(model=Flat(), data=Digits())\n"
        )
        shown = lab("show", f"./{folder}/mine.py::flat", "--scale", "own")
        assert "650 parameters" in shown.stdout, shown.stderr
        digests.append(shown.stdout.split("digest ")[1][:12])
    assert digests[0] != digests[1]


def test_a_model_that_nobody_made_smaller_is_refused_at_laptop_scale_with_the_way_out(
    lab: Shell, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from lab import ExperimentSpec\n"
        "from pipelines.data import ImageNet\n"
        "@dataclass(frozen=True)\n"
        "class Flat:\n"
        "    input_shape = (8, 8, 3)\n"
        "    num_outputs = 1000\n"
        "def flat() -> ExperimentSpec:\n"
        "    'A linear model.'\n"
        "    return ExperimentSpec(model=Flat(), data=ImageNet(resolution=8))\n"
    )
    refusal = lab.refusal("show", "./mine.py::flat", "--scale", "laptop")
    assert "the laptop scale cannot make Flat smaller" in refusal
    assert "--scale own" in refusal


def test_help_imports_nothing_heavy(lab: Shell) -> None:
    script = (
        "import sys\nfrom lab.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'pyarrow', 'transformers', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": f"{ROOT}/platform"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("[]")


def test_ui_serves_the_record_on_loopback(lab: Shell, tmp_path: Path) -> None:
    import urllib.request

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "lab.cli", "ui", "--port", str(port)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}/platform:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert f"http://127.0.0.1:{port}" in server.stdout.readline()
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                    assert answer.status == 200
                    break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail("the UI did not answer within 90 s")
    finally:
        server.send_signal(2)
        server.wait(30)
