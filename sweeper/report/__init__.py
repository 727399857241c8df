"""What a sweep leaves beside MLflow: the leaderboard, figures for people, one HTML page.

    trial, standings        what is read of a trial; ranking, confirmation, stops, worked out once
    leaderboard             the same as CSV and Parquet
    style, curves, parameter_plots, search_plots
                            figures (matplotlib, no display)
    thumbnails, gallery     pictures made of the trials' sample grids (Pillow)
    page, summary, sections, markup, page.html, page.css
                            the self-contained page
    write                   all of it, into the sweep's folder

Everything is a pure function of records and of the sample grids on disk: the same sweep gives the
same bytes. Nothing here loads Optuna, Ray, MLflow or torch.
"""

from sweeper.report.write import ReportPaths, write_report

__all__ = ["ReportPaths", "write_report"]
