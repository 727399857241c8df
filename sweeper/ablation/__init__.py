"""Ablation studies whose numbers hold: designs, paired statistics, confirmation, tables.

    design, designs, fractional
                          which cells to run, and what each design can and cannot tell apart
    preview               what a design will cost, and what it can find
    dataset               one row a trial, in columns; the Parquet copy that tables are made from
    matrix                the rows of one ablation as a matrix: cells × seeds, failures marked
    intervals             intervals of a paired mean difference; the default chosen by simulation
    paired                sign-flip and t tests, Holm correction, power
    effects               standardised effect, interquartile mean, probability of improvement
    comparison            every cell against a reference; the cells that may be the best
    factorial             main effects and two-way interactions, half-normal data
    confirmation          which configuration still deserves another replicate
    search                expected best of k trials, what the best trials share, share of seed noise
    tables, columns, captions, wording, formats
                          the table model, and its rendering as Markdown, LaTeX, CSV, …

Everything is a pure function of numbers: no Optuna, Ray, MLflow or torch. docs/statistics.md gives
the reasons and the measured coverage behind every default.
"""
