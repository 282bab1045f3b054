"""Kills the parts of a sweep at random, a hundred times and more, and looks at what is on record afterwards.

    python -m benchmarks.soak [--kills 100] [--trials 60] [--seed 0] [--home .lab/soak]
    python -m benchmarks.soak --kills 6 --trials 4 --home /tmp/soak     one kill of every kind, some minutes

The sweep of `benchmarks.soaked` runs on a Ray cluster of two nodes, its record behind an MLflow server.
SIGKILL meets the command itself, the processes that train, the one that writes the record and the one that
hands out the trials, the MLflow server, and a node of the cluster with all its processes. Whenever the
command has ended it is given again as it was. The trials train only while the kills keep up with them, so
that all kills are done before the sweep is, however quick the machine. After Ctrl-C, or worse, the same call
goes on where it was; which kills come in what order, the seed decides, and the machine's load what each of
them meets.

At the end the same sweep runs undisturbed, and the soak passes if

    every run is on record once, and as many as there are distinct (specification, seed)
    nothing is RUNNING any more
    every run was measured at exactly the steps it should have been, the last one included
    no (run, metric, step) has two values
    the chain of hashes over losses and weights, and every metric, are those of the undisturbed sweep

Exit status: 0 if all of that holds, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.soundness import faults
from lab.tally import span

ROOT = Path(__file__).parents[1]
MARK = "SOAK_HOME"
"""environment variable that every process of a soak inherits"""
PAUSE = 0.06
"""seconds that a step of the disturbed sweep waits, so that there is something to kill"""
WEIGHTS = {"command": 3, "worker": 10, "recorder": 2, "desk": 1, "server": 3, "node": 3}
TITLES = {"worker": "ImplicitFunc", "recorder": "Recorder", "desk": "Desk"}
"""how Ray calls the processes"""
LONGEST, SHORTEST = 8.0, 1.0
"""seconds between two kills on average, and when the trials wait for them"""
CONCURRENT = 2
TOLD_SECONDS = 30.0
"""between two lines while nothing is killed"""
AWAY_SECONDS = 6.0
"""at most this long a server or a node stays away"""


@dataclass
class Soak:
    """What is told from one call of the program to the next, and the processes of this one."""

    home: Path
    kills: int
    trials: int
    seed: int
    done: list[dict[str, Any]] = field(default_factory=list)
    commands: int = 0
    seconds: float = 0.0
    """that earlier calls took"""
    begun: float = field(default_factory=time.monotonic)
    folder: str = ""
    """of Ray's own files"""
    server: subprocess.Popen[bytes] | None = None
    cluster: Any = None
    node: Any = None
    command: subprocess.Popen[bytes] | None = None
    away: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    """when what comes back"""

    @property
    def state(self) -> Path:
        return self.home / "soak.json"

    @property
    def database(self) -> Path:
        return self.home / "server.db"

    def load(self) -> None:
        """Go on where an earlier call was."""
        self.home.mkdir(parents=True, exist_ok=True)
        if self.state.exists():
            known = json.loads(self.state.read_text())
            if (known["trials"], known["seed"]) != (self.trials, self.seed):
                raise SystemExit(
                    f"{self.home} holds a soak with --trials {known['trials']} --seed {known['seed']}: "
                    "repeat that call, or name another --home."
                )
            self.done, self.commands, self.seconds = known["done"], known["commands"], known["seconds"]

    def save(self) -> None:
        told = {"done": self.done, "commands": self.commands, "seconds": self.elapsed}
        told |= {"trials": self.trials, "seed": self.seed}
        beside = self.state.with_suffix(".new")
        beside.write_text(json.dumps(told, indent=1))
        beside.replace(self.state)

    def run(self) -> None:
        """Kill and repeat until the sweep is complete and all kills are done."""
        due, tell = time.monotonic() + SHORTEST, 0.0
        while True:
            complete = self.complete()
            self.let_train(complete)
            self.bring_back()
            if time.monotonic() >= tell:
                tell = time.monotonic() + TOLD_SECONDS
                self.tell(complete)
            if self.command is None:
                self.start_command()
            elif (status := self.command.poll()) is not None:
                self.command = None
                if status == 0 and complete >= self.trials:
                    return
                continue
            if time.monotonic() >= due and len(self.done) < self.kills and self.worth_it(due):
                self.kill(complete)
                pause = LONGEST if self.kept_up(complete) else SHORTEST
                due = time.monotonic() + self.chance().uniform(0, 2 * pause)
            elif not self.kept_up(complete):
                due = min(due, time.monotonic() + 2 * SHORTEST)
            time.sleep(0.1)

    def worth_it(self, due: float) -> bool:
        """Whether somebody trains; what begins is killed too where that takes long."""
        return time.monotonic() > due + LONGEST or any(TITLES["worker"] in title(p) for p in self.processes())

    def kept_up(self, complete: int) -> bool:
        """Whether as many kills are done as would have to be if what trains now were complete."""
        return len(self.done) >= self.kills * min(1.0, (complete + CONCURRENT) / self.trials)

    def let_train(self, complete: int) -> None:
        """For a moment, unless the kills are behind."""
        if self.kept_up(complete):
            self.leave.touch()

    @property
    def leave(self) -> Path:
        return self.home / "leave"

    @property
    def elapsed(self) -> float:
        """Seconds of all calls so far."""
        return self.seconds + time.monotonic() - self.begun

    def tell(self, complete: int, what: str = "") -> None:
        """How far it is, and how long the rest takes if that goes on as before."""
        far = (len(self.done) / max(self.kills, 1) + complete / self.trials) / 2
        left = f", ETA {span(self.elapsed * (1 / far - 1))}" if far > 0 else ""
        counts = f"{len(self.done)}/{self.kills} kills, {complete}/{self.trials} complete"
        print(f"{counts}, {span(self.elapsed)}{left}{what and f' · {what}'}", flush=True)

    def chance(self) -> random.Random:
        """Of the next kill: the same for the same seed and number."""
        return random.Random(f"{self.seed}/{len(self.done)}")

    def kill(self, complete: int) -> None:
        """The first kills are one of each kind, the others as the weights say."""
        chance = self.chance()
        kinds = list(WEIGHTS)
        random.Random(self.seed).shuffle(kinds)
        first = kinds[len(self.done) :]
        kind = first[0] if first else chance.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
        if not getattr(self, f"kill_{kind}", lambda chance: self.kill_actor(kind, chance))(chance):
            return
        self.done.append({"kill": kind, "complete": complete})
        self.save()
        self.tell(complete, kind)

    def kill_command(self, chance: random.Random) -> bool:
        if self.command is None:
            return False
        self.command.kill()
        self.command.wait()
        return True

    def kill_actor(self, kind: str, chance: random.Random) -> bool:
        found = sorted(process.pid for process in self.processes() if TITLES[kind] in title(process))
        if not found:
            return False
        with suppress(ProcessLookupError):
            os.kill(chance.choice(found), signal.SIGKILL)
        return True

    def kill_server(self, chance: random.Random) -> bool:
        if self.server is None or self.server.poll() is not None:
            return False
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()
        self.away.append((time.monotonic() + chance.uniform(0, AWAY_SECONDS), self.start_server))
        return True

    def kill_node(self, chance: random.Random) -> bool:
        """The second node: its raylet, and with it every process there."""
        if self.node is None:
            return False
        self.cluster.remove_node(self.node, allow_graceful=False)
        self.node = None
        self.away.append((time.monotonic() + chance.uniform(0, AWAY_SECONDS), self.start_node))
        return True

    def start_node(self) -> None:
        self.node = self.cluster.add_node(num_cpus=1, include_dashboard=False)

    def bring_back(self) -> None:
        """What was away for long enough."""
        for back in [back for back in self.away if back[0] <= time.monotonic()]:
            self.away.remove(back)
            try:
                back[1]()
            except Exception as fault:  # Ray gives a node little time, and a busy machine may need more
                print(f"not back yet: {str(fault).splitlines()[0]}", flush=True)
                self.away.append((time.monotonic() + AWAY_SECONDS, back[1]))

    def processes(self) -> Iterator[psutil.Process]:
        """Those of Ray's workers that belong to this soak."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if title(process).startswith("ray::") and process.environ().get(MARK) == str(self.home):
                    yield process

    def complete(self) -> int:
        if not self.database.exists():
            return 0
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.database, timeout=5)) as database:
            (count,) = database.execute(
                "SELECT COUNT(*) FROM runs JOIN tags USING (run_uuid) "
                "WHERE status = 'FINISHED' AND lifecycle_stage = 'active' AND key = 'lab.digest'"
            ).fetchone()
            return int(count)
        return 0

    def start_command(self) -> None:
        self.commands += 1
        self.save()
        with (self.home / "command.log").open("ab") as log:
            log.write(f"--- {self.commands}\n".encode())
            self.command = subprocess.Popen(
                [*LAB, "sweep", "benchmarks/soaked.py", "--concurrent", str(CONCURRENT), "--cpus", "1"],
                cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def start_server(self) -> None:
        with (self.home / "server.log").open("ab") as log:
            self.server = subprocess.Popen(
                [
                    sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", self.port(),
                    "--workers", "1", "--backend-store-uri", f"sqlite:///{self.database}",
                    "--artifacts-destination", str(self.home / "artifacts"),
                ],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def await_server(self) -> None:
        """It makes the database, which takes a while."""
        for _ in range(900):
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port()}/health", timeout=2).close()
                return
            time.sleep(0.2)
        raise SystemExit("the MLflow server does not start: see server.log")

    def port(self) -> str:
        file = self.home / "port"
        if not file.exists():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                file.write_text(str(probe.getsockname()[1]))
        return file.read_text()

    def start(self) -> None:
        """The environment, the server and the cluster."""
        os.environ |= {
            MARK: str(self.home),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)]),
            "OMP_NUM_THREADS": "1",
            "SOAK_TRIALS": str(self.trials),
            "SOAK_PAUSE": str(PAUSE),
            "SOAK_LEAVE": str(self.leave),
            "LAB_HOME": str(self.home),
            "LAB_TRACKING": f"http://127.0.0.1:{self.port()}",
            "LAB_KEEP": "2,every=10",
            "LAB_PATIENCE": "60",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }
        from lab.cluster import WORKERS

        os.environ |= WORKERS
        from ray.cluster_utils import Cluster

        self.clear_away()
        self.start_server()
        self.await_server()
        self.folder = tempfile.mkdtemp(prefix="soak-", dir="/tmp")  # short: sockets lie in it
        head = {"num_cpus": 1, "include_dashboard": False, "temp_dir": self.folder}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.start_node()
        os.environ["RAY_ADDRESS"] = self.cluster.address

    def stop(self) -> None:
        if self.command is not None:
            self.command.kill()
        if self.cluster is not None:
            self.cluster.shutdown()
        if self.server is not None and self.server.poll() is None:
            os.killpg(self.server.pid, signal.SIGKILL)
        self.clear_away()
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear_away(self) -> None:
        """Whatever a call of this soak has left running."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.pid != os.getpid() and process.environ().get(MARK) == str(self.home):
                    process.kill()


