"""Stands in for Ray: a cluster in this process, where everything said and sent is pickled."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from types import SimpleNamespace
from typing import Any


class ActorDied(Exception):
    pass


class FakeRay:
    """The few functions of Ray that the engine uses.

    Attributes
    ----------
    calls
        How often each method of a node was called.
    tamper
        Changes what is put, or what a method returns, given its name.
    before
        Is told of node and method before each call.
    """

    def __init__(self, *nodes: str, gpus: int = 0) -> None:
        self.alive = dict.fromkeys(nodes, True)
        self.gpus = gpus
        self.actors: list[_Actor] = []
        self.calls: Counter[tuple[str, str]] = Counter()
        self.puts = 0
        self.tamper: Callable[[str, Any], Any] = lambda name, value: value
        self.before: Callable[[str, str], None] = lambda node, name: None
        self.left = False
        affinity = lambda node, soft: node  # noqa: E731
        self.util = SimpleNamespace(
            scheduling_strategies=SimpleNamespace(NodeAffinitySchedulingStrategy=affinity)
        )

    def nodes(self) -> list[dict[str, Any]]:
        resources = {"CPU": 2.0, "GPU": float(self.gpus)}
        return [
            {"NodeID": n, "Alive": a, "NodeManagerHostname": "host", "Resources": resources}
            for n, a in self.alive.items()
        ]

    def put(self, value: Any) -> Future[Any]:
        self.puts += 1
        ref: Future[Any] = Future()
        ref.set_result(self.tamper("put", value))
        return ref

    def get(self, ref: Future[Any]) -> Any:
        return ref.result()

    def wait(self, refs: Any, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        if num_returns > 1 and timeout == 0:
            done = {ref for ref in refs if ref.done()}
        else:
            done, _ = wait(refs, timeout, FIRST_COMPLETED)
        return [r for r in refs if r in done][:num_returns], [r for r in refs if r not in done]

    def remote(self, cls: type) -> Any:
        def options(**asked: Any) -> Any:
            return SimpleNamespace(
                remote=lambda *arguments: _Actor(
                    self, asked["scheduling_strategy"], cls, pickle.loads(pickle.dumps(arguments))
                )
            )

        return SimpleNamespace(options=options)

    def kill(self, actor: _Actor, no_restart: bool) -> None:
        actor.die()

    def lose(self, node: str) -> None:
        """Let a machine vanish."""
        self.alive[node] = False
        for actor in self.actors:
            if actor.node == node:
                actor.die()

    def shutdown(self) -> None:
        self.left = True
        for actor in self.actors:
            actor.die()


class _Actor:
    def __init__(self, ray: FakeRay, node: str, cls: type, arguments: tuple[Any, ...]) -> None:
        self.ray, self.node = ray, node
        self._threads = ThreadPoolExecutor(8)
        self._asked: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._dead = False
        self.itself = cls(*arguments)
        ray.actors.append(self)

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: self._ask(name, arguments))

    def _ask(self, name: str, arguments: tuple[Any, ...]) -> Future[Any]:
        answer: Future[Any] = Future()
        with self._lock:
            if self._dead:
                answer.set_exception(ActorDied(f"the actor on {self.node} has died"))
                return answer
            self._asked.add(answer)
        self.ray.calls[self.node, name] += 1
        self._threads.submit(self._answer, answer, name, arguments)
        return answer

    def _answer(self, answer: Future[Any], name: str, arguments: tuple[Any, ...]) -> None:
        try:
            self.ray.before(self.node, name)
            given = [a.result() if isinstance(a, Future) else a for a in arguments]
            value = getattr(self.itself, name)(*pickle.loads(pickle.dumps(given)))
            value = self.ray.tamper(name, pickle.loads(pickle.dumps(value)))
        except Exception as error:
            self._tell(partial(answer.set_exception, error))
        else:
            self._tell(partial(answer.set_result, value))

    def _tell(self, tell: Callable[[], None]) -> None:
        with self._lock:
            if not self._dead:
                tell()

    def die(self) -> None:
        with self._lock:
            if self._dead:
                return
            self._dead = True
            for answer in self._asked:
                if not answer.done():
                    answer.set_exception(ActorDied(f"the actor on {self.node} has died"))
        self.itself.close()
        self._threads.shutdown()
