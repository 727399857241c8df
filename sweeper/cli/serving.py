"""The verb that serves many people: serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.options import HomeOption
from sweeper.cli.printing import say
from sweeper.errors import UserError
from sweeper.home import Home

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65534, help="Port to listen on.")]
Public = Annotated[
    str | None, typer.Option(metavar="URL", help="Public address of the service: https://NAME.")
]
Proxies = Annotated[
    list[str] | None,
    typer.Option(metavar="ADDRESS", help="Trusted reverse proxy (X-Forwarded-For); repeatable."),
]
Certificate = Annotated[Path | None, typer.Option(help="TLS certificate (PEM).")]
Key = Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")]
Roots = Annotated[list[Path] | None, typer.Option(help="Folder that sweeps may read; repeatable.")]
Stores = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="Object store that sweeps may read; repeatable."),
]
MlflowPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Loopback port of MLflow.  [the next after --port]"),
]
Internal = Annotated[
    bool, typer.Option("--internal-targets", help="Allow webhooks to private addresses.")
]
Down = Annotated[
    bool, typer.Option("--down", help="Shut down the drivers and the Ray of a stopped service.")
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Allow a network address without TLS.")]


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(serve)


def serve(
    home: HomeOption = None,
    host: Host = "127.0.0.1",
    port: Port = 8470,
    public: Public = None,
    proxy: Proxies = None,
    certificate: Certificate = None,
    key: Key = None,
    root: Roots = None,
    store: Stores = None,
    mlflow_port: MlflowPort = None,
    internal_targets: Internal = False,
    down: Down = False,
    insecure: Insecure = False,
) -> int:
    """Serve the sweeps of many people at one address.

    The database is a file in the home, or the one at $SWEEPER_DATABASE. Ctrl-C and SIGTERM end the
    service; running sweeps continue, and the next start finds them. --down stops them too, with
    the Ray that was started for them; they continue at the next start.
    """
    try:
        from sweeper.service import starting
        from sweeper.service.down import down as end_all
        from sweeper.service.serve import serve as serve_all
        from sweeper.service.settings import ServiceSettings, database_url
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing: pip install 'gan-sweeper[service]'") from error
    here = Home.at(home)
    settings = ServiceSettings(
        home=here,
        database=database_url(here),
        host=host,
        port=port,
        public=public,
        proxies=tuple(proxy or ()),
        certificate=certificate,
        key=key,
        roots=tuple(map(starting.absolute, root or ())),
        stores=tuple(store or ()),
        internal_targets=internal_targets,
    )
    if down:
        return end_all(settings, say)
    return serve_all(starting.checked(settings, insecure=insecure), mlflow_port or port + 1, say)
