"""About when waiting sweeps have their turn, from forecasts of those that run.

A person who has something running keeps about that much of the cluster: the next of their sweeps
begins when one of their own ends. Who has nothing waits until one of the others has used so much
more that a trial of theirs makes room, at its next evaluation; or until one of their sweeps ends.
Where nothing tells, nothing is told.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from sweeper.service.queue.line import Line, Sweep
from sweeper.service.queue.packing import Amounts
from sweeper.service.queue.reasons import Quota


def starts_in(lines: Sequence[Line], in_line: Sequence[Sweep]) -> dict[str, float]:
    """In about how many seconds each sweep without a trial begins, where that can be told.

    `in_line` has those that wait for room, the next one first.
    """
    told: dict[str, float] = {}
    for line in lines:
        if line.trials:
            told |= _after_own(line)
    runs = {line.person.name for line in lines if line.trials}
    first_of: dict[str, Sweep] = {}
    for sweep in in_line:
        if sweep.asking.person not in runs:
            first_of.setdefault(sweep.asking.person, sweep)
    by_name = {line.person.name: line for line in lines}
    for before, (person, sweep) in enumerate(first_of.items()):
        used = by_name[person].used(0.0)
        turns = sorted(turn for line in lines for turn in _turns(line, used, sweep.needs))
        if before < len(turns):
            told[sweep.asking.sweep] = turns[before]
    return told


def _after_own(line: Line) -> Iterator[tuple[str, float]]:
    """Each waiting sweep of a person begins where those before it have left it room."""
    ends = [
        (sweep.asking.forecast, _times(sweep.needs, sweep.lease))
        for sweep in line.sweeps
        if sweep.lease and sweep.asking.forecast is not None
    ]
    heapq.heapify(ends)
    now, cpu, gpu = 0.0, 0, 0
    for sweep in line.sweeps:
        if sweep.granted or not _only_waits(sweep):
            continue
        while ends and (sweep.needs[0] > cpu or sweep.needs[1] > gpu):
            now, freed = heapq.heappop(ends)
            cpu, gpu = cpu + freed[0], gpu + freed[1]
        if sweep.needs[0] > cpu or sweep.needs[1] > gpu:
            continue
        cpu, gpu = cpu - sweep.needs[0], gpu - sweep.needs[1]
        yield sweep.asking.sweep, now
        if sweep.asking.forecast is not None:
            heapq.heappush(ends, (now + sweep.asking.forecast, sweep.needs))


def _turns(line: Line, used: float, needs: Amounts) -> Iterator[float]:
    """In how many seconds this person makes room for a trial of `needs` of one who has `used`."""
    for sweep in line.sweeps:
        room = _times(sweep.needs, sweep.lease)
        if sweep.asking.forecast is not None and _holds(room, needs):
            yield sweep.asking.forecast
    last = next((sweep for sweep in reversed(line.sweeps) if sweep.lease), None)
    if last and last.asking.interval is not None and _holds(last.needs, needs):
        ahead = max(0.0, used - line.last)
        yield ahead * line.person.weight / line.share + last.asking.interval


def _only_waits(sweep: Sweep) -> bool:
    """Whether it gets its trials as soon as others of its person end."""
    refusal = sweep.refusal
    return refusal is None or (isinstance(refusal, Quota) and refusal.which != "gpu_hours")


def _times(needs: Amounts, count: int) -> Amounts:
    return needs[0] * count, needs[1] * count


def _holds(room: Amounts, needs: Amounts) -> bool:
    return room[0] >= needs[0] and room[1] >= needs[1]
