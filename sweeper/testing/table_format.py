"""What every format of a table promises: the same bytes each time, and text that stays text."""

from __future__ import annotations

from pathlib import Path

from sweeper.ablation.column import Column
from sweeper.ablation.table_format import TableFormat, rendered
from sweeper.ablation.tables import Table
from sweeper.testing.promises import promise, require

SEPARATORS = "|&<,;\t"
"""Characters that formats put between the cells of a row."""

NASTY = r"50% of $x_1$ & {a}#~^\ <b>|*é ß Δ 中 🚀 ± − “q” [0], 'y'; ]]>"
"""A label made of what formats hold special."""


def small_table(*labels: str) -> Table:
    """A table with a row a label: a column of text, and one of numbers with the best marked."""
    count = len(labels)
    means = [20.0 + row for row in range(count)]
    return Table(
        name="small",
        columns=(
            Column("cell", "cell", labels, {"cell": labels}),
            Column(
                "value",
                "fid\nmean",
                [f"{mean:.1f}" for mean in means],
                {"mean": [*means[:-1], float("nan")], "seeds": [5] * count},
                align="right",
                marked=True,
            ),
        ),
        best=0,
        equals=frozenset({1}),
        caption="What became of it",
        notes=("Lower is better",),
    )


@promise("table format")
def gives_the_same_bytes_every_time(form: type[TableFormat], folder: Path) -> None:
    """A file that is not empty, whatever the table's texts are made of."""
    table = small_table("plain", NASTY)
    content = rendered(table, form.key)
    require(content, "gives an empty file")
    require(rendered(table, form.key) == content, "gives other bytes for the same table")


@promise("table format")
def holds_what_the_table_says(form: type[TableFormat], folder: Path) -> None:
    """Another label, or a row more, is another file."""
    content = rendered(small_table("plain", "other"), form.key)
    for labels in (("plain", "another"), ("plain", "other", "third")):
        require(rendered(small_table(*labels), form.key) != content, f"does not show {labels}")


@promise("table format")
def keeps_text_apart_from_its_separators(form: type[TableFormat], folder: Path) -> None:
    """A character that it puts between cells, `|` or `&` say, is escaped or quoted in a text."""
    plain = form().render(small_table("aZb", "other"))
    longer = form().render(small_table("aZb", "other", "third"))
    if isinstance(plain, bytes) or isinstance(longer, bytes):
        return  # no text, no separators
    place = plain.find("aZb")
    if plain[place - 1 : place] == '"':
        return  # it quotes every text
    for separator in SEPARATORS:
        if longer.count(separator) == plain.count(separator):
            continue  # it does not separate cells by it: a row more has no more of them
        given = form().render(small_table(f"a{separator}b", "other"))
        raw = plain.replace("aZb", f"a{separator}b")
        require(given != raw, f"a {separator!r} in a text is read as the end of a cell")


@promise("table format")
def writes_to_files_of_its_own(form: type[TableFormat], folder: Path) -> None:
    """Its extension begins with a dot, and no other format has it."""
    require(form.extension.startswith("."), f"its extension {form.extension!r} has no dot")
    others = [key for key, other in TableFormat.all().items() if other.extension == form.extension]
    require(others == [form.key], f"{' and '.join(others)} write to the same files")
