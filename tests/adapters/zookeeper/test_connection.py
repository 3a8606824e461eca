"""What is changed of kazoo's connection."""

from __future__ import annotations

import threading

from kazoo.protocol.states import Callback

from supervisor.adapters.zookeeper.connection import Handler


def test_changes_and_answers_keep_their_order() -> None:
    handler, seen, goes_on = Handler(1.0), list[str](), threading.Event()
    handler.start()
    handler.completion_queue.put(goes_on.wait)
    answer = handler.async_result()
    answer.rawlink(lambda _: seen.append("answer"))
    handler.dispatch_callback(Callback("watch", seen.append, ("change",)))
    answer.set(None)
    handler.callback_queue.join()
    assert seen == [], "another thread has them"
    goes_on.set()
    handler.completion_queue.join()
    handler.stop()
    assert seen == ["change", "answer"]
