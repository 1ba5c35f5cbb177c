"""Reads a form of fields and files: bounded in bytes, files under names of ours."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from refusion_jax.web.jobs import Upload
from refusion_jax.web.limits import Limits, Refusal, bytes_in_words

_LONGEST_NAME = 120
_FIELD_BYTES, _FIELDS = 1 << 16, 600


class _TooLarge(MultiPartException):
    """An upload above the limit; the parser closes its files on this kind of error."""


class Form(NamedTuple):
    """What a request holds.

    Attributes:
      fields: values by name, in order.
      uploads: files by the name of their field, in order.
    """

    fields: dict[str, list[str]]
    uploads: dict[str, list[Upload]]

    def field(self, name: str, default: str = "") -> str:
        """Returns the last value of a field.

        Args:
          name: of the field.
          default: where there is none.
        """
        return self.fields.get(name, [default])[-1]


async def read_form(request: Request, folder: Path, limits: Limits) -> Form:
    """Reads a form, and writes its files to a folder.

    Args:
      request: a POST of multipart/form-data.
      folder: receives the files, numbered.
      limits: see `Limits`.

    Raises:
      Refusal: if it is too large, too slow or no form.
    """
    check_length(request, limits)
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise Refusal(
            415,
            f"expected multipart/form-data, got {kind[:60] or 'no type'!r}; send files "
            "as a form, as curl -F does.",
        )
    parser = MultiPartParser(
        request.headers,
        _counted(request, limits),
        max_files=limits.pictures,
        max_fields=_FIELDS,
        max_part_size=_FIELD_BYTES,
    )
    try:
        async with asyncio.timeout(limits.upload_seconds):
            form = await parser.parse()
    except _TooLarge as error:
        raise Refusal(413, error.message) from None
    except MultiPartException as error:
        if error.message.startswith("Too many files"):  # the parser has no other sign
            raise Refusal(
                413,
                f"expected at most {limits.pictures} pictures at once, got more; send "
                "fewer.",
            ) from None
        raise Refusal(
            400,
            f"expected a form of files, got a broken one ({error.message}); correct "
            "it.",
        ) from None
    except TimeoutError:
        raise Refusal(
            408,
            f"expected an upload within {limits.upload_seconds:g} s, got no end of it; "
            "send less at once.",
        ) from None
    except ClientDisconnect:
        raise Refusal(
            400, "expected a complete upload, got a part; send it again."
        ) from None
    try:
        return await asyncio.to_thread(_saved, form, folder)
    finally:
        await form.close()


def check_length(request: Request, limits: Limits) -> None:
    """Refuses a request that announces too much, before any of it is read.

    Args:
      request: any.
      limits: `request_bytes` is read.

    Raises:
      Refusal: if Content-Length is above the limit.
    """
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > limits.request_bytes:
        raise Refusal(413, _too_large(limits, length[:20]))


async def _counted(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """Yields the body, and stops above the limit whatever was announced."""
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > limits.request_bytes:
            raise _TooLarge(_too_large(limits, f"more than {count}"))
        yield chunk


def _too_large(limits: Limits, got: str) -> str:
    return (
        f"expected at most {bytes_in_words(limits.request_bytes)} at once, got {got} "
        "bytes; send fewer or smaller pictures."
    )


def _saved(form: FormData, folder: Path) -> Form:
    fields: dict[str, list[str]] = {}
    uploads: dict[str, list[Upload]] = {}
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            fields.setdefault(name, []).append(value)
            continue
        path = folder / f"upload{sum(map(len, uploads.values()))}"
        with path.open("wb") as target:
            shutil.copyfileobj(value.file, target)
        uploads.setdefault(name, []).append(Upload(path, shown_name(value.filename)))
    return Form(fields, uploads)


def shown_name(name: str | None) -> str:
    r"""Returns a visitor's file name for messages: its last part, without surprises.

    Args:
      name: as it was sent.

    Examples:
      >>> shown_name("../../etc/passwd"), shown_name("C:\\x\\a.png"), shown_name("..")
      ('passwd', 'a.png', 'picture')
    """
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(x for x in last if x.isprintable()).strip()[-_LONGEST_NAME:]
    return printable if printable.strip(".") else "picture"
