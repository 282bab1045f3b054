"""The training loop as a generator of events. It knows neither Ray nor MLflow nor files: a worker of a
cluster, a trial of a sweep, a test and a notebook are consumers of the same events.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain, islice
from time import perf_counter

import torch
from torch import Tensor, nn

from lab.clips import averaged
from lab.errors import Diverged, SpecError
from lab.execution import Execution
from lab.quantity import quantity
from lab.spec import Batch, ExperimentSpec, Source
from lab.tasks import Ranking
from lab.train.group import Group
from lab.train.micro_batch import largest_that_fits, pieces
from lab.train.plan import Plan
from lab.train.sharding import spread
from lab.train.state import Training

LOOK_EVERY = 20
"""steps between two looks at what takes time to look at: the loss, where the host waits for the device, and
what the exchange of gradients costs"""


@dataclass(frozen=True)
class Resumed:
    """A checkpoint of `step` was found; the next step is the one after it."""

    step: int


@dataclass(frozen=True)
class Stepped:
    """`step` steps of `total` are finished. loss: 0-d, the mean over the global batch; reading it may wait
    for the device. waited: seconds for the batch · talked: seconds of exchanging gradients that nothing was
    computed in, as sampled last."""

    step: int
    total: int
    loss: Tensor
    learning_rate: float
    waited: float = 0.0
    talked: float = 0.0


@dataclass(frozen=True)
class Evaluated:
    """metrics: `validation/top1` -> value, over all examples of each measured split."""

    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Saved:
    """Whatever happens from here, the run continues from `step`."""

    step: int


Event = Resumed | Stepped | Evaluated | Saved


@dataclass(frozen=True)
class Lost:
    """Workers died or hung; the group is started again and continues from its last checkpoint."""

    cause: str


Heard = Event | Lost
"""what the driver of a worker group is told"""


def events(
    training: Training,
    plan: Plan,
    source: Source,
    group: Group,
    save: Callable[[int, Tensor], int | None] = lambda step, said: None,
    *,
    asks: Callable[[int], Sequence[bool]] = lambda step: (),
    execution: Execution = Execution(),  # noqa: B008 (frozen)
) -> Iterator[Stepped | Evaluated | Saved]:
    """Train from `training.step` to the end of the plan.

    After every step come, in this order: `Stepped`, `Evaluated` where the plan measures, then a call of
    `save(step, said)`, which may write `training` down, and `Saved` of the step that it says is safe now:
    that one or, where it writes while training goes on, an earlier one. A consumer has therefore seen
    everything about a step before that step can be saved, and nothing about a step is due again after it. A
    run that is already at its end is measured once more.

    said: of each question that `asks(step)` put during that step, the same ones in every worker, how many say
    yes. They travel with the loss: an exchange of their own costs 1.3 ms of a step on two busy cores.

    Gradients are the mean over the global batch for any number of workers and slices of unequal length.
    Raises Diverged, and SpecError if there are more workers than examples in a batch.
    """
    if group.world > plan.spec.batch_size:
        raise SpecError(
            f"--workers is {group.world}, but a batch has only {quantity(plan.spec.batch_size, 'example')}."
        )
    if training.step >= plan.total_steps:
        yield Evaluated(training.step, evaluate(training.model, plan, source, group, training.step))
        return
    batches = remaining_batches(training.step, plan, source, group)
    first = next(batches)
    size = micro_batch(execution, training, first, plan, group)
    compiled: nn.Module = torch.compile(training.model) if execution.compile else training.model  # type: ignore[assignment]
    model, talked = group.wrap(compiled), 0.0
    for batch, waited in timed(chain([first], batches)):
        seed_step(plan.spec.seed, training.step, group)
        questions = asks(training.step + 1)
        loss, said = optimize(model, training, batch, plan, group, questions=questions, size=size)
        splits = plan.splits(training.step)
        if group.device.type == "cpu" or splits or training.step % LOOK_EVERY == 0:
            require_finite(loss, training.step, plan.spec)
        if training.step % LOOK_EVERY == 0:
            talked = group.seconds_of_talk(model)
        rate = plan.learning_rate(training.step - 1)
        yield Stepped(training.step, plan.total_steps, loss, rate, waited, talked)
        if splits:
            yield Evaluated(training.step, evaluate(training.model, plan, source, group, training.step))
        if (safe := save(training.step, said)) is not None:
            yield Saved(safe)


def remaining_batches(step: int, plan: Plan, source: Source, group: Group) -> Iterator[Batch]:
    """This worker's slices of the global batches `step`, `step + 1`, ... up to the end of the plan."""
    while step < plan.total_steps:
        epoch, start = plan.cursor(step)
        slices = source.batches(
            "train",
            batch_size=plan.spec.batch_size,
            seed=plan.spec.seed,
            epoch=epoch,
            start=start,
            shard=group.shard,
        )
        left = min(plan.steps_per_epoch - start, plan.total_steps - step)
        yield from islice(slices, left)
        step += left


