"""Ray actors that load an encoder once and do one task at a time: one that dies is replaced, where there is room."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

from cliptok._common.errors import BadInputError
from cliptok.batch.tasks import Made, Task

_ATTEMPTS = 3
"""How often an actor is begun that dies before it has loaded."""


class Actors:
    """As many actors as `size`, each begun by `begin`.

    Tasks wait here and go to actors that are ready. One that Ray cannot place yet, such as the successor of one whose
    machine is gone, keeps nobody waiting but itself. `future` makes a future of Ray's reference, `is_lost` says whether
    its error means that the actor is gone, `end` ends one.
    """

    def __init__(
        self,
        size: int,
        begin: Callable[[], Any],
        future: Callable[[Any], Future[Any]],
        is_lost: Callable[[BaseException], bool],
        end: Callable[[Any], None],
    ) -> None:
        self._begin_one, self._future, self._is_lost, self._end = begin, future, is_lost, end
        self._waiting: deque[tuple[Task, Future[Made]]] = deque()
        self._all: list[Any] = []
        self._ready: list[Any] = []
        self._broken: BaseException | None = None
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        """What happened, for the one thread that holds all of this."""
        self._thread = Thread(target=self._serve, name="cliptok-actors", daemon=True)
        for _ in range(size):
            self._begin(1)
        self._thread.start()

    def submit(self, task: Task) -> Future[Made]:
        """Let an actor do a task as soon as one is free."""
        future: Future[Made] = Future()
        self._events.put(lambda: self._waiting.append((task, future)))
        return future

    def stop(self) -> None:
        """End all actors, whatever they have in hand."""
        self._events.put(None)
        self._thread.join()
        for actor in self._all:
            self._end(actor)

    def _serve(self) -> None:
        while (happened := self._events.get()) is not None:
            happened()
            while self._waiting and self._broken is not None:
                self._waiting.popleft()[1].set_exception(self._broken)
            while self._waiting and self._ready:
                actor = self._ready.pop()
                task, future = self._waiting.popleft()
                self._then(actor.do.remote(task), partial(self._done, actor, future))

    def _then(self, reference: Any, act: Callable[[Future[Any]], None]) -> None:
        self._future(reference).add_done_callback(lambda done: self._events.put(partial(act, done)))

    def _begin(self, attempt: int) -> None:
        actor = self._begin_one()
        self._all.append(actor)
        self._then(actor.load.remote(), partial(self._loaded, actor, attempt))

    def _loaded(self, actor: Any, attempt: int, done: Future[None]) -> None:
        error = done.exception()
        if error is None:
            self._ready.append(actor)
            return
        self._drop(actor)
        if self._is_lost(error) and attempt < _ATTEMPTS:
            self._begin(attempt + 1)
        elif not self._is_lost(error):
            self._broken = error
        elif not self._all:
            self._broken = BadInputError(f"Ray's workers die while they load the encoder: {error}")

    def _done(self, actor: Any, future: Future[Made], done: Future[Made]) -> None:
        error = done.exception()
        if error is not None and self._is_lost(error):
            self._drop(actor)
            self._begin(1)
        else:
            self._ready.append(actor)
        if error is None:
            future.set_result(done.result())
        else:
            future.set_exception(error)

    def _drop(self, actor: Any) -> None:
        # It may be out of reach only, and must write nothing any more.
        self._all.remove(actor)
        self._end(actor)
