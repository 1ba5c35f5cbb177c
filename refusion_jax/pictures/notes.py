"""What a user should hear about a picture that is read or written all the same."""

import warnings


class PictureWarning(UserWarning):
    """Something about a picture is left out, or is not what it seems."""


class RangeWarning(PictureWarning):
    """A picture uses little of its scale; every picture of a series says so."""


class AgainWarning(PictureWarning):
    """A picture of another making is made again; every one of a folder says so."""


def note(text: str, kind: type[PictureWarning] = PictureWarning) -> None:
    """Warns about a picture; the commands print the warning as one line on stderr.

    Args:
      text: one sentence that names the picture.
      kind: of the warning.
    """
    warnings.warn(text, kind, stacklevel=3)
