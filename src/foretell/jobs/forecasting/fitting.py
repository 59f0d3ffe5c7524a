"""From a panel to a trained model: split, linear start, networks, calibration."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.errors import InputError
from foretell.jobs.forecasting.calendars import calendar_columns, panel_calendar, seasons
from foretell.jobs.forecasting.dataset import Dataset
from foretell.jobs.forecasting.folder import member_checkpoint
from foretell.jobs.forecasting.linear import Linear, origins, scaled_targets, window_inputs
from foretell.jobs.forecasting.model import Model
from foretell.jobs.forecasting.settings import Fitted, Settings
from foretell.jobs.forecasting.splits import Split, split
from foretell.jobs.forecasting.start import Start, choose_start, lowest_seen
from foretell.jobs.forecasting.task import ForecastTask
from foretell.jobs.forecasting.tracks import Tracks
from foretell.networks.forecast import ForecastConfig, ForecastNetwork
from foretell.networks.quantiles import widths_for
from foretell.sequences import Panel, Schema
from foretell.training.checkpoint import Checkpoint
from foretell.training.loop import Epoch, Plan, Progress, own_randomness, train

STEPS = 1500  # optimizer steps that a training aims at when the user does not say how many epochs
EPOCHS = (3, 20)  # and the fewest and most epochs they may make
RATE, RATE_BATCH = 4e-3, 4096  # learning rate at a batch of so many steps
ALIKE = ("targets", "past", "known", "static", "categories", "frequency")  # of a schema, for fine-tuning
FINE_TUNING = 0.25  # of the learning rate, for weights that were trained already
SMALL_BATCH = 1024  # steps of a batch below which a second thread only waits
RESIDUALS = 4000  # origins from which the first interval widths are read


def fit_model(
    panel: Panel,
    schema: Schema,
    settings: Settings,
    *,
    warm: Model | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Model, Split, list[list[Epoch]], tuple[Tracks, Dataset]]:
    """Train on a panel; returns the model, where its rows were cut, each network's training curve, the panel scaled.

    With `warm`, from the weights of that model at a lower learning rate, in its scaling. With a checkpoint
    folder the run can be killed at any moment and called again with the same arguments: it ends with the same
    weights.
    """
    cut = split(panel, settings, schema.source)
    tracks = None  # of the panel, if they are there already
    if warm:
        draft = _from_model(warm, panel, schema, settings, cut)
    else:
        draft, tracks = _from_start(panel, schema, settings, cut)
    scaled = draft.scale(panel, tracks)
    _, data = scaled
    curves, tasks = [], []
    for member, network in enumerate(draft.networks):
        seed = settings.seed + member
        task = ForecastTask(network, data, cut.train, cut.stop, seed=seed, weight_decay=settings.weight_decay)
        saved = Checkpoint(member_checkpoint(checkpoint, member)) if checkpoint else None
        plan = _plan(settings, task, seed, FINE_TUNING if warm else 1.0)
        curves.append(train(network, task, plan, saved, progress))
        _forget_identities(network, task)
        tasks.append(task)
    model = replace(draft, widening=_calibrate(list(draft.networks), tasks[0], settings))
    return model, cut, curves, scaled


def _from_start(panel: Panel, schema: Schema, settings: Settings, cut: Split) -> tuple[Model, Tracks]:
    """An untrained model, whose networks begin at the linear solution; and the panel in its scaling."""
    cycles = seasons(panel, settings.season)
    columns = calendar_columns(panel, settings.season)
    start = choose_start(panel, settings, cut, cycles, panel_calendar(panel, settings.season, columns))
    fitted = _findings(panel, start, cut, cycles, columns)
    config = _config(panel, schema, settings, fitted)
    distances = _residual_quantiles(start, cut, settings)
    networks = tuple(_network(config, start, distances, settings.seed + member) for member in range(settings.members))
    return Model(settings, schema, fitted, config, networks, torch.zeros(0), panel.ids), start.tracks


def _from_model(warm: Model, panel: Panel, schema: Schema, settings: Settings, cut: Split) -> Model:
    """A copy of a trained model, to go on from; InputError if the table is of another make."""
    new = {"validation": cut.validation, "windows": cut.windows, "nonnegative": _nonnegative(panel, cut)}
    fitted = warm.fitted.model_copy(update=new)
    is_alike = all(getattr(schema, name) == getattr(warm.schema, name) for name in ALIKE)
    if not is_alike or panel.ids != warm.ids or _config(panel, schema, settings, fitted) != warm.config:
        raise InputError(
            f"{schema.source}: its series, columns or categories are not those this model was fitted on, so its "
            "weights cannot be fine-tuned; leave warm=True out."
        )
    logs = np.array([how == "log" for how in fitted.scaling.transform])
    if (lowest_seen(panel, cut.stop)[logs] <= 0).any():
        raise InputError(
            f"{schema.source}: a target falls to zero or below, but the model forecasts its logarithm; leave "
            "warm=True out."
        )
    return replace(warm, schema=schema, fitted=fitted, networks=copy.deepcopy(warm.networks))


def _findings(panel: Panel, start: Start, cut: Split, cycles: tuple[int, ...], columns: tuple[int, ...]) -> Fitted:
    numbers = panel.static.numbers
    present = np.isfinite(numbers)
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, numbers, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(present, numbers - mean, 0.0) ** 2).sum(axis=0) / count)
    return Fitted(
        scaling=start.scaling,
        seasons=cycles,
        calendar=columns,
        nonnegative=_nonnegative(panel, cut),
        validation=cut.validation,
        windows=cut.windows,
        static_mean=tuple(mean.tolist()),
        static_deviation=tuple(np.where(deviation > 0, deviation, 1.0).tolist()),
    )


def _nonnegative(panel: Panel, cut: Split) -> tuple[bool, ...]:
    """Which targets were seen, and never below zero."""
    lowest = lowest_seen(panel, cut.stop)
    return tuple(((lowest >= 0) & np.isfinite(lowest)).tolist())


def _config(panel: Panel, schema: Schema, settings: Settings, fitted: Fitted) -> ForecastConfig:
    def sizes(role: str) -> tuple[int, ...]:
        return tuple(len(schema.categories[name]) for name in schema.categorical(role))  # type: ignore[arg-type]

    tracks = panel.y.shape[1] * len(panel.ids)
    return ForecastConfig(
        context=fitted.scaling.context,
        horizon=settings.horizon,
        probabilities=settings.quantiles,
        linear=2 + len(fitted.calendar),
        calendar=len(fitted.calendar),
        past=panel.past.numbers.shape[1],
        past_categories=sizes("past"),
        known=panel.known.numbers.shape[1],
        known_categories=sizes("known"),
        static=panel.static.numbers.shape[1],
        static_categories=sizes("static"),
        tracks=tracks if tracks > 1 else 0,
        hidden=settings.hidden,
        layers=settings.layers,
        dropout=settings.dropout,
    )


def _network(config: ForecastConfig, start: Start, distances: Tensor, seed: int) -> ForecastNetwork:
    """A fresh network whose skip is the linear solution and whose intervals are its residuals' quantiles."""
    with own_randomness(seed, 0):
        network = ForecastNetwork(config)
    with torch.no_grad():
        weight = torch.from_numpy(start.linear.weight)
        network.skip.weight.copy_(weight[:, : config.context])
        network.skip_beside.weight.copy_(weight[:, config.context :])
        network.head.bias[: config.horizon] = torch.from_numpy(start.linear.bias)
        network.head.bias[config.horizon :] = widths_for(distances).flatten()
    return network