def timed(batches: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    """Each with the seconds that it was waited for."""
    while True:
        since = perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, perf_counter() - since


def optimize(
    model: nn.Module,
    training: Training,
    batch: Batch,
    plan: Plan,
    group: Group,
    *,
    questions: Sequence[bool] = (),
    size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """One optimizer step with the wrapped `model`, `size` examples at a time; the mean loss over the global
    batch, and how many workers say yes to each of the questions.

    The processes average their gradients, so each weighs the sum of its own losses by world / batch size: the
    average is then the gradient of the mean over the global batch, however it was cut. They speak once, with
    the last piece.
    """
    spec = plan.spec
    model.train()
    for parameters in training.optimizer.param_groups:
        parameters["lr"] = plan.learning_rate(training.step)
    training.optimizer.zero_grad(set_to_none=True)
    parts = list(pieces(batch, size))
    loss = torch.zeros((), dtype=torch.float64, device=group.device)
    for number, part in enumerate(parts, start=1):
        with group.speaking(model, number == len(parts)):
            loss += accumulate(model, to_device(part, group.device), spec, group)
    total = group.totalling(torch.cat([loss[None], loss.new_tensor(questions)]) if questions else loss[None])
    if spec.clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), spec.clip)
    training.optimizer.step()
    training.step += 1
    summed = total()
    return summed[0], summed[1:]


def accumulate(model: nn.Module, batch: Batch, spec: ExperimentSpec, group: Group) -> Tensor:
    """Add a piece's gradients; its share of the mean loss over the global batch."""
    with autocast(spec, group.device):
        losses = spec.task.losses(model(batch.inputs), batch.targets)
    share = (losses * batch.weights).sum() / spec.batch_size
    torch.autograd.backward(share * group.world)
    return share.detach().double()


def micro_batch(
    execution: Execution, training: Training, batch: Batch, plan: Plan, group: Group
) -> int | None:
    """How many examples at a time: as asked, or the most with which every worker has memory enough.

    To be called before the model is wrapped, so that nothing is exchanged. What is tried leaves no trace:
    gradients are dropped and buffers put back. Room is kept for the optimizer's moments, which the first step
    makes.
    """
    if execution.micro_batch != "auto":
        return execution.micro_batch
    model, optimizer = training.model, training.optimizer
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def attempt(size: int) -> None:
        room = [] if optimizer.state else [torch.empty_like(weight) for weight in (*model.parameters(),) * 2]
        accumulate(model.train(), to_device(next(pieces(batch, size)), group.device), plan.spec, group)
        del room

    try:
        return group.least(largest_that_fits(len(batch.ids), attempt))
    finally:
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(before[name])


@torch.no_grad()
def evaluate(model: nn.Module, plan: Plan, source: Source, group: Group, after: int) -> dict[str, float]:
    """The metrics of every split the plan measures after that many steps, each example counted once.

    `train/loss` is left out: that name belongs to the running loss of the training itself.
    """
    group.share_buffers(model)
    model.eval()
    found = {
        f"{split}/{name}": value
        for split in plan.splits(after)
        for name, value in measure(model, plan.spec, source, group, split).items()
        if (split, name) != ("train", "loss")
    }
    spread(model)
    return found


def measure(
    model: nn.Module, spec: ExperimentSpec, source: Source, group: Group, split: str
) -> dict[str, float]:
    """The metrics of one split. A ranking needs the scores of all its examples in every process."""
    sums: dict[str, Tensor] = {}
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    for batch in source.scan(split, batch_size=spec.evaluation.batch_size, shard=group.shard):
        here = to_device(batch, group.device)
        with autocast(spec, group.device):
            scores = averaged(lambda clip: spec.task.scores(model(clip)), here.inputs, spec.data.input_shape)
        for name, value in spec.task.sums(scores, here.targets, here.weights).items():
            sums[name] = sums[name] + value if name in sums else value
        if isinstance(spec.task, Ranking):
            seen.append((scores, here.targets, here.weights))
    values = spec.task.metrics(group.all_reduce_sums(sums))
    if isinstance(spec.task, Ranking):
        scores, targets, weights = (group.gather(torch.cat(part)).cpu() for part in zip(*seen, strict=True))
        values |= spec.task.ranked(scores[weights > 0], targets[weights > 0])
    return values


def require_finite(loss: Tensor | float, step: int, spec: ExperimentSpec) -> None:
    """Raises Diverged. The loss is the same in every process, so all of them stop at the same step."""
    if not math.isfinite(value := float(loss)):
        advice = "lower optimizer.lr" if spec.clip is not None else "lower optimizer.lr or set clip"
        raise Diverged(f"the loss is {value} at step {step} (optimizer.lr is {spec.optimizer.lr}): {advice}.")


def seed_step(seed: int, step: int, group: Group) -> None:
    """Dropout and the like in this step depend on (seed, step, rank) alone: nothing to save, nothing to
    restore.

    The generators are set directly: `torch.manual_seed` costs most of a millisecond, and on a machine without
    a GPU it keeps a trace of every call for the day one appears.
    """
    words = hashlib.sha256(f"{seed}/{step}/{group.rank}".encode()).digest()
    number = int.from_bytes(words[:8], "big") >> 1
    torch.default_generator.manual_seed(number)
    if group.device.type == "cuda":
        torch.cuda.manual_seed(number)


def autocast(spec: ExperimentSpec, device: torch.device) -> AbstractContextManager[None]:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=spec.precision == "bf16")


def to_device(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    inputs = batch.inputs
    return replace(
        batch,
        inputs={name: moved(part, device) for name, part in inputs.items()}
        if isinstance(inputs, dict)
        else moved(inputs, device),
        targets=moved(batch.targets, device),
        weights=moved(batch.weights, device),
    )


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, non_blocking=True)
