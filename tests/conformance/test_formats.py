"""One suite over every format of a table: whatever is in the registry."""

from __future__ import annotations

import pytest

from sweeper.ablation.dataset import trial_table
from sweeper.ablation.table_format import TableFormat, format_named, rendered
from sweeper.ablation.tables import Table, build_table
from sweeper.errors import UserError
from tests.unit.test_ablation_tables import study_records
from trials.part import temporary_parts


@pytest.fixture(scope="module")
def table() -> Table:
    return build_table(trial_table(study_records(seeds=4)), reference="full")


@pytest.mark.parametrize("name", TableFormat.all())
def test_a_format_is_complete_and_gives_the_same_bytes_each_time(name: str, table: Table) -> None:
    made = format_named(name)
    assert made.summary
    assert made.extension.startswith(".")
    content = rendered(table, name)
    assert content
    assert content == rendered(table, name)


def test_a_new_format_is_one_class_and_nothing_else(table: Table) -> None:
    with temporary_parts():

        class Names(TableFormat):
            """The headings alone."""

            key = "headings"
            summary = "the headings alone"
            extension = ".txt"

            def render(self, table: Table) -> str:
                return "\n".join(column.key for column in table.columns)

        assert rendered(table, "headings").decode().split("\n")[0] == "cell"
        with pytest.raises(UserError, match="did you mean 'headings'"):
            format_named("heading")
    with pytest.raises(UserError, match="there is no table format 'headings'"):
        format_named("headings")