def _residual_quantiles(start: Start, cut: Split, settings: Settings) -> Tensor:
    """Distances between neighbouring quantiles of the linear start's training residuals, [H, Q-1]."""
    linear: Linear = start.linear
    residuals: list[NDArray[np.float32]] = []
    begin = start.tracks.offsets[:-1]
    for target, series, rows in origins(start.tracks, begin, cut.train - settings.horizon, RESIDUALS):
        goal, known = scaled_targets(start.tracks, target, rows, settings.horizon, int(cut.train[series]))
        inputs = window_inputs(start.tracks, target, rows, int(begin[series]), start.scaling.context)
        residuals.append(np.where(known, goal - linear(inputs), np.nan))
    if not residuals:
        return torch.ones(settings.horizon, len(settings.quantiles) - 1)
    together = np.concatenate(residuals)
    together = np.where(np.isfinite(together).any(axis=0), together, 0.0)
    quantiles = np.nanquantile(together - np.nanmedian(together, axis=0), settings.quantiles, axis=0)
    return torch.from_numpy(np.diff(quantiles, axis=0).T.astype(np.float32).copy())


@torch.no_grad()
def _forget_identities(network: ForecastNetwork, task: ForecastTask) -> None:
    """Make every track a stranger to the network if validation is the better for it."""
    if network.identity is None:
        return
    known, weights = task.validate(network), network.identity.weight.clone()
    network.identity.weight[:] = weights[0]
    if not task.validate(network) < known:
        network.identity.weight[:] = weights


