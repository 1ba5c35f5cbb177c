"""Formats tables as Markdown, LaTeX and HTML; all text is escaped."""

import html
from collections.abc import Sequence

from refusion_jax.evaluation.tables import Row, Table

PUBLISHED = "published, not measured"


def to_markdown(table: Table) -> str:
    r"""Formats a table as Markdown: best in bold, second best in italics.

    Args:
      table: a table of plain text.

    Returns:
      Lines that end in a newline.

    Examples:
      >>> from refusion_jax.evaluation.tables import Cell, Row
      >>> rows = (Row("ours", (Cell("6.7", "best"),)), Row("a_b", (Cell("6.5"),)))
      >>> print(to_markdown(Table(("Method", "EN"), (1,), rows, ("Two pairs.",))))
      | Method | EN ↑ |
      | --- | ---: |
      | ours | **6.7** |
      | a\_b | 6.5 |
      <BLANKLINE>
      Two pairs. Best: bold; second best: italics.
      <BLANKLINE>
    """
    wrap = {"best": "**{}**", "second": "*{}*", "": "{}"}
    arrows = {1: " ↑", -1: " ↓", 0: ""}
    heads = [_markdown(title) for title in table.titles]
    heads[1:] = [
        head + arrows[direction]
        for head, direction in zip(heads[1:], table.directions, strict=True)
    ]
    lines = [heads, ["---", *(["---:"] * len(table.directions))]]
    for row in table.rows:
        note = f" ({PUBLISHED}: {_markdown(row.source)})" if row.source else ""
        cells = [wrap[cell.mark].format(_markdown(cell.text)) for cell in row.cells]
        lines.append([_markdown(row.name) + note, *cells])
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = list(table.notes)
    if any(cell.mark for row in table.rows for cell in row.cells):
        notes.append("Best: bold; second best: italics.")
    return body + "\n" + " ".join(map(_markdown, notes)) + "\n"


def to_terminal(table: Table) -> str:
    """Formats a table for a terminal: best in bold, second best underlined.

    Args:
      table: a table of plain text.

    Returns:
      Lines with the terminal's signs for colours.
    """
    # Both come with flax; here, because they take a while to import.
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(caption=" ".join(table.notes), caption_justify="left")
    # Where the terminal is narrow, names are wrapped: cut off they would be alike.
    drawn.add_column(table.titles[0], overflow="fold")
    arrows = {1: " \u2191", -1: " \u2193", 0: ""}
    for title, direction in zip(table.titles[1:], table.directions, strict=True):
        drawn.add_column(title + arrows[direction], justify="right", overflow="fold")
    styles = {"best": "bold green", "second": "underline", "": ""}
    for row in table.rows:
        style = "dim" if row.source else ""
        cells = [Text(cell.text, styles[cell.mark]) for cell in row.cells]
        drawn.add_row(Text(row.name), *cells, style=style)
    console = Console()
    with console.capture() as capture:
        console.print(drawn)
    return capture.get().rstrip("\n")


def to_latex(table: Table) -> str:
    r"""Formats a table as LaTeX for the package booktabs: best bold, second underlined.

    Args:
      table: a table of plain text.

    Returns:
      A `tabular` environment, preceded by the table's notes as comments.

    Examples:
      >>> from refusion_jax.evaluation.tables import Cell, Row
      >>> rows = (Row("ours", (Cell("6.7", "best"),)), Row("a_b", (Cell("6.5"),)))
      >>> print(to_latex(Table(("Method", "EN"), (1,), rows, ("Two pairs.",))))
      % Two pairs.
      \begin{tabular}{lr}
      \toprule
      Method & EN $\uparrow$ \\
      \midrule
      ours & \textbf{6.7} \\
      a\_b & 6.5 \\
      \bottomrule
      \end{tabular}
      <BLANKLINE>
    """
    wrap = {"best": r"\textbf{%s}", "second": r"\underline{%s}", "": "%s"}
    arrows = {1: r" $\uparrow$", -1: r" $\downarrow$", 0: ""}
    heads = [_latex(title) for title in table.titles]
    heads[1:] = [
        head + arrows[direction]
        for head, direction in zip(heads[1:], table.directions, strict=True)
    ]
    lines = [f"% {' '.join(note.split())}" for note in table.notes]
    lines += [
        r"\begin{tabular}{l" + "r" * len(table.directions) + "}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        dagger = r"$^\dagger$" if row.source else ""
        cells = [wrap[cell.mark] % _latex(cell.text) for cell in row.cells]
        lines.append(" & ".join([_latex(row.name) + dagger, *cells]) + r" \\")
    lines.append(r"\bottomrule")
    sources = dict.fromkeys(row.source for row in table.rows if row.source)
    if sources:
        span, note = len(table.titles), _latex(f"{PUBLISHED}: {'; '.join(sources)}")
        lines.append(rf"\multicolumn{{{span}}}{{l}}{{$^\dagger$ {note}}} \\")
    lines.append(r"\end{tabular}")
    return "\n".join(lines) + "\n"


def to_html(table: Table) -> str:
    """Formats a table as HTML with the classes `best`, `second` and `published`.

    Args:
      table: a table of plain text.

    Returns:
      A `table` in a box that scrolls sideways, published rows folded below it, then the
      table's notes.

    Examples:
      >>> from refusion_jax.evaluation.tables import Cell, Row
      >>> rows = (Row("R&D", (Cell("6.7", "best"),)),)
      >>> "<th>R&amp;D </th><td class=best>6.7</td>" in to_html(
      ...     Table(("Method", "EN"), (1,), rows, ())
      ... )
      True
    """
    arrows = {
        1: ' <abbr title="higher is better">↑</abbr>',
        -1: ' <abbr title="lower is better">↓</abbr>',
        0: "",
    }
    heads = [f"<th>{html.escape(table.titles[0])}</th>"] + [
        f"<th>{html.escape(title)}{arrows[direction]}</th>"
        for title, direction in zip(table.titles[1:], table.directions, strict=True)
    ]
    own = [_html_row(row) for row in table.rows if not row.source]
    published = [_html_row(row) for row in table.rows if row.source]
    parts = [_html_table(heads, own)] if own or not published else []
    if published:
        parts.append(
            f"<details><summary>Published rows ({len(published)})</summary>"
            f"{_html_table(heads, published)}</details>"
        )
    parts += [f'<p class="note">{html.escape(note)}</p>' for note in table.notes]
    return "\n".join(parts)


def _html_table(heads: Sequence[str], rows: Sequence[str]) -> str:
    return (
        f'<div class="wide"><table><thead><tr>{"".join(heads)}</tr></thead>\n<tbody>'
        + "\n".join(rows)
        + "</tbody></table></div>"
    )


def _html_row(row: Row) -> str:
    kind = ' class="published"' if row.source else ""
    source = f"<small>{PUBLISHED}: {html.escape(row.source)}</small>"
    note = source if row.source else ""
    cells = "".join(
        f"<td{f' class={cell.mark}' if cell.mark else ''}>{html.escape(cell.text)}</td>"
        for cell in row.cells
    )
    return f"<tr{kind}><th>{html.escape(row.name)} {note}</th>{cells}</tr>"


def _markdown(text: str) -> str:
    escaped = "".join(f"\\{x}" if x in r"\`*_{}[]<>#|~&$" else x for x in text)
    return " ".join(escaped.split())


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{x: f"\\{x}" for x in "&%$#_{}"},
}


def _latex(text: str) -> str:
    return " ".join("".join(_LATEX.get(x, x) for x in text).split())
