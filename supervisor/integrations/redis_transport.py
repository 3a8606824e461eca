"""A Redis transport for Celery that loses no message when a worker hangs or is killed.

    app.conf.broker_transport = "supervisor.integrations.redis_transport:Transport"

kombu's own takes a message off its list with BRPOP, and notes it as unacknowledged by a later command.  A worker that
hangs or is killed in between takes the message with it, because Redis has it nowhere any more.  Here a script does both
in one step, so that a message is always on its list or noted, and comes back after `visibility_timeout`.
A script cannot wait.  Where there is nothing to take, the worker waits with BLMOVE from the end of a list to the same
end, which changes nothing.  Needs Redis 6.2 or newer.
"""

from __future__ import annotations

from queue import Empty
from time import monotonic, time
from typing import Any

from kombu.transport import redis

WAIT = 0.25
"""Seconds for which one list is waited for; so long may a message of another queue or priority lie."""
TAKE = """
local noted_at, notes = KEYS[#KEYS - 1], KEYS[#KEYS]
for i = 1, #KEYS - 2 do
    local item = redis.call('RPOP', KEYS[i])
    if item then
        local known, message = pcall(cjson.decode, item)
        local properties = known and type(message) == 'table' and message.properties
        local info = properties and properties.delivery_info
        if ARGV[i + 1] == '1' and info and properties.delivery_tag then
            local route = cjson.encode(info.exchange) .. ',' .. cjson.encode(info.routing_key)
            redis.call('ZADD', noted_at, ARGV[1], properties.delivery_tag)
            redis.call('HSET', notes, properties.delivery_tag, '[' .. item .. ',' .. route .. ']')
        end
        return {KEYS[i], item}
    end
end
return false
"""
"""Takes the oldest message of the first list that has one.  It is noted unless its consumer acknowledges nothing."""


class Channel(redis.Channel):
    """Takes a message and notes it in one step."""

    unacked_mutex_expire = 5
    """Seconds for which one worker at most keeps the others from giving messages back; kombu's own value is 300.

    A worker that hangs or is killed while it gives messages back holds that lock until then.  Two workers that give the
    same message back do no harm, because each does it in a transaction that the other one breaks."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._waits = False
        """Nothing was there to take, so the next command waits."""
        self._without_ack: set[str] = set()
        super().__init__(*arguments, **options)

    def basic_consume(self, queue: str, no_ack: bool, *arguments: Any, **options: Any) -> Any:
        if no_ack:
            self._without_ack.add(queue)
        else:
            self._without_ack.discard(queue)
        return super().basic_consume(queue, no_ack, *arguments, **options)

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Send the next command; kombu's poller calls `_brpop_read` when the answer is there."""
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        lists = [(queue, self._q_for_pri(queue, step)) for step in self.priority_steps for queue in queues]
        prefix = self.global_keyprefix
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        if self._waits:
            one = prefix + lists[0][1]
            self.client.connection.send_command("BLMOVE", one, one, "RIGHT", "RIGHT", WAIT)
            return
        keys = [prefix + key for key in (*(key for _, key in lists), self.unacked_index_key, self.unacked_key)]
        noted = ["0" if queue in self._without_ack or not self.ack_emulation else "1" for queue, _ in lists]
        self.client.connection.send_command("EVAL", TAKE, len(keys), *keys, time(), *noted)

    def _brpop_read(self, **options: Any) -> Any:
        if not self._waits:
            try:
                return super()._brpop_read(**options)
            except Empty:
                self._waits = True
                raise
        self._waits = False
        try:
            self.client.parse_response(self.client.connection, "BLMOVE", **options)
        except self.connection_errors:
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll = None
        raise Empty


class Transport(redis.Transport):
    """kombu's Redis transport with this channel."""

    Channel = Channel
