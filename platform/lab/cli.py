"""The command `lab`: one line per mistake, exit code 2, no traceback.

Any field of an experiment is a flag by its dotted path: `lab train imagenet.fourier --model.num-latents 256`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from lab.errors import Interrupted, LabError, SpecError, did_you_mean

EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """argparse that answers a mistake in one line, with the near miss."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_MISTAKE, f"{self.prog}: {_reworded(message)} See `{self.prog} --help`.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    if not arguments:
        parser.print_help()
        return 0
    known, rest = parser.parse_known_args(arguments)
    known.typed = arguments
    try:
        known.changes = dotted_changes(rest, allowed=known.takes_changes)
        if getattr(known, "reading", None):
            known.scale = "/".join([known.scale, *(word.replace("=", ":") for word in known.reading)])
        command = importlib.import_module(f"lab.commands.{known.module}")
        return int(getattr(command, known.function)(known) or 0)
    except Interrupted as stop:
        print(f"\nlab: {stop}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        print("\nlab: interrupted.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except LabError as mistake:
        print(f"lab: {' '.join(str(mistake).split())}", file=sys.stderr)
        return EXIT_MISTAKE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> Parser:
    """Every command and its flags, without importing what they need."""
    parser = Parser(prog="lab", description="Train, sweep, compare and regenerate the paper's tables.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, module: str, summary: str, *, changes: bool = False, epilog: str = "") -> Parser:
        added: Parser = commands.add_parser(name, help=summary, description=summary, epilog=epilog)
        added.set_defaults(module=module, function=name, takes_changes=changes)
        return added

    fields = (
        "Any field is a flag by its dotted path, e.g. --model.num-latents 256; `lab show NAME` lists them."
    )
    listing = command("list", "catalogue", "What there is: experiments, sweeps, tables, data sets, scales")
    listing.add_argument(
        "kind", nargs="?", choices=["experiments", "sweeps", "tables", "data", "scales", "readings"]
    )

    show = command(
        "show", "catalogue", "A whole experiment or sweep, with parameters and FLOPs", changes=True
    )
    show.epilog = fields
    show.add_argument("name")
    show.add_argument("--json", action="store_true", help="the canonical specification, as it is hashed")
    _scale(show)

    train = command("train", "run", "Train one experiment", changes=True, epilog=fields)
    train.add_argument("name")
    train.add_argument("--seed", type=int, help="the same as --seed of the specification; default 0")
    train.add_argument("--dry-run", action="store_true", help="show what it would cost, and run nothing")
    _scale(train)
    _resources(train)

    sweep = command("sweep", "run", "Run what is missing of an ablation or a search")
    sweep.add_argument("name")
    sweep.add_argument("--seeds", type=_integers, help="e.g. 0,1,2 (ablations); default: those of the scale")
    sweep.add_argument("--only", help="only the cases whose label contains this (ablations)")
    sweep.add_argument("--trials", type=int, help="a total; finished trials count (searches)")
    sweep.add_argument("--dry-run", action="store_true", help="show what would run, and run nothing")
    _searching(sweep)
    _affording(sweep)
    _scale(sweep)
    _resources(sweep)

    tables = command("tables", "tables", "Regenerate tables from the record, beside the paper's values")
    tables.add_argument("names", nargs="*", metavar="NAME", help="table2 table5 ...; default: all")
    formats = ["text", "md", "tex", "csv", "json", "html", "svg", "png"]
    tables.add_argument("--format", choices=formats, default="text", help="svg and png are the figures alone")
    tables.add_argument("--out", help="write files into this folder instead of printing")
    tables.add_argument("--log", action="store_true", help="keep the files with the record too, as artifacts")
    tables.add_argument("--from", dest="source", help="an archive of `lab pack`, in place of the record")
    _scale(tables)

    runs = command("runs", "tables", "The runs on record")
    runs.add_argument("--status", choices=["running", "complete", "pruned", "failed", "stopped"])
    runs.add_argument("--sweep", help="only runs of this sweep")

    data = command("data", "data", "Prepare, verify and look at data sets")
    data.add_argument("action", choices=["list", "prepare", "verify", "show"])
    data.add_argument("dataset", nargs="?", metavar="NAME")
    data.add_argument("--source", help="where the raw files are (not needed for digits)")

    _explaining(command)
    _keeping(command)
    _on_a_cluster(command)
    return parser


def _explaining(command: Callable[..., Parser]) -> None:
    """The commands that say what would be done and why."""
    plan = command(
        "plan", "plan", "What a sweep, a table or an experiment would run and reuse, and what that costs"
    )
    plan.add_argument("name", help="a sweep, the table it fills, or an experiment")
    plan.add_argument("--seeds", type=_integers, help="e.g. 0,1,2 (ablations); default: those of the scale")
    plan.add_argument("--only", help="only the cases whose label contains this (ablations)")
    plan.add_argument("--trials", type=int, help="a total; finished trials count (searches)")
    plan.add_argument("--sustained", type=float, help="TFLOP/s of a worker, where no run like it is known")
    plan.add_argument("--probe", action="store_true", help="measure a few steps of what has no run on record")
    _searching(plan)
    _affording(plan)
    _scale(plan)
    _resources(plan)

    compare = command("compare", "compare", "In what runs differ: fields, code, data, what they measured")
    compare.add_argument("runs", nargs="+", metavar="RUN", help="a digest or run id, or its beginning")
    compare.add_argument("--all", action="store_true", help="also the fields that are the same")

    claims = command("claims", "claims", "What the paper says in sentences, and what the record says of each")
    claims.add_argument("--format", choices=["text", "md", "json", "html"], default="text")
    claims.add_argument("--from", dest="source", help="an archive of `lab pack`, in place of the record")
    _scale(claims)

    why = command("why", "why", "Why something on record is used for a result, or why nothing is")
    why.add_argument(
        "name",
        help="a run's digest or id, or its beginning, an experiment, a sweep, SWEEP:CASE, or a cell: "
        "'table6 / 8 interleaved'",
    )
    _scale(why)


def _on_a_cluster(command: Callable[..., Parser]) -> None:
    """The commands that speak to a cluster through a tunnel."""
    submit = command("submit", "submit", "Run a lab command as a job of the cluster")
    submit.usage = "lab submit [--priority N] [--follow] COMMAND ..."
    submit.add_argument("--priority", type=int, default=0, help="of jobs that wait, the highest goes first")
    submit.add_argument("--follow", action="store_true", help="print what it says until it has ended")
    submit.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="e.g. sweep table6")

    jobs = command("jobs", "jobs", "The jobs of the cluster, and those that died with their head")
    jobs.add_argument("--all", action="store_true", help="also those that ended long ago")
    jobs.add_argument("--last", type=int, default=10, help="how many that ended are shown; default 10")

    logs = command("logs", "logs", "What a job says")
    logs.add_argument("job", help="its name, or the beginning of it")
    logs.add_argument("--follow", action="store_true", help="until it has ended")

    doctor = command("doctor", "doctor", "What is wrong with a cluster or its configuration, and what to do")
    doctor.add_argument("--config", help="cluster.yaml or a variant, looked at before `ray up`")
    doctor.add_argument(
        "--bundle", metavar="FILE", help="write a report without secrets, to send to somebody"
    )

    stop = command("stop", "stop", "Stop a job; its checkpoints are written first")
    stop.add_argument("job", help="its name, or the beginning of it")

    ui = command("ui", "ui", "Open the record in the MLflow UI, of this machine or of a cluster")
    ui.add_argument("--port", type=int, help="of the MLflow UI on 127.0.0.1; default 5000")
    ui.add_argument(
        "--cluster", metavar="FILE", help="cluster.yaml: a tunnel to its head's MLflow and Ray dashboard"
    )
    ui.add_argument("--dashboard-port", type=int, help="of Ray's dashboard, with --cluster; default 8265")


def _keeping(command: Callable[..., Parser]) -> None:
    """The commands that fill tables, check them and take them away."""
    fill = command("fill", "fill", "Run what a cell or a table lacks, after its plan")
    fill.add_argument("name", metavar="CELL", help="table6, or 'table6 / 8 interleaved / top1'")
    fill.add_argument("--dry-run", action="store_true", help="show the plan, and run nothing")
    fill.add_argument(
        "--anew",
        action="store_true",
        help="set runs aside, with their checkpoints, that can be no result: of code "
        "that no commit holds, or of other data",
    )
    _affording(fill)
    _scale(fill)
    _resources(fill)

    verify = command("verify", "verify", "Whether tables are what the record says; 1 where they are not")
    verify.add_argument("places", nargs="*", metavar="PLACE", help="a folder, an archive, or exhibits")
    _scale(verify)

    pack = command("pack", "verify", "Spec, lock, record and tables in one file, to make them again from")
    pack.add_argument("out", help="NAME.zip")
    pack.add_argument("names", nargs="*", metavar="NAME", help="table2 table5 ...; default: all")
    pack.add_argument("--from", dest="source", help="an archive, to write its tables as they are written now")
    _scale(pack)

    audit = command("audit", "audit", "Train runs again that are drawn at random, and compare")
    audit.add_argument("names", nargs="*", metavar="NAME", help="table2 table5 ...; default: all")
    audit.add_argument("--draw", type=int, default=1, help="how many runs; default 1")
    audit.add_argument("--seed", type=int, default=0, help="of the draw")
    audit.add_argument("--tolerance", type=float, default=0.01, help="where hardware differs; default 0.01")
    _affording(audit)
    _scale(audit)
    _resources(audit)


def _searching(parser: Parser) -> None:
    parser.add_argument("--sampler", help="tpe, gp, random, grid, quasi-random or nsga2 (searches)")
    parser.add_argument("--pruning", help="none, asha, hyperband or median (searches)")


def _affording(parser: Parser) -> None:
    parser.add_argument(
        "--budget", help="4h, 20GPUh or 10USD: nothing is begun that might pass it, nothing goes on that has"
    )
    parser.add_argument("--rate", type=float, help="price of an hour of one GPU (of one worker without GPUs)")


def dotted_changes(rest: Sequence[str], *, allowed: bool) -> Mapping[str, str]:
    """`--model.num-latents 256 --clip=10` as {dotted path: words}. Raises SpecError for what is no flag."""
    changes: dict[str, str] = {}
    words = iter(rest)
    for word in words:
        if not word.startswith("--") or not allowed:
            raise SpecError(f"unexpected {word!r}.{did_you_mean(word, _flags())}")
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = next(words, "")
            if not value or value.startswith("--"):
                raise SpecError(f"--{name} needs a value, e.g. --{name} 256.")
        changes[name.replace("-", "_")] = value
    return changes


def _scale(parser: Parser) -> None:
    parser.add_argument("--scale", default=os.environ.get("LAB_SCALE", "laptop"), help="default: laptop")
    parser.add_argument(
        "--reading",
        action="append",
        metavar="NAME=VALUE",
        help="read the paper in another way where it leaves a choice; `lab list readings` shows them",
    )


def _resources(parser: Parser) -> None:
    parser.add_argument("--workers", type=int, default=1, help="training processes per run")
    parser.add_argument(
        "--min-workers", type=int, help="what a run makes do with while there is no room for --workers"
    )
    parser.add_argument("--cpus", type=float, default=1, help="per worker")
    parser.add_argument("--gpus", type=float, default=0, help="per worker; fractions share a GPU")
    parser.add_argument("--concurrent", type=int, help="runs at a time; default: as many as fit")
    parser.add_argument(
        "--micro-batch",
        type=_integer_or_word,
        help="examples per worker at a time, gradients accumulating; auto: as many as its memory holds",
    )
    parser.add_argument("--compile", action="store_true", help="the model through torch.compile")
    parser.add_argument(
        "--sharded", action="store_true", help="weights and moments spread over the workers (FSDP2)"
    )


def _integer_or_word(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be integers like 0,1,2, got {text!r}") from None


def _flags() -> list[str]:
    return [
        "--scale",
        "--reading",
        "--workers",
        "--min-workers",
        "--cpus",
        "--gpus",
        "--concurrent",
        "--micro-batch",
        "--compile",
        "--sharded",
        "--seeds",
        "--trials",
        "--dry-run",
        "--rate",
        "--budget",
        "--probe",
        "--sampler",
        "--pruning",
        "--sustained",
        "--format",
        "--from",
    ]


def _reworded(message: str) -> str:
    """argparse's `argument COMMAND: invalid choice: 'x' (choose from 'a', 'b')` with the near miss."""
    if "invalid choice" in message and "choose from" in message:
        given = message.split("invalid choice: ")[1].split(" (", maxsplit=1)[0].strip("'\"")
        choices = [c.strip(" '\")") for c in message.split("choose from")[1].split(",")]
        return f"no {given!r} here.{did_you_mean(given, choices)} There is {', '.join(choices)}."
    return f"{message}."


if __name__ == "__main__":
    sys.exit(main())
