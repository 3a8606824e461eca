"""`python -m supervisor.cluster RUNTIME_DIR`: the agent of this host, which keeps its slots in ZooKeeper.

`[cluster]` comes as JSON in the environment, so that a reload that changes it restarts the agent.
"""

from __future__ import annotations

import json
import os
import sys

from supervisor import __version__
from supervisor.cluster.process import Process, handle_signals, say
from supervisor.core.model.cluster_spec import SETTINGS_VARIABLE, ClusterSpec
from supervisor.core.model.plain import from_plain
from supervisor.errors import OperationFailed


def main(runtime_dir: str) -> int:
    """The exit code."""
    try:
        spec: ClusterSpec = from_plain(ClusterSpec, json.loads(os.environ[SETTINGS_VARIABLE]))
        process = Process(spec, runtime_dir, __version__, os.urandom(16).hex())
    except (KeyError, ValueError, TypeError) as error:
        say(f"{SETTINGS_VARIABLE} does not hold [cluster]: {error}")
        return 2
    except OperationFailed as error:
        say(str(error))
        return 1
    handle_signals(process.stop)
    return process.run()


if __name__ == "__main__":
    code = main(sys.argv[1])
    os._exit(code)  # kazoo's threads are not waited for
