"""Files of circus as they stand in public projects, in words of their own, with what is hard in them kept."""

FILES = {
    "a server with its socket and its virtualenv": """\
[circus]
check_delay = 5
endpoint = tcp://127.0.0.1:5555
[watcher:web]
cmd = bin/chaussette --fd $(circus.sockets.web) app.wsgi.application
working_dir = /srv/app
use_sockets = True
numprocesses = 3
copy_env = 1
[socket:web]
host = 127.0.0.1
port = 8085
""",
    "workers that are numbered": """\
[watcher:worker]
cmd = bin/worker
args = --number $(circus.wid) --name "worker $(circus.wid)"
numprocesses = 4
working_dir = /srv
graceful_timeout = 60
stop_signal = INT
""",
    "variables for all and for some": """\
[env]
LEVEL = info
PATH = /usr/local/bin:/usr/bin:/bin
[watcher:api]
cmd = api
working_dir = /srv
[watcher:jobs]
cmd = jobs
working_dir = /srv
[env:api]
PORT = 8000
[env:j*,x]
QUEUE = a b
LEVEL = debug
""",
    "the caller's variables": """\
[watcher:app]
cmd = $(circus.env.home)/bin/app --home ((CIRCUS.ENV.HOME))
working_dir = /srv
[env:app]
BASE = $HOME/data
""",
    "a shell": """\
[watcher:shell]
cmd = echo 'a b' && exec sleep 10
shell = True
working_dir = /srv
[watcher:script]
cmd = /bin/sh -c 'cd /srv && exec app'
working_dir = /srv
""",
    "a one-shot": """\
[watcher:once]
cmd = setup --all
respawn = False
autostart = False
working_dir = /srv
max_retry = 1
""",
    "logs in files": """\
[watcher:app]
cmd = app
working_dir = /srv
stdout_stream.class = FileStream
stdout_stream.filename = /var/log/app.log
stdout_stream.max_bytes = 1048576
stdout_stream.backup_count = 3
stderr_stream.class = StdoutStream
""",
    "comments and values over several lines": """\
; a comment
# another
[watcher:app]
cmd = app  ; what is run
args = --one 1
    --two "2 3"
    --three
working_dir = /srv
""",
    "an account and limits": """\
[circus]
umask = 027
[watcher:app]
cmd = app
uid = nobody
gid = nogroup
rlimit_nofile = 4096
working_dir = /srv
""",
    "a reload signal and children": """\
[watcher:gunicorn]
cmd = gunicorn -b unix:/run/app.sock -w 2 app:app
send_hup = True
stop_children = True
stop_signal = SIGQUIT
graceful_timeout = 0.5
working_dir = /srv
""",
    "watchers that need an order, plugins and hooks": """\
[watcher:db]
cmd = db --port 5432
priority = 10
working_dir = /srv
[watcher:app]
cmd = app
priority = 1
hooks.before_start = app.hooks.ready
working_dir = /srv
[plugin:flapping]
use = circus.plugins.flapping.Flapping
window = 1
""",
    "the whole environment": """\
[watcher:app]
cmd = app
copy_env = True
copy_path = True
working_dir = /srv
[env:app]
MODE = production
""",
}