def _plan(settings: Settings, task: ForecastTask, seed: int, share: float = 1.0) -> Plan:
    """What the user said, else by the size of the data and of its batches; a share of that learning rate."""
    epochs, rate = settings.epochs, settings.learning_rate
    if epochs is None:
        epochs = int(np.clip(round(STEPS / task.steps_an_epoch), *EPOCHS))
    if rate is None:  # smaller batches, noisier gradients: the square-root rule (Krizhevsky 2014)
        rate = RATE * min(1.0, (task.lanes * task.time / RATE_BATCH) ** 0.5)
    threads = 1 if task.lanes * task.time < SMALL_BATCH else None
    return Plan(epochs, task.steps_an_epoch, rate * share, seed, threads)


@torch.inference_mode()
def _calibrate(networks: list[ForecastNetwork], task: ForecastTask, settings: Settings) -> Tensor:
    """Conformalised quantile regression (Romano et al. 2019) on the validation rows, per level and step, [levels,H].

    The score of a target is by how much it lies outside its interval, in units of the spread; intervals move
    out by that quantile of the scores which makes the level hold.
    """
    middle = len(settings.quantiles) // 2
    scores: list[Tensor] = []
    for tracks, first, time in task.validation_blocks():
        steps, goal = task.validation_batch(tracks, first, time)
        quantiles = torch.stack([network(steps)[0] for network in networks]).mean(0)
        target, mask = goal.scaled()
        outside = [
            torch.maximum(quantiles[..., middle - 1 - level] - target, target - quantiles[..., middle + 1 + level])
            for level in range(len(settings.levels))
        ]
        score = torch.stack(outside, dim=-1).masked_fill(mask.unsqueeze(-1) == 0, torch.nan)
        scores.append(score[mask.any(dim=-1)])  # [n,H,levels]
    if not sum(len(score) for score in scores):
        return torch.zeros(len(settings.levels), settings.horizon)
    return _score_quantiles(torch.cat(scores), settings)


def _score_quantiles(scores: Tensor, settings: Settings) -> Tensor:
    """The (1 + 1/n) level quantile of the scores of each step, over its known targets, [levels,H]."""
    count = scores.isfinite().sum(0).clamp(min=1)  # [H,levels]
    ranked = scores.nan_to_num(nan=torch.inf).sort(dim=0).values
    share = torch.tensor(settings.levels) / 100
    place = torch.ceil(share * (count + 1)).long().clamp(max=count) - 1
    return ranked.gather(0, place.clamp(min=0).unsqueeze(0))[0].nan_to_num(posinf=0.0).T.contiguous()