LAB = [sys.executable, "-m", "lab.cli"]


def title(process: psutil.Process) -> str:
    return " ".join(process.cmdline()[:1])


def undisturbed(home: Path) -> None:
    """The same sweep, once, from beginning to end."""
    plain = {name: value for name, value in os.environ.items() if name not in {"RAY_ADDRESS", "LAB_TRACKING"}}
    plain |= {"SOAK_PAUSE": "0", "SOAK_LEAVE": "", "LAB_HOME": str(home / "undisturbed")}
    (home / "undisturbed").mkdir(exist_ok=True)
    with (home / "undisturbed" / "command.log").open("ab") as log:
        subprocess.run(
            [*LAB, "sweep", "benchmarks/soaked.py"], cwd=ROOT, env=plain, stdout=log, stderr=log, check=True
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--home", type=Path, default=Path(".lab/soak"))
    arguments = parser.parse_args()
    arguments.home = arguments.home.absolute()
    soak = Soak(**vars(arguments))
    soak.load()
    try:
        soak.start()
        for number in (signal.SIGINT, signal.SIGTERM):  # after Ray, which takes the latter
            signal.signal(number, signal.default_int_handler)
        soak.run()
    except KeyboardInterrupt:
        print(f"stopped after {len(soak.done)} of {soak.kills} kills; the same call goes on", file=sys.stderr)
        return 130
    finally:
        soak.save()
        soak.stop()
    print(f"the sweep is complete after {span(soak.elapsed)}; the same undisturbed ...", flush=True)
    undisturbed(soak.home)
    wrong = faults(soak.home, soak.trials)
    kinds = ", ".join(
        f"{count} {kind}" for kind, count in Counter(k["kill"] for k in soak.done).most_common()
    )
    print(f"{len(soak.done)} kills ({kinds}), {soak.commands} times the same command, {soak.trials} trials")
    for fault in wrong:
        print(f"WRONG: {fault}")
    if not wrong:
        print("every run once, each step once, nothing left running, all equal to the undisturbed sweep")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
