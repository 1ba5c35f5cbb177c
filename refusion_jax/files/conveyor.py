"""A pipeline that reads ahead and writes behind in threads while the device works."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

# Errors that concern one item and leave the others unaffected. RuntimeError is among
# them because jax reports exhausted memory that way.
FAILURES = (OSError, ValueError, RuntimeError, MemoryError)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Outcome(NamedTuple, Generic[Item, Result]):
    """The outcome of one item.

    Attributes:
      item: the item itself.
      result: what `store` returned for it; None if a stage failed.
      error: the error of the stage that failed; None if none did.
    """

    item: Item
    result: Result | None
    error: Exception | None


def convey(
    items: Iterable[Item],
    *,
    load: Callable[[Item], Any],
    work: Callable[[Any], Any],
    store: Callable[[Item, Any], Result],
    jobs: int,
) -> Iterator[Outcome[Item, Result]]:
    """Computes store(item, work(load(item))) for every item, in order.

    Loading runs up to `jobs` items ahead of the work, and storing up to `jobs` items
    behind it, in `jobs` threads; the work runs in the caller's thread, one item at a
    time. At most 2 * jobs + 1 items are in memory.

    Args:
      items: any number of items.
      load, work, store: the three stages.
      jobs: number of threads, at least 1.

    Yields:
      One outcome per item, including the items for which a stage raised one of
      `FAILURES`.

    Raises:
      ValueError: if jobs is below 1.
    """
    if jobs < 1:
        raise ValueError(f"expected at least 1 job, got {jobs}; raise `jobs`.")
    waiting = iter(items)
    loading: deque[tuple[Item, Future[Any]]] = deque()
    storing: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(jobs)
    try:
        while True:
            for item in islice(waiting, jobs - len(loading)):
                loading.append((item, pool.submit(load, item)))
            if not loading:
                break
            item, loaded = loading.popleft()
            try:
                storing.append((item, pool.submit(store, item, work(loaded.result()))))
            except FAILURES as error:
                failed: Future[Result] = Future()
                failed.set_exception(error)
                storing.append((item, failed))
            while storing and (len(storing) > jobs or storing[0][1].done()):
                yield _outcome(*storing.popleft())
        while storing:
            yield _outcome(*storing.popleft())
    finally:  # also if the caller stops early or the user presses Ctrl-C
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(item: Item, stored: Future[Result]) -> Outcome[Item, Result]:
    try:
        return Outcome(item, stored.result(), None)
    except FAILURES as error:
        return Outcome(item, None, error)
