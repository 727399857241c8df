"""The ways to send word that a server has."""

from __future__ import annotations

from sweeper.service.notices.channel import Channel
from sweeper.service.notices.mail import Email, mail_server
from sweeper.service.notices.webhooks import Slack, Webhook
from sweeper.service.settings import ServiceSettings


def channels_of(settings: ServiceSettings) -> dict[str, Channel]:
    """The ways to send word, by their kind.

    Raises:
        UserError: the settings of the mail server in the environment are wrong.
    """
    internal = settings.internal_targets
    ways = (Webhook(internal), Slack(internal), Email(mail_server()))
    return {way.kind: way for way in ways}
