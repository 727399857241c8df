"""TrialConfig: everything that one training depends on.

Read from a plain mapping (YAML, JSON), validated with every problem reported at once, frozen,
serialisable to the same mapping again, and hashable by content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from trials import catalogue
from trials.data import AnyData, DataSource
from trials.distributions import canonical
from trials.engine.hooks import Hooks
from trials.errors import ConfigError, DataError
from trials.fields import Role
from trials.health import HealthConfig
from trials.latent import LatentConfig
from trials.metrics.config import EvaluationConfig, advice_on_measures
from trials.networks.config import NetworksConfig, settled
from trials.networks.plan import NetworkPlan
from trials.optimization import OptimizersConfig
from trials.part import PartConfig, using
from trials.precision import PrecisionConfig
from trials.presets import expand
from trials.problems import Problem
from trials.settings import Settings
from trials.together import problems_together
from trials.trick import Trick
from trials.validation import problems_from


class TrialConfig(Settings):
    """One training of one GAN. Build it with `load_config`."""

    model_config = ConfigDict(validate_default=True)

    parts: tuple[str, ...] = Field(
        default=(), description="installed distributions whose parts this configuration uses"
    )
    data: Annotated[AnyData, Role.MEASURES, Role.SHAPES_WEIGHTS] = Field(
        description="what is learnt: a source by name, and its options"
    )
    loss: Annotated[Any, catalogue.Selected("loss")] = Field(
        default="non_saturating", description="the adversarial loss: a name, or a name with knobs"
    )
    conditioning: Annotated[Any, catalogue.Selected("conditioning")] = Field(
        default="none", description="how class labels enter: none, or a method by name"
    )
    task: Annotated[Any, catalogue.Selected("task"), Role.MEASURES] = Field(
        default="generate", description="generate from noise, or work on a given image"
    )
    tricks: Annotated[dict[str, Any], catalogue.Toggles()] = Field(
        default={}, description="tricks that are on: true, or a mapping of knobs"
    )
    networks: Annotated[NetworksConfig, Role.SHAPES_WEIGHTS] = Field(
        default=cast("Any", {}), description="both players"
    )
    latent: Annotated[LatentConfig, Role.SHAPES_WEIGHTS] = LatentConfig()
    optimizer: OptimizersConfig = OptimizersConfig()
    batch_size: Annotated[int, Role.SHAPES_WEIGHTS] = Field(
        default=64, ge=2, le=65536, description="images in one step"
    )
    accumulate: int = Field(
        default=1,
        ge=1,
        le=4096,
        description="gradient accumulation: micro-batches per step, of equal size",
    )
    """Gradients add up to the whole batch's, and what tricks remember changes once a step. What
    compares the samples of a batch sees those of a part: batch norm, `top_k`, `unrolled` (which
    looks ahead on a part), the middle of uncentred scores; `spectral_norm` iterates in each."""
    generator_batch: Annotated[int, Role.SHAPES_WEIGHTS] = Field(
        default=1, ge=1, le=16, description="the generator's batch, in batches of the discriminator"
    )
    """Real images that a trick compares generated ones with are repeated as often."""
    critic_steps: int = Field(
        default=1, ge=1, le=100, description="discriminator steps for one generator step"
    )
    precision: Annotated[PrecisionConfig, Role.SHAPES_WEIGHTS] = PrecisionConfig()
    graphs: bool = Field(False, description="a GPU repeats steps as CUDA graphs where it can")
    compile: bool = Field(False, description="networks that train are compiled by torch.compile")
    steps: Annotated[int, Role.SHAPES_WEIGHTS] = Field(
        default=3000, ge=1, le=100_000_000, description="generator steps"
    )
    evaluation: Annotated[EvaluationConfig, Role.MEASURES, Role.SHAPES_WEIGHTS] = EvaluationConfig()
    health: HealthConfig = Field(default_factory=HealthConfig)
    seed: Annotated[int, Role.SHAPES_WEIGHTS] = Field(
        default=0, ge=0, lt=2**62, description="weights, data order, noise"
    )
    device: Annotated[str, Role.SHAPES_WEIGHTS] = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto (a GPU if there is one), cpu, cuda or cuda:N",
    )

    @field_validator("parts")
    @classmethod
    def _canonical(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(canonical, names)))

    def active(self) -> Iterator[tuple[type[Trick], PartConfig]]:
        """Every trick that is on with its knobs, selectors included, in the order they compose."""
        chosen: list[tuple[Any, PartConfig]] = [
            (knobs.part, knobs) for knobs in (*self.selected().values(), *self.tricks.values())
        ]
        yield from sorted(chosen, key=lambda item: (item[0].order, item[0].key))

    def build_tricks(self) -> list[Trick]:
        """A new instance of every trick that is on, in the order they compose."""
        return [trick(knobs, self) for trick, knobs in self.active()]

    def selected(self) -> dict[str, PartConfig]:
        """The choices of the selectors by slot."""
        return {slot: getattr(self, slot) for slot in catalogue.SELECTORS}

    def names(self) -> list[str]:
        """Keys of every trick that is on, selectors first."""
        return [choice.name for choice in self.selected().values()] + list(self.tricks)

    @field_validator("networks", mode="before")
    @classmethod
    def _networks_are_settled(cls, given: Any, info: ValidationInfo) -> Any:
        """What the file leaves open is decided by the data, and by what the loss, the task and the
        tricks bring: a record then holds every default."""
        if not isinstance(given, Mapping):
            return given
        data, told = info.data.get("data"), info.data
        chosen = [told[slot] for slot in catalogue.SELECTORS if slot in told]
        chosen += told.get("tricks", {}).values()
        brought = [knobs.part.networks(knobs) for knobs in chosen]
        return settled(given, "image" if data is None else data.part.items, brought)

    @property
    def source(self) -> DataSource:
        """The source of the data, not opened."""
        source: DataSource = self.data.part(self.data)
        return source

    def shape(self) -> tuple[int, ...] | None:
        """The shape of one item of the data, or None where their files cannot be read."""
        try:
            return self.source.item_shape()
        except (DataError, OSError):
            return None  # check_data says what is wrong with the files

    def needs_labels(self, method: str) -> Iterator[Problem]:
        """A problem if the data have no labels for a method of conditioning."""
        if not self.source.labelled:
            yield Problem("conditioning", f"'{method}' needs labels, but {self.data.name} has none")

    def as_dict(self) -> dict[str, Any]:
        """Plain values that `load_config` reads back to an equal config."""
        # Without parts of others' it is what it was before these could be named.
        return self.model_dump(mode="json", exclude=None if self.parts else {"parts"})

    def fingerprint(self) -> str:
        """sha256 of the configuration without the settings of `RUNS_ON`: a checkpoint goes on with
        other values of these, though its weights may then differ in the last bits."""
        return fingerprint_of(self.as_dict())

    def fingerprints(self, record: Mapping[str, Any]) -> frozenset[str]:
        """The fingerprints that stand for this configuration in a folder with this record.

        A former version wrote the same configuration in other words (null for a default), and its
        checkpoints have the fingerprint of those.
        """
        own = self.fingerprint()
        try:
            same = load_config(record).fingerprint() == own
        except ConfigError:
            same = False
        return frozenset({own, fingerprint_of(record)} if same else {own})

    def plan(self, shape: tuple[int, ...], classes: int) -> NetworkPlan:
        """The networks' plan for data of that shape, with every trick's changes."""
        with using({"parts": self.parts}):
            return Hooks(self.build_tricks()).plan(self, shape, classes)


RUNS_ON = ("device", "graphs", "compile")
"""What a training runs on, and how: a checkpoint goes on under another of these."""


def fingerprint_of(record: Mapping[str, Any]) -> str:
    """sha256 of a configuration as it was written down, but for what it runs on and how."""
    content = {key: value for key, value in record.items() if key not in RUNS_ON}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_config(mapping: Mapping[str, Any]) -> TrialConfig:
    """The config that a mapping describes; `preset: NAME` is expanded first.

    Raises:
        ConfigError: with every problem of the mapping.
    """
    config, problems = _read(mapping)
    if config is None or problems:
        raise ConfigError(problems)
    return config


def problems_of(mapping: Mapping[str, Any]) -> list[Problem]:
    """Everything wrong with a mapping; an empty list where nothing is."""
    return _read(mapping)[1]


def warnings_of(config: TrialConfig) -> list[str]:
    """What is allowed but advised against, with its source."""
    data = (config.data.name, config.source.items)
    with using({"parts": config.parts}):
        told = [text for trick, knobs in config.active() for text in trick.advise(knobs, config)]
        return told + advice_on_measures(config.evaluation, *data)


def feasible(mapping: Mapping[str, Any], key: str) -> bool:
    """Whether switching the trick `key` on in this mapping raises no new problem."""
    before = set(problems_of(mapping))
    given = mapping.get("tricks")
    tricks = {**given, key: True} if isinstance(given, Mapping) else {key: True}
    return set(problems_of({**mapping, "tricks": tricks})) <= before


def default_at(mapping: Mapping[str, Any], path: str) -> Any:
    """The value that a valid mapping has at a dotted path, defaults included.

    A selector gives its name, `tricks.NAME` gives whether that trick is on, and a knob of a
    trick that is off gives that knob's default.

    Raises:
        KeyError: no configuration has that path.
    """
    config = load_config(mapping)
    parts = path.split(".")
    if parts[0] == "tricks" and len(parts) > 1:
        knobs = config.tricks.get(parts[1])
        if len(parts) == 2:
            if parts[1] not in catalogue.toggles():
                raise KeyError(path)
            return knobs is not None
        if knobs is None:
            knobs = catalogue.toggles()[parts[1]].Config()
        here: Any = {parts[2]: knobs.model_dump(mode="json")[parts[2]]}
        parts = parts[2:]
    else:
        here = config.as_dict()
    for part in parts:
        here = here[part]
    if isinstance(here, dict) and path in catalogue.SELECTORS:
        return here["name"]
    return here


def _read(mapping: Mapping[str, Any]) -> tuple[TrialConfig | None, list[Problem]]:
    raw, problems = expand(mapping)
    with using({"parts": raw.get("parts")}) as wrong:
        return _read_with(raw, [*problems, *wrong])


def _read_with(
    raw: Mapping[str, Any], problems: list[Problem]
) -> tuple[TrialConfig | None, list[Problem]]:
    """What a mapping describes, its presets laid out and its parts known; `problems` had it
    before."""
    unusable = {problem.path.split(".")[0] for problem in problems}
    rest = {key: value for key, value in raw.items() if key not in unusable}
    try:
        config = TrialConfig.model_validate(rest)
    except ValidationError as error:
        problems += [
            p for p in problems_from(error, TrialConfig) if p.path.split(".")[0] not in unusable
        ]
    if problems:
        return None, problems + catalogue.conflicts(_known_names(raw))
    return config, problems_together(config)


def _known_names(raw: Mapping[str, Any]) -> list[str]:
    """Keys that a mapping switches on, of those that exist; what else is wrong with it aside."""
    chosen = (
        value.get("name") if isinstance(value, Mapping) else value
        for slot in catalogue.SELECTORS
        if (value := raw.get(slot)) is not None
    )
    given = raw.get("tricks")
    toggles = (
        [key for key, knobs in given.items() if knobs is not None and knobs is not False]
        if isinstance(given, Mapping)
        else []
    )
    tricks = catalogue.tricks()
    return [name for name in (*chosen, *toggles) if isinstance(name, str) and name in tricks]
