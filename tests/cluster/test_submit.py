"""Jobs on a real Ray head with its token: what travels, what is refused, what is found again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lab.errors import LabError, SpecError
from tests.cluster.conftest import Head, Shell

pytestmark = pytest.mark.timeout(900)
OTHER_LOCK = "000000000000"


@pytest.mark.parametrize("address", ["http://10.0.0.1:8265", "http://head.example:8265"])
def test_a_token_never_travels_in_the_clear_over_a_network(address: str) -> None:
    from lab.submit import require_private

    with pytest.raises(SpecError, match="open a tunnel to the head"):
        require_private(address)
    require_private("http://127.0.0.1:8265")
    require_private("https://head.example")


def test_one_command_is_one_job_whatever_machine_it_is_typed_on() -> None:
    from lab.submit import key_of

    assert key_of(["sweep", "table6"]) == key_of(("sweep", "table6"))
    assert key_of(["sweep", "table6"]) != key_of(["sweep", "table6 "])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["swep", "table6"], "Did you mean 'sweep'?"),
        (["ui"], "a job is one of train, sweep"),
        ([], "a job is one of train, sweep"),
        (["sweep", "table66"], "no sweep 'table66'. Did you mean 'table6'?"),
        (["train", "imagenet.fourier", "--model.num-latent", "8"], "Did you mean 'num_latents'?"),
        (["train", "imagenet.fourier", "--scale", "labtop"], "Did you mean 'laptop'?"),
    ],
)
def test_a_mistaken_command_is_refused_before_anything_is_sent(words: list[str], says: str) -> None:
    from lab.commands.submit import require_sensible

    with pytest.raises(LabError) as refused:
        require_sensible(words)
    assert says in str(refused.value)


def test_what_the_shell_is_given_after_submit_is_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab import cli, submit

    asked: list[list[str]] = []

    class Cluster:
        def submit(self, words: list[str], settings: object, *, priority: int) -> None:
            asked.append([*words, f"priority {priority}"])
            raise LabError("enough")

    monkeypatch.setattr(submit, "Jobs", Cluster)
    assert cli.main(["submit", "--priority", "3", "sweep", "table6", "--seeds", "0"]) == cli.EXIT_MISTAKE
    assert asked == [["sweep", "table6", "--seeds", "0", "priority 3"]]


@pytest.mark.slow
def test_without_the_token_nothing_is_told_and_nothing_runs(head: Head, lab: Shell) -> None:
    assert "does not accept this token" in lab.refusal("jobs", RAY_AUTH_TOKEN="f" * 64)
    nobody = {"RAY_AUTH_TOKEN": "", "HOME": str(lab.home)}
    assert "wants a token" in lab.refusal("submit", "list", **nobody)
    assert "no cluster answers at http://127.0.0.1:1 " in lab.refusal(
        "jobs", RAY_API_SERVER_ADDRESS="http://127.0.0.1:1"
    )


@pytest.mark.slow
def test_a_job_runs_the_code_that_was_sent_and_says_so(lab: Shell) -> None:
    (lab.home / "mine.py").write_text(
        "from lab import ExperimentSpec\n"
        "from sweeps.experiments import imagenet\n"
        "import lab; print('code at', lab.__file__)\n"
        "def narrow() -> ExperimentSpec:\n"
        "    'A narrow one.'\n"
        "    return imagenet.fourier().override({'model.latent_channels': 512})\n"
    )
    done = lab("submit", "--follow", "show", "./mine.py::narrow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "model.latent_channels" in done.stdout
    assert "working_dir_files" in done.stdout.partition("code at ")[2].partition("\n")[0], (
        "not an installed copy"
    )
    listed = lab("jobs").stdout
    assert "succeeded" in listed
    assert "show ./mine.py::narrow" in listed


@pytest.mark.slow
def test_another_environment_is_refused_before_anything_runs(head: Head, lab: Shell) -> None:
    stamp = head.home / "lock"
    kept = stamp.read_text()
    stamp.write_text(OTHER_LOCK)
    try:
        line = lab.refusal("submit", "data", "prepare", "digits")
    finally:
        stamp.write_text(kept)
    assert f"made from the lock {OTHER_LOCK}" in line
    assert "`ray up`" in line
    assert not (head.home / "lab" / "data" / "digits").exists()


@pytest.mark.slow
def test_the_same_command_is_not_submitted_twice_and_a_stopped_one_is_continued(lab: Shell) -> None:
    assert lab("submit", "--follow", "data", "prepare", "digits").returncode == 0
    long = ("train", "imagenet.fourier", "--duration.count", "400", "--seed", "11")
    first = lab("submit", *long)
    assert first.returncode == 0, first.stderr
    name = first.stdout.split()[1].rstrip(";")
    again = lab("submit", *long)
    assert f"{name} is " in again.stdout
    assert "nothing new was submitted" in again.stdout
    await_words(lab, name, "step ")
    stopped = lab("stop", name)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert f"{name}: stopped; `lab submit {' '.join(long)}` continues it" in stopped.stdout
    assert "stopped" in lab("submit", "--follow", "runs").stdout
    continued = lab("submit", *long)
    assert f"{name.removesuffix('-1')}-2" in continued.stdout
    await_words(lab, f"{name.removesuffix('-1')}-2", "continuing after step")
    lab("stop", f"{name.removesuffix('-1')}-2")


@pytest.mark.slow
def test_a_job_that_died_with_its_head_is_told_of_and_continued_by_the_same_command(tmp_path: Path) -> None:
    head = Head(tmp_path)
    lab = Shell(head, tmp_path / "user")
    lab.home.mkdir()
    long = ("train", "imagenet.fourier", "--duration.count", "400", "--seed", "12")
    try:
        head.start()
        assert lab("submit", "--follow", "data", "prepare", "digits").returncode == 0
        name = lab("submit", *long).stdout.split()[1].rstrip(";")
        await_words(lab, name, "step ")
        head.kill()
        assert "no cluster answers" in lab.refusal("jobs")
        head.start()
        listed = lab("jobs").stdout
        assert "lost" in listed
        assert f"`lab submit {' '.join(long)}` continues it" in listed
        again = lab("submit", *long)
        assert again.returncode == 0, again.stderr
        await_words(lab, name, "continuing after step")
        assert "lost" not in lab("jobs").stdout
    finally:
        head.kill()


def await_words(lab: Shell, name: str, words: str, seconds: float = 200) -> None:
    """Until a job has said something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        said = lab("logs", name).stdout
        if words in said:
            return
        time.sleep(1)
    raise AssertionError(f"{words!r} not said by {name}: {said[-2000:]}")
