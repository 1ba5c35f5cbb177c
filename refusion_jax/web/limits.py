"""What one visitor may ask for, and the sentence that refuses more."""

from dataclasses import dataclass

PORT, HOST = 7860, "127.0.0.1"


class Refusal(Exception):
    """A request that is not served.

    Attributes:
      status: of HTTP.
      sentence: for the visitor.
    """

    def __init__(self, status: int, sentence: str) -> None:
        """Keeps the status and the sentence.

        Args:
          status: of HTTP, 400 or above.
          sentence: of the form *expected X, got Y; do Z*.
        """
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass(frozen=True)
class Limits:
    """Bounds on memory, disk and time.

    Attributes:
      request_bytes: of one request, all its files together.
      kept_bytes: of all uploads and results on disk; the oldest make room.
      pixels: of one picture, checked before it is decoded.
      pictures: files of one request.
      waiting: jobs queued or running, and uploads on their way, all together.
      kept_jobs: uploads and results that are kept.
      kept_seconds: how long they are kept after their last use.
      upload_seconds: how long one upload may take.
    """

    request_bytes: int = 1 << 30
    kept_bytes: int = 8 << 30
    pixels: int = 89_478_485
    pictures: int = 64
    waiting: int = 8
    kept_jobs: int = 4096
    kept_seconds: float = 3600.0
    upload_seconds: float = 600.0


def bytes_in_words(count: int) -> str:
    """Returns a number of bytes for a sentence.

    Args:
      count: of bytes.

    Examples:
      >>> bytes_in_words(1 << 30), bytes_in_words(1500)
      ('1.0 GiB', '1.5 KiB')
    """
    size, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f} {unit}" if unit != "bytes" else f"{count} bytes"
