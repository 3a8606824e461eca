"""Which members of its group are restarted with an instance that failed: the strategies of Erlang/OTP.

Source: the supervisor behaviour of Erlang/OTP, `one_for_one`, `one_for_all` and `rest_for_one`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Goal
from supervisor.core.model.spec import Strategy


def companions(failed: Instance, instances: Iterable[Instance], *, whole: bool) -> Iterator[Instance]:
    """Those that are restarted with it, of all `instances` in start order.  `whole`: its exit code asks for
    one-for-all."""
    strategy, group = failed.spec.restart.strategy, failed.spec.group_name
    strategy = Strategy.ONE_FOR_ALL if whole else strategy
    if strategy is Strategy.ONE_FOR_ONE or group is None or failed.goal is Goal.DOWN:
        return
    passed = False
    for other in instances:
        if other is failed:
            passed = True
            continue
        concerned = other.spec.group_name == group and (passed or strategy is Strategy.ONE_FOR_ALL)
        if concerned and other.goal is Goal.UP and other.alive:
            yield other
