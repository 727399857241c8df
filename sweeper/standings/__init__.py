"""Who leads: the one answer of the terminal, the page, the tables, MLflow and Python.

    standings       a sweep's trials with what follows from them: places, the winner, how far it is
    following       the standings of a study that goes on, from those before
    ranking         the order of a search by its own values; Pareto fronts for two objectives
    confirming      the race of the best on fresh seeds: what is due, and who was given up
    against_base    how the winner compares with the base configuration; `verdict`: in words
    cells           the cells of an ablation by their means over seeds
    stops           what ended trials early, and the steps that were saved
    forecast        what it still takes: hours by the clock, of GPUs and of CPUs
    kept            which trials keep their checkpoints, generators and pictures
    usage           what it has used, and whether that is all that its limits allow
    luck            how much of a search is luck, and what its best trials share
    otherwise       who was measured by another protocol
    values          numbers that can be reckoned with

The winner is the configuration that fresh seeds decided for, where any were run; else the best of
the search. Pure: records in, plain data out.
"""

from sweeper.standings.standings import Standing, Standings, standings_of

__all__ = ["Standing", "Standings", "standings_of"]
