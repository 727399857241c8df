"""LaTeX with booktabs. The file compiles with pdflatex as it is, and is ready to be \\input.

Its first lines make a document of it only when no document class has been loaded; in a paper they
do nothing, and the preamble needs booktabs, amssymb, graphicx and, for long tables, longtable.
Every character is either one that any pdflatex knows, or spelt by a command.
"""

from __future__ import annotations

import re
import unicodedata

from sweeper.ablation.column import Column
from sweeper.ablation.columns import TICK
from sweeper.ablation.table_format import TableFormat
from sweeper.ablation.tables import Table

LONG = 40
"""Rows beyond which the table may break across pages."""

_OPEN = r"""% Compiles on its own. In a paper: \input{FILE}; the preamble needs PACKAGES.
\let\sweeperend\relax
\expandafter\ifx\csname @classoptionslist\endcsname\relax
  \def\sweeperend{\end{document}}
  \documentclass{article}
  \usepackage[a4paper,margin=2cm]{geometry}
  \usepackage{PACKAGES}
  \begin{document}
\fi
"""

_PLAIN = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"\textbar{}",
    '"': "{''}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after \\ a bare bracket would be read as a length, and a star as \\*
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "−": "$-$",
    "–": "{--}",
    "—": "{---}",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "Δ": r"$\Delta$",
    "…": r"\ldots{}",
    "“": "{``}",
    "”": "{''}",
    "‘": "{`}",
    "’": "{'}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    TICK: r"$\checkmark$",
}

_ACCENTS = {
    "\u0300": r"\`",
    "\u0301": r"\'",
    "\u0302": r"\^",
    "\u0303": r"\~",
    "\u0304": r"\=",
    "\u0306": r"\u",
    "\u0307": r"\.",
    "\u0308": r"\"",
    "\u030a": r"\r",
    "\u030b": r"\H",
    "\u030c": r"\v",
    "\u0327": r"\c",
}
_GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "varepsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "κ": "kappa",
    "λ": "lambda",
    "μ": "mu",
    "ν": "nu",
    "ξ": "xi",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "τ": "tau",
    "φ": "varphi",
    "χ": "chi",
    "ψ": "psi",
    "ω": "omega",
    "Γ": "Gamma",
    "Θ": "Theta",
    "Λ": "Lambda",
    "Π": "Pi",
    "Σ": "Sigma",
    "Φ": "Phi",
    "Ψ": "Psi",
    "Ω": "Omega",
}


def render(table: Table) -> str:
    """A table environment (longtable beyond 40 rows) with caption, label and notes."""
    long = len(table) > LONG
    packages = "amssymb, booktabs, graphicx" + (", longtable" if long else "")
    opening = _OPEN.replace("PACKAGES", packages).replace("FILE", table.name)
    align = "".join({"left": "l", "center": "c", "right": "r"}[c.align] for c in table.columns)
    heading = " & ".join(_heading(column) for column in table.columns) + r" \\"
    rows = "\n".join(_rows(table))
    label = re.sub(r"[^A-Za-z0-9:.-]", "-", table.name)
    caption = rf"\caption{{{escape(table.caption)}}}\label{{tab:{label}}}"
    notes = "".join(f"\\par {escape(note)}.\n" for note in table.notes)
    layout = _long if long else _float
    return f"{opening}{layout(align, heading, rows, caption, notes)}\\sweeperend\n"


class Latex(TableFormat):
    """Files that end in `.tex`."""

    key = "latex"
    summary = "a table environment with caption and label"
    extension = ".tex"

    def render(self, table: Table) -> str:
        return render(table)


_LIGATURE = re.compile("(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)")
"""Between two characters of which fonts make a dash or quotes of their own."""


def escape(text: str) -> str:
    """Text that typesets as itself in text mode, in any font encoding."""
    plain = unicodedata.normalize("NFC", text)
    parts = ("".join(map(_character, part)) for part in _LIGATURE.split(plain))
    return "{}".join(parts)


def _character(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    if character.isspace():
        return " "
    if " " <= character <= "~":
        return character
    if character in _GREEK:
        return rf"$\{_GREEK[character]}$"
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        # \i and \j: the accent takes the place of the dot.
        base = {"i": r"\i", "j": r"\j"}.get(parts[0], parts[0])
        return f"{{{_ACCENTS[parts[1]]}{{{base}}}}}"
    return rf"\texttt{{U+{ord(character):04X}}}"


def _heading(column: Column) -> str:
    if column.align == "center":
        return rf"\rotatebox{{90}}{{{escape(column.heading)}}}"
    lines = r" \\ ".join(escape(line) for line in column.heading.split("\n"))
    return rf"\shortstack[{column.align[0]}]{{{lines}}}" if "\n" in column.heading else lines


def _rows(table: Table) -> list[str]:
    texts = [[escape(text) for text in column.texts] for column in table.columns]
    for column, made in zip(table.columns, texts, strict=True):
        if column.marked:
            for row in table.equals:
                made[row] = rf"\underline{{{made[row]}}}"
            if table.best is not None:
                made[table.best] = rf"\textbf{{{made[table.best]}}}"
    return [" & ".join(row) + r" \\" for row in zip(*texts, strict=True)]


def _float(align: str, heading: str, rows: str, caption: str, notes: str) -> str:
    return (
        "\\begin{table}[t]\n\\centering\n"
        f"{caption}\n\n\\medskip\n"
        # Natural width where it fits the line, scaled down to it where it does not.
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{@{{}}{align}@{{}}}}\n\\toprule\n{heading}\n\\midrule\n{rows}\n"
        "\\bottomrule\n\\end{tabular}}\n"
        + (f"\n\\smallskip\n\\raggedright\\footnotesize\n{notes}" if notes else "")
        + "\\end{table}\n"
    )


def _long(align: str, heading: str, rows: str, caption: str, notes: str) -> str:
    return (
        "{\\small\\setlength{\\tabcolsep}{4pt}\n"
        f"\\begin{{longtable}}{{@{{}}{align}@{{}}}}\n{caption}\\\\\n"
        f"\\toprule\n{heading}\n\\midrule\n\\endfirsthead\n"
        f"\\toprule\n{heading}\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n"
        f"{rows}\n\\end{{longtable}}\n"
        + (f"\\noindent\\footnotesize\n{notes}" if notes else "")
        + "}\n"
    )
