"""Reading ahead and writing behind, in threads, while the device works."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

# What one bad picture may raise, and the next one may not. RuntimeError is how jax
# reports that memory has run out.
FAILURES = (OSError, ValueError, RuntimeError, MemoryError)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Outcome(NamedTuple, Generic[Item, Result]):
    """What has become of one item.

    Attributes:
      item: as it came.
      result: what was made of it; None if that failed.
      error: why it failed; None if it did not.
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
    """Makes store(item, work(load(item))) of every item, in order.

    Loading runs up to `jobs` items ahead of the work and storing up to `jobs` behind,
    in `jobs` threads; work runs in the caller's thread, one item at a time. No more
    than 2 * jobs + 1 items are in memory.

    Args:
      items: any number.
      load, work, store: the three stages.
      jobs: number of threads, at least 1.

    Yields:
      One outcome an item; what raises one of `FAILURES` is an outcome too.

    Raises:
      ValueError: if jobs is below 1.
    """
    if jobs < 1:
        raise ValueError(f"expected at least 1 job, got {jobs}; raise it.")
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
    finally:  # also when the caller has had enough, or pressed Ctrl-C
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(item: Item, stored: Future[Result]) -> Outcome[Item, Result]:
    try:
        return Outcome(item, stored.result(), None)
    except FAILURES as error:
        return Outcome(item, None, error)
