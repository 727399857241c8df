"""Holding a sweep to the protocol that it is measured by (`sweeper.protocols`).

The protocol is in the study before the first value that was measured by it. A driver that is killed
between the two leaves a protocol without a value, which does not hold: the next one begins again.
"""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage

from sweeper.errors import ProtocolChanged
from sweeper.protocols import Protocol, alike, differing, present
from sweeper.search import attributes
from sweeper.search.attributes import translated
from sweeper.search.entries import Entries
from sweeper.search.learned import protocol_of
from sweeper.trial import trial_name
from sweeper.wording import changes_in_words, plural

_PARENTS = ":parent:"
"""In the names under which Optuna's genetic samplers remember the parents of a generation."""


class Measuring:
    """The protocol of one study. With `accept`, the first value that was measured by another one
    puts that one in its place; a second change is none that anybody has seen and accepted."""

    def __init__(
        self, study: optuna.Study, storage: BaseStorage, entries: Entries, *, accept: bool = False
    ) -> None:
        self._learned = protocol_of(study)
        self._study = study
        self._storage = storage
        self._accept = accept
        self.accepted = False
        """Whether a change was accepted, and has taken place."""
        measured = list(attributes.measured(entries.all()))
        stored = study.user_attrs.get(attributes.PROTOCOL)
        self.protocol: Protocol = present(stored, measured)
        """By which the sweep is measured now; empty before any distance was measured."""
        others = [pair for pair in measured if not alike(pair[1], self.protocol)]
        if stored is None and others:  # a version that held a sweep to nothing has mixed them
            newest = max(others, key=lambda pair: pair[0])[1]
            if not accept:
                raise ProtocolChanged(
                    f"{plural(len(others), 'evaluation')} of {study.study_name!r} were measured by "
                    f"another protocol than the first: {changes_in_words(self.protocol, newest)}",
                    bring_back=False,
                )
            self._take(max(measured, key=lambda pair: pair[0])[1])

    @property
    def demanded(self) -> Protocol:
        """What a training must be measured by; empty while anything will do."""
        return {} if self._accept else self.protocol or self._learned

    def demand(self, number: int, protocol: Protocol) -> None:
        """See that trial `number` is measured by a protocol that may be.

        Raises:
            ProtocolChanged: it differs from the sweep's, and no change was accepted.
        """
        if not alike(protocol, self.demanded):
            those = "the sweep" if self.protocol else "those that search.learn_from names"
            raise ProtocolChanged(
                f"trial {trial_name(number)} would be measured by another protocol than {those}: "
                f"{changes_in_words(self.demanded, protocol)}"
            )

    def admit(self, number: int, protocol: Protocol) -> bool:
        """See to it as `demand` does, and write down a protocol that is new. True if it has taken
        another one's place."""
        self.demand(number, protocol)
        if not protocol or (self.protocol and alike(protocol, self.protocol)):
            return False
        changed = bool(self.protocol)
        self._take(protocol)
        return changed

    def _take(self, protocol: Protocol) -> None:
        if self.protocol and differing(self.protocol, protocol):
            self._accept, self.accepted = False, True
            self._forget_parents()
        with translated():
            self._study.set_user_attr(attributes.PROTOCOL, dict(protocol))
        self.protocol = protocol

    def _forget_parents(self) -> None:
        """Parents were chosen by values that count no more."""
        with translated():
            remembered = self._storage.get_study_system_attrs(self._study._study_id)
            for name in [name for name in remembered if _PARENTS in name]:
                self._storage.set_study_system_attr(self._study._study_id, name, None)
