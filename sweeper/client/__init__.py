"""A typed client of the sweep service, over HTTP. httpx lives here

    from sweeper.client import Client

    with Client("https://sweeps.lab", token) as client:  # or Client(), after `sweeper login`
        client.sweeps.submit(Path("quickstart.yaml").read_text())
        for event in client.events.follow("quickstart"):
            print(event.number, event.kind, event.data)
        client.trials.list("quickstart", sort="rank")

Each group of methods is a file, as the routers of the API are. What comes back is in the API's own
shapes. Requests that may be sent twice are, where an answer does not come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sweeper.service.states import ENDS

if TYPE_CHECKING:
    from sweeper.client.client import Client

__all__ = ["ENDS", "Client"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: whether there is a login must be known without httpx.
    if name == "Client":
        from sweeper.client.client import Client

        return Client
    raise AttributeError(f"module 'sweeper.client' has no attribute {name!r}")
