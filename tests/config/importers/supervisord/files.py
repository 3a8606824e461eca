"""Files of supervisord as they stand in public projects, in other words: with what is hard in them kept.

Each is a table of file names and texts; `supervisord.conf` is the one that is read.  `HERE` stands for its folder.
"""

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/root",
    "APP_DIR": "/srv/app",
    "WORKERS": "3",
    "OPTIONS": "--fast --log-level info",
    "PASSWORD": "p@ss,w0rd$;'x",
    "PLAIN": "abc",
}
"""The environment with which supervisord is started."""

FILES: dict[str, dict[str, str]] = {}

FILES["queue workers of a PHP application"] = {
    "supervisord.conf": """\
; a comment at the top
[supervisord]
nodaemon=true
user=root
logfile=/dev/null
logfile_maxbytes=0
pidfile=/tmp/supervisord-queue.pid

[program:queue]
process_name=%(program_name)s_%(process_num)02d
command=php %(ENV_APP_DIR)s/artisan queue:work redis --sleep=3 --tries=3 --queue="high,low"
autostart=true
autorestart=true
stopasgroup=true
killasgroup=true
numprocs=8
redirect_stderr=true
stdout_logfile=HERE/worker.log
stopwaitsecs=3600

[program:schedule]
command=/bin/sh -c "while [ true ]; do (php %(ENV_APP_DIR)s/artisan schedule:run --quiet &); sleep 60; done"
autorestart=true
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
stderr_logfile=/dev/stderr
stderr_logfile_maxbytes=0
"""
}

FILES["servers on ports that count"] = {
    "supervisord.conf": """\
[supervisord]
directory = HERE
[program:tornado]
process_name = tornado-%(process_num)s
command = python3 %(here)s/main.py --port=%(process_num)s --log=%(here)s/%(program_name)s-%(process_num)s.log
numprocs = 4
numprocs_start = 8000
directory = %(here)s
[program:padded]
process_name = %(program_name)s_80%(process_num)02d
command = server --port=80%(process_num)02d
numprocs = 4
stdout_logfile = HERE/padded-%(process_num)02d.log
redirect_stderr = true
[program:names]
process_name = %(program_name)s_%(process_num)02d
command = celery worker -n w%(process_num)02d@%%h
numprocs = 2
environment = INDEX="%(process_num)d",TOTAL="%(numprocs)d"
[program:two]
process_name = %(program_name)s_%(process_num)d
command = server --id %(process_num)d --port 900%(process_num)d
numprocs = 2
"""
}

FILES["groups, priorities and includes"] = {
    "supervisord.conf": """\
[unix_http_server]
file=%(here)s/supervisor.sock
chmod=0700
username=admin
password=hunter2

[inet_http_server]
port=127.0.0.1:9001
username=admin
password=hunter2

[supervisord]
logfile=%(here)s/supervisord.log
minfds=4096
environment=SHARED="all of them",LEVEL=info

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix:///tmp/supervisor.sock

[include]
files = conf.d/*.conf nothing/*.ini
        more/b.ini
""",
    "conf.d/20-web.conf": """\
[program:web]
command=%(here)s/bin/web --group %(group_name)s --level %(ENV_LEVEL)s
directory=/
priority=20
environment=LEVEL=debug
[program:beat]
command=beat --level %(ENV_LEVEL)s
priority=10
[group:app]
programs=web, beat
priority=50
""",
    "conf.d/10-db.conf": """\
[program:db]
command=db
priority=1
autorestart=unexpected
exitcodes=0,2
[include]
files=../more/*.ini
[program:web]
stopsignal=QUIT
directory=/tmp
""",
    "more/b.ini": """\
[program:late]
command=late
[program:db]
startsecs=5
""",
}

FILES["values over several lines"] = {
    "supervisord.conf": """\
[supervisord]
[program:gunicorn]
command=gunicorn app:create_app()
    --workers 4   ; four of them
    ; --reload
    # --debug
    --bind unix:/run/app.sock
    --access-logformat "%%(h)s %%(t)s
      \\"%%(r)s\\" %%(s)s"

environment=
    ONE="1",
    TWO='2 and a half',
    URL="http://user@host/?a=b&c=d",
    EMPTY="",
[program:cut]
command=echo a;b c#d ; the end
environment=B=x/y:z+(w),A=one two
[program:escapes]
command=printf 'a b' "c \\"d\\" $HOME" e\\ f ~/x * && echo > /dev/null
[program:newline]
command=prog one \\
    --two
"""
}

FILES["environment as supervisord cuts it"] = {
    "supervisord.conf": """\
[supervisord]
environment=PATH="/opt/bin:%(ENV_PATH)s"
[program:quotes]
command=env
environment=A="a,b;c",B='it "is"',C="x%%y",D="a\\b",E="$HOME",F=/a.b+c-d:(e),G="#no",H=%(host_node_name)s
[program:secret]
command=run --dsn "postgres://u:%(ENV_PASSWORD)s@db/x" --plain %(ENV_PLAIN)s %(ENV_OPTIONS)s
environment=TOKEN="%(ENV_PLAIN)s-%(ENV_PLAIN)s",BARE=%(ENV_PLAIN)s,CASED="%(ENV_PATH)s"
directory=%(ENV_APP_DIR)s/releases
stdout_logfile=%(ENV_HOME)s/secret.log
[program:counted]
command=run
numprocs=%(ENV_WORKERS)s
process_name=%(program_name)s%(process_num)s
[program:hash]
command=run
environment=A=p#q,B=2
"""
}

