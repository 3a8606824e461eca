"""The tables of what concerns several hosts: where a service runs, the fleet, and the cluster."""

from __future__ import annotations

from pydantic_core import core_schema

from supervisor.config.schema import kinds
from supervisor.config.schema.table import key, table
from supervisor.core.model.cluster_spec import PlacementMode

PLACEMENT = table(
    "On which hosts of the cluster it runs (docs/cluster.md); needs [cluster] unless mode is every.",
    {
        "mode": key(
            kinds.one_of(PlacementMode),
            "every: on each host whose configuration has it; one: on exactly one host; spread: `instances` over all "
            "hosts, each exactly once.",
        ),
        "instances": key(kinds.whole(1, 1_000), 'mode = "spread": how many there are in the cluster.'),
        "require": key(kinds.LABELS, "Labels that a host must have."),
        "prefer": key(kinds.LABELS, "Labels that a host should have."),
        "apart": key(kinds.TEXT, "The label over whose values the instances are spread first."),
    },
)

FLEET_HOST = table(
    "A host.",
    {
        "name": key(kinds.NAME, "Its name, for `-H` and in the output."),
        "address": key(kinds.HOST_ADDRESS, "A name or address, or an alias of ~/.ssh/config; unless given, its name."),
        "user": key(kinds.HOST_USER, "The account there; unless given, what ssh's configuration says."),
        "port": key(kinds.whole(1, 65535), "The port of its sshd; unless given, what ssh's configuration says."),
        "labels": key(core_schema.dict_schema(kinds.NAME, kinds.TEXT), "Labels by which `-H` chooses it: `-H zone=a`."),
    },
)

FLEET = table(
    "Hosts on which `supervisor fleet` installs this file over ssh (docs/fleet.md); the daemon ignores it.",
    {
        "hosts": key(kinds.many(FLEET_HOST), "The hosts: a list of tables."),
        "directory": key(
            kinds.HOST_DIRECTORY,
            "Where everything is installed on each host; below the home of the user unless it begins with /.",
        ),
        "wave": key(
            kinds.SHARE, 'How many hosts `push` and `upgrade` change at a time: a number, or a part of them ("25%").'
        ),
    },
)

CLUSTER = table(
    "Several hosts on one ZooKeeper (docs/cluster.md); off unless given.",
    {
        "engine": key(kinds.one_of(("zookeeper",)), "The service by which the hosts agree."),
        "hosts": key(
            kinds.CLUSTER_HOSTS,
            "host:port of the servers, separated by commas, and optionally a chroot: a:2181,b:2181/phi.",
        ),
        "node": key(kinds.NODE, "The name of this member; the host's own name unless given."),
        "address": key(kinds.MEMBER_ADDRESS, "host:port at which the other members reach this one."),
        "session_timeout": key(
            kinds.POSITIVE_DURATION, "How long the servers wait for a host before its slots are free."
        ),
        "contact_interval": key(
            kinds.POSITIVE_DURATION, "How often this host sends the servers a write, whose answer extends its leases."
        ),
        "request_timeout": key(kinds.POSITIVE_DURATION, "How long one answer may take."),
        "tick_time": key(kinds.POSITIVE_DURATION, "tickTime of the servers."),
        "detect_within": key(
            kinds.POSITIVE_DURATION,
            "How soon a host whose heartbeats fail to come is under suspicion; 0.3 of session_timeout unless given.",
        ),
        "failsafe": key(
            kinds.SWITCH,
            "Whether this host keeps its slots while ZooKeeper is away, as long as every other host answers it "
            "directly; needs `address`.",
        ),
        "labels": key(kinds.LABELS, "What this host is, for `placement`."),
        "credentials_file": key(
            kinds.PATH, "A file with USER:PASSWORD; the nodes are then readable and writable for that user alone."
        ),
        "ca_file": key(kinds.PATH, "TLS to ZooKeeper: the authorities that may sign its certificate, a PEM file."),
        "certificate": key(kinds.PATH, "TLS: the certificate of this host, a PEM file."),
        "private_key": key(kinds.PATH, "TLS: the key that belongs to it, a PEM file."),
    },
)
