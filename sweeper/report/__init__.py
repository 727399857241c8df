"""What a sweep leaves beside MLflow: the leaderboard, figures for people, one HTML page.

    leaderboard             every trial in its place (`sweeper.standings`), as CSV and Parquet
    lines, scales, style, curves, parameter_plots, search_plots
                            figures (matplotlib, no display)
    thumbnails, gallery     pictures made of the trials' sample grids (Pillow)
    page, summary, sections, what_matters, markup
                            the self-contained page; the service's pages have the same sections
    assets, page.html, page.css, sortable.js
                            its files
    write                   all of it, into the sweep's folder

Everything is a pure function of standings and of the sample grids on disk: the same sweep gives the
same bytes. Nothing here loads Optuna, Ray, MLflow or torch.
"""

from sweeper.report.write import ReportPaths, write_report

__all__ = ["ReportPaths", "write_report"]