FILES["words with other spellings"] = {
    "supervisord.conf": """\
[Supervisord]
[supervisord]
[DEFAULT]
autorestart=false
umask=027
[program:colon]
Command: run --a=b
AutoStart: off
autostrat=false
startsecs=0
[program:numbers]
command=run
autorestart=YES
startretries=10
startsecs=60
stopsignal=sigusr2
exitcodes=
stopwaitsecs=0
priority=-5
[program:signals]
command=run
stopsignal=15
umask=22
user=0
[progam:typo]
command=run
"""
}

FILES["logs"] = {
    "supervisord.conf": """\
[supervisord]
umask=002
[program:apart]
command=run
stdout_logfile=HERE/apart.out
stderr_logfile=HERE/apart.err
stdout_logfile_maxbytes=1MB
stderr_logfile_maxbytes=2MB
stdout_logfile_backups=3
[program:same]
command=run
stdout_logfile=HERE/same.log
stderr_logfile=HERE/same.log
stdout_logfile_maxbytes=0
[program:none]
command=run
stdout_logfile=NONE
stderr_logfile=off
[program:auto]
command=run
stdout_logfile=AUTO
stdout_capture_maxbytes=1MB
stdout_events_enabled=true
[program:syslog]
command=run
stdout_logfile=syslog
stderr_syslog=true
[program:home]
command=run
redirect_stderr=true
stdout_logfile=~/home.log
stdout_logfile_maxbytes=1000000
stdout_logfile_backups=0
[program:relative]
command=run
stdout_logfile=relative.log
[program:joined]
command=run
stdout_logfile=HERE/apart.out
stdout_logfile_maxbytes=5MB
"""
}

FILES["a program in two groups"] = {
    "supervisord.conf": """\
[supervisord]
[program:worker]
command=run %(group_name)s
process_name=%(group_name)s_%(program_name)s
[program:web]
command=web
[group:east]
programs=worker
[group:west]
programs=worker,web
[group:web2]
programs=web
priority=3
"""
}

FILES["listeners and sockets"] = {
    "supervisord.conf": """\
[supervisord]
[eventlistener:crashmail]
command=crashmail -a -m root@localhost
events=PROCESS_STATE_EXITED
[fcgi-program:php]
socket=unix:///run/%(program_name)s.sock
socket_owner=root
socket_mode=0770
command=php-cgi -b 0
process_name=%(program_name)s_%(process_num)02d
numprocs=3
[fcgi-program:tcp]
socket=tcp://127.0.0.1:9002
command=fcgi "a b"
[fcgi-program:grouped]
socket=tcp://127.0.0.1:9003
command=fcgi
[group:g]
programs=grouped
"""
}

FILES["paths"] = {
    "supervisord.conf": """\
[supervisord]
directory=HERE/work
[program:relative]
command=./run --config ../x
directory=HERE
[program:there]
command=bin/run
[program:sub]
command=run
directory=sub/../other
[program:tilde]
command=run
directory=~/app
[program:account]
command=run
user=nobody
""",
    "work/bin/run": "",
}

FILES["names that are odd"] = {
    "supervisord.conf": """\
[supervisord]
[program: spaced ]
command=run %(program_name)s
[program:plus+minus]
command=run %(program_name)s
[program:plus.minus]
command=run
[program:über]
command=run
[program:_under]
command=run {replica} {port}
environment=A="{replica}"
[group:plus.minus]
programs=_under
"""
}

FILES["nothing to start"] = {
    "supervisord.conf": """\
[supervisord]
[program:zero]
command=run
numprocs=0
[program:open]
command=run "abc
[program:empty]
command=
[group:none]
"""
}

FILES["a container of one service with its helpers"] = {
    "supervisord.conf": """\
[supervisord]
nodaemon = true
user = root
logfile = /dev/null
logfile_maxbytes = 0
loglevel = warn
silent = true
umask = 077

[program:nginx]
command = nginx -g 'daemon off; error_log /dev/stderr info;'
autorestart = true
startretries = 0
stopsignal = QUIT
killasgroup = true
priority = 200
stdout_logfile = /dev/fd/1
stdout_logfile_maxbytes = 0
redirect_stderr = true

[program:migrate]
command = bash -c "sleep 1 && ./manage.py migrate"
autorestart = false
startsecs = 0
exitcodes = 0
priority = 1

[program:cron]
command = cron -f -L 15
autorestart = unexpected
priority = 100
serverurl = AUTO

[program:app]
command = sh -c 'exec "$0" --user %(ENV_PLAIN)s "$@"' app --port 80
directory = %(ENV_APP_DIR)s
priority = 100
environment = PYTHONUNBUFFERED=1,LANG="C.UTF-8",PYTHONPATH="%(ENV_APP_DIR)s/lib"
stopwaitsecs = 30
"""
}
