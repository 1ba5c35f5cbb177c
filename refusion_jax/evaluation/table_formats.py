"""Formats tables as Markdown, LaTeX, HTML and for terminals; all text is escaped."""

import html
from collections.abc import Sequence

from refusion_jax.evaluation.tables import Row, Table

PUBLISHED = "published, not measured"
_NAME_WIDTH = 10  # of the first column on terminals, at least


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
    return body + (f"\n{' '.join(map(_markdown, notes))}\n" if notes else "")


def to_terminal(table: Table) -> str:
    """Formats a table for a terminal: best in bold, second best underlined.

    Where the terminal is narrow, names are broken anywhere, because cut off they would
    be alike, and values only between words, because parts of numbers read as numbers.

    Args:
      table: a table of plain text.

    Returns:
      Lines that end in a newline, with the terminal's signs for colours; as Markdown
      where the terminal is too narrow for the values.
    """
    # Both come with flax; here, because they take a while to import.
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    arrows = {1: " \u2191", -1: " \u2193", 0: ""}
    heads = [
        title + arrows[direction]
        for title, direction in zip(table.titles[1:], table.directions, strict=True)
    ]
    columns = zip(
        heads, *([x.text for x in row.cells] for row in table.rows), strict=True
    )
    words = [" ".join(column).split() for column in columns]
    widths = [max(map(cell_len, column), default=1) for column in words]
    console = Console()
    frame = 3 * len(table.titles) + 1
    if _NAME_WIDTH + sum(widths) + frame > console.width:
        return to_markdown(table)
    notes = Text(" ".join(table.notes)) if table.notes else None
    drawn = Drawn(caption=notes, caption_justify="left")
    drawn.add_column(Text(table.titles[0]), overflow="fold")
    for head, width in zip(heads, widths, strict=True):
        drawn.add_column(Text(head), justify="right", min_width=width)
    styles = {"best": "bold green", "second": "underline", "": ""}
    for row in table.rows:
        style = "dim" if row.source else ""
        cells = [Text(cell.text, styles[cell.mark]) for cell in row.cells]
        note = f" ({PUBLISHED}: {row.source})" if row.source else ""
        drawn.add_row(Text(row.name + note), *cells, style=style)
    with console.capture() as capture:
        console.print(drawn)
    return capture.get()


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
