"""A sweep in the few facts that a listing has, for people and programs."""

from __future__ import annotations

from typing import Any

from sweeper.cli.source import Sight


def summary_of(sight: Sight) -> dict[str, Any]:
    """What `ls` and `status` say of a sweep."""
    from sweeper.standings.against_base import against_base
    from sweeper.standings.forecast import forecast_of
    from sweeper.standings.progress import OVER

    standings = sight.standings
    best, compared = standings.best, against_base(standings)
    lost = standings.race.given_up if standings.replicates and standings.race else ()
    return {
        "name": sight.name,
        "state": sight.state,
        "driver": sight.driver,
        "budget": sight.budget,
        "over": sight.over,
        "unscored": list(sight.unscored),
        "counts": dict(standings.counts),
        "failed": standings.counts.get("failed", 0),
        "metric": standings.metrics[0],
        "best": best.value if best else None,
        "best_trial": best.trial.number if best else None,
        "base": compared.differences[0].base if compared else None,
        "against_base": compared.as_dict() if compared else None,
        "protocol": dict(standings.protocol),
        "measured_otherwise": [trial.number for trial in standings.measured_otherwise],
        "given_up": {candidate.key: candidate.reason for candidate in lost},
        "symptoms": {str(stop.cause): stop.trials for stop in standings.stops},
        "steps_saved": {str(stop.cause): stop.steps for stop in standings.stops if stop.saves},
        "left": None if sight.state in OVER else forecast_of(standings).as_dict(),
        "folder": str(sight.folder),
    }
