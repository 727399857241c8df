"""From how many trials on do importances tell a parameter that matters from luck?

    python -m benchmarks.importances [--searches 40] [--parameters 4,8,16] [--only null,planted]

Random searches over parameters of which half are toggles and half numbers. In `null` the objective
is noise, shuffled: whatever stands first does so by luck. In `planted` one parameter, a number,
explains half of the variance, by its distance from an optimum; the rest is noise. Told for so many
completed trials a parameter: the mean share of the parameter that stands first, how often that lies
above the share that luck gives (in `null` a false claim, in `planted` counted where it is the right
parameter), and how often the right parameter stands first.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import optuna

from sweeper.ablation import search_statistics
from sweeper.search.importances import Method, importances_of
from sweeper.search.study_attributes import UNMARKED
from sweeper.sweepfile import Parameter, Range, Sweep, Toggle

PER_PARAMETER = (1, 2, 3, 5, 8, 12, 20)


def search(
    generator: np.random.Generator, parameters: int, trials: int, *, planted: bool
) -> tuple[Sweep, optuna.Study]:
    """A finished random search; the planted parameter is the last."""
    domains = [
        Parameter(f"p{i}", Toggle() if i < parameters // 2 else Range(0.0, 1.0))
        for i in range(parameters)
    ]
    points = generator.random((trials, parameters))
    values = generator.normal(size=trials)
    if planted:
        effect = (points[:, -1] - 0.3) ** 2
        values += effect / effect.std()
    study = optuna.create_study()
    study.set_user_attr(UNMARKED, trials)
    floats = optuna.distributions.FloatDistribution(0.0, 1.0)
    toggles = optuna.distributions.CategoricalDistribution([False, True])
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={p.path: _value(p, x) for p, x in zip(domains, point, strict=True)},
                distributions={
                    p.path: toggles if isinstance(p.domain, Toggle) else floats for p in domains
                },
                value=float(value),
                user_attrs={"role": "search", "end": {"state": "completed", "values": [value]}},
            )
            for point, value in zip(points, values, strict=True)
        ]
    )
    return Sweep(name="benchmark", base={}, parameters=tuple(domains)), study


def _value(parameter: Parameter, x: float) -> bool | float:
    return bool(x > 0.5) if isinstance(parameter.domain, Toggle) else float(x)


def told(parameters: int, trials: int, searches: int, *, planted: bool, method: Method) -> str:
    """One line for so many searches."""
    generator = np.random.default_rng([parameters, trials, planted])
    first, share, clear = 0, 0.0, 0
    for _ in range(searches):
        sweep, study = search(generator, parameters, trials, planted=planted)
        found = importances_of(sweep, study, {}, method)
        leader = max(found, key=lambda path: found[path].share)
        right = leader == f"p{parameters - 1}"
        first += right
        share += found[leader].share
        clear += found[leader].share > found[leader].luck and (right or not planted)
    said = f"{100 * clear / searches:5.0f}% above luck"
    said += f", {100 * first / searches:5.0f}% right" if planted else ""
    return f"share of the first {share / searches:.2f},{said}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--searches", type=int, default=40)
    parser.add_argument("--parameters", default="4,8,16")
    parser.add_argument("--only", default="null,planted")
    parser.add_argument("--methods", default="ped_anova,fanova")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    numbers: npt.NDArray[np.int64] = np.array(options.parameters.split(","), dtype=np.int64)
    # The limit that this experiment is there to find.
    with patch.object(search_statistics, "TRIALS_PER_PARAMETER", 0):
        for method in options.methods.split(","):
            for case in options.only.split(","):
                for parameters in numbers.tolist():
                    for per in PER_PARAMETER:
                        line = told(
                            parameters,
                            per * parameters,
                            options.searches,
                            planted=case == "planted",
                            method=method,
                        )
                        print(
                            f"{method:9} {case:7} {parameters:>2} parameters, {per:>2} trials "
                            f"each: {line}",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
