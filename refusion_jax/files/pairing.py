"""Pairs files of several folders by their names, also where the names differ.

Rules:

- `name`: by stem. Where stems are not equal but differ in one way only (in case or in
  leading zeros, or by a constant part, as `ir_001` and `vi_001` or `001_A` and `001_B`
  do), by what is left of them.
- `order`: the first with the first, in natural order, whatever their names.
- a pattern for each folder, with commas between, in which {} is the common part:
  `{}_ir,{}_vi`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

Table = Mapping[str, Path]
Key = tuple[tuple[int, str], ...]


class Matched(NamedTuple):
    """Files of several folders under common names.

    Attributes:
      tables: of each folder, file by the name that its partners have too; those
        without a partner keep their stem.
      remark: how they are paired, a sentence; None if by equal stems.
      hint: for the error where some have no partner: a clause, or empty.
    """

    tables: list[dict[str, Path]]
    remark: str | None = None
    hint: str = ""


def natural_order(stem: str) -> Key:
    """Returns a sorting key that compares text as text and digits as numbers.

    Examples:
      >>> sorted(["scene 10", "scene 9", "x"], key=natural_order)
      ['scene 9', 'scene 10', 'x']
    """
    parts = re.split(r"([0-9]+)", stem)
    return tuple((int(x), "") if i % 2 else (-1, x) for i, x in enumerate(parts))


def matched(tables: Sequence[Table], rule: str = "name") -> Matched:
    """Brings the files of several folders under common names.

    Args:
      tables: of each folder, file by stem.
      rule: see above.

    Returns:
      The files under the names of the first folder; by a pattern, under what stands
      for its {}.

    Raises:
      ValueError: if the rule is unknown or does not fit the files.

    Examples:
      >>> infrared, visible = ({f"{x}_{i}": Path() for i in "12"} for x in ("ir", "vi"))
      >>> tables, remark, _ = matched([infrared, visible])
      >>> [list(table) for table in tables]
      [['ir_1', 'ir_2'], ['ir_1', 'ir_2']]
      >>> remark
      'files are paired by names that differ by ir_ and vi_.'
    """
    if rule == "order":
        return _by_order(tables)
    if rule != "name":
        return _by_patterns(tables, rule)
    as_they_are = [dict(table) for table in tables]
    if all(set(table) == set(tables[0]) for table in tables):
        return Matched(as_they_are)
    alike = _renamed(tables, [{stem: _key(stem) for stem in x} for x in tables])
    if alike is not None:
        how = "files are paired by names that differ in case or in leading zeros."
        return Matched(alike, how)
    if set.intersection(*(set(table) for table in tables)):
        return Matched(as_they_are)
    affixes = [_affixes(list(table)) for table in tables]
    constant = ["...".join(filter(None, affix)) for affix in affixes]
    parts = " and ".join(filter(None, dict.fromkeys(constant)))
    keys = [
        {stem: _key(stem[len(head) : len(stem) - len(tail)]) for stem in table}
        for table, (head, tail) in zip(tables, affixes, strict=True)
    ]
    alike = _renamed(tables, keys)
    if alike is not None and parts:
        return Matched(alike, f"files are paired by names that differ by {parts}.")
    example = ",".join(f"{head}{{}}{tail}" for head, tail in affixes)
    return Matched(
        as_they_are,
        hint=f"if their names differ, rename them alike, or (refusion fuse only) use "
        f"--pair='{example}' or --pair=order",
    )


def _key(stem: str) -> Key:
    """Returns a stem without its case and its leading zeros."""
    return natural_order(stem.casefold())


def _renamed(
    tables: Sequence[Table], keys: Sequence[Mapping[str, Key]]
) -> list[dict[str, Path]] | None:
    """Returns the tables under the first one's stems, if keys pair them one to one."""
    by_key = [{key: stem for stem, key in each.items()} for each in keys]
    for table, stems in zip(tables, by_key, strict=True):
        # Two of one key, nothing left of a name, or a key without a partner.
        is_clear = len(stems) == len(table) and ((-1, ""),) not in stems
        if not is_clear or set(stems) != set(by_key[0]):
            return None
    return [
        {by_key[0][key]: table[stems[key]] for key in by_key[0]}
        for table, stems in zip(tables, by_key, strict=True)
    ]


def _affixes(stems: Sequence[str]) -> tuple[str, str]:
    """Returns the constant head and tail of some stems, cut between words and numbers.

    Examples:
      >>> _affixes(["I00001_lwir", "I00002_lwir"])
      ('I', '_lwir')
    """
    words = [re.findall(r"[0-9]+|[^\W\d_]+|[\W_]", stem) for stem in stems]
    head = _common(words)
    tail = _common([each[len(head) :][::-1] for each in words])[::-1]
    if len(stems) == 1:  # everything is constant: a number is no constant part
        digits = [i for i, word in enumerate(words[0]) if word.isdecimal()]
        if not digits:
            return "", ""
        head, tail = words[0][: digits[0]], words[0][digits[-1] + 1 :]
    return "".join(head), "".join(tail)


def _common(words: Sequence[Sequence[str]]) -> list[str]:
    common = []
    for each in zip(*words, strict=False):
        if len(set(each)) > 1:
            break
        common.append(each[0])
    return common


def _by_order(tables: Sequence[Table]) -> Matched:
    counts = [len(table) for table in tables]
    if len(set(counts)) > 1:
        raise ValueError(
            f"expected as many files in each folder with --pair=order, got "
            f"{' and '.join(map(str, counts))}; remove those without a partner."
        )
    ordered = [sorted(table, key=natural_order) for table in tables]
    renamed = [
        {first: table[stem] for first, stem in zip(ordered[0], stems, strict=True)}
        for table, stems in zip(tables, ordered, strict=True)
    ]
    firsts = " and ".join(stems[0] for stems in ordered)
    return Matched(renamed, f"files are paired by their order, first {firsts}.")


def _by_patterns(tables: Sequence[Table], rule: str) -> Matched:
    patterns = rule.split(",")
    if len(patterns) != len(tables) or any(x.count("{}") != 1 for x in patterns):
        raise ValueError(
            f"expected --pair=name, order, or a pattern with one {{}} for each of "
            f"{len(tables)} folders, such as '{{}}_ir,{{}}_vi', got {rule!r}; "
            "change it."
        )
    renamed = []
    for table, pattern in zip(tables, patterns, strict=True):
        head, tail = (re.escape(part) for part in pattern.split("{}"))
        found = {stem: re.fullmatch(f"{head}(.*){tail}", stem) for stem in table}
        unfit = [stem for stem, match in found.items() if match is None]
        if unfit:
            raise ValueError(
                f"expected names that fit the pattern {pattern}, got {unfit[0]}; "
                "change --pair, or remove the file."
            )
        renamed.append({m[1]: table[stem] for stem, m in found.items() if m})
    return Matched(renamed)
