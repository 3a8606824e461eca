"""Real programs, unmodified, each with its command, readiness and heartbeat: one entry a program.

In the texts, `$exe` is the program's path, `$dir` its own folder, `$port` and `$port2` free ports, `$python` this
interpreter, `$root` the checkout, and `$redis_port` the port of the entry `redis`. A program that is not installed is
left out.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

WISH = 5.0
"""Seconds within which a hang of a program that can be made to hang is to be suspected."""
MAX_TIMEOUT = 10.0
"""For the same programs: seconds that a held suspect could have run before it is ended."""


@dataclass(frozen=True)
class Program:
    """An entry.

    `needs`: the executable that must be found; empty: Python's own. `also`: others that must be found. `ready`, `beat`:
    the keys of the tables `ready` and `heartbeat`. `files`: written into its folder. `setup`: a shell command that is
    run there before the first start. `hangs`: how it can be made to hang, as a signal to its main process or as bytes
    that are sent to its port. `more`: further keys of its service. `workers`: several processes answer, so one of them
    may be stopped.
    """

    name: str
    needs: str
    command: Sequence[str]
    beat: str
    ready: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""
    hangs: Mapping[str, int | bytes] = field(default_factory=dict)
    also: Sequence[str] = ()
    more: str = ""
    user: str = ""
    workers: bool = False

    @property
    def source(self) -> str:
        return self.beat.partition('"')[2].partition('"')[0]

    @property
    def short(self) -> str:
        """What finds its hang, for the table: `exec redis-cli`."""
        if self.source != "exec":
            return self.source
        return f"exec {self.beat.partition('exec = [')[2].split(chr(34))[1]}"


def find(name: str) -> str | None:
    """The path of an installed program, also beside this interpreter and where daemons lie."""
    places = [Path(sys.executable).parent, "/usr/sbin", "/sbin", "/usr/lib/sysstat"]
    places += Path("/usr/lib/postgresql").glob("*/bin")
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, places)))


def http(path: str = "/") -> str:
    return f'source = "http", http = "http://127.0.0.1:$port{path}"'


def answers(path: str = "/") -> str:
    return f'http = "http://127.0.0.1:$port{path}"'


TCP = 'source = "tcp", tcp = "127.0.0.1:$port"'
OPEN = 'tcp = "127.0.0.1:$port"'
NOTIFY, READY = 'source = "notify"', "notify = true"
ACTIVITY = 'source = "activity"'
WRITES = 'source = "log"'
TARGET = f', target = {{ detect_within = "{WISH:g}s" }}, max_timeout = "{MAX_TIMEOUT:g}s"'
"""Added to the heartbeat of what is made to hang."""
LOCK, SPIN = signal.SIGUSR1, signal.SIGUSR2
GET_LOCK, GET_SPIN = (f"GET /{way} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for way in ("lock", "spin"))
REDIS = ("$exe", "--supervised", "systemd", "--port", "$port", "--bind", "127.0.0.1", "--dir", "$dir")
REDIS_HANGS = {"lock": b"DEBUG SLEEP 100000\r\n", "spin": b'EVAL "while true do end" 0\r\n'}
CLIENT = (
    "import asyncio, json, socket, urllib.request; s = socket.create_connection(('127.0.0.1', $port)); "
    "s.sendall(b'PING\\r\\n'); assert s.recv(9).startswith(b'+PONG')"
)
"""A client that starts slowly, as clients in Python do."""

WORKER = """
import os, signal, sys, threading, time

def spin(*_):
    while True:
        pass

def touch():
    with open("beat", "w"):
        pass

def print_line():
    print("a job is done", flush=True)

def work():
    sum(range(200_000))

signal.signal(signal.SIGUSR1, lambda *_: threading.Event().wait())
signal.signal(signal.SIGUSR2, spin)
while True:
    {"file": touch, "log": print_line, "activity": work}[sys.argv[1]]()
    time.sleep(0.3)
"""
BEATER = """
import signal, sys, threading, time
sys.path.insert(0, sys.argv[1])
import heartbeat

def spin(*_):
    while True:
        pass

signal.signal(signal.SIGUSR1, lambda *_: threading.Event().wait())
signal.signal(signal.SIGUSR2, spin)
heartbeat.ready()
while True:
    time.sleep(0.1)
    heartbeat.beat()
"""
WSGI = """
import threading

def app(environ, start_response):
    if environ["PATH_INFO"] == "/lock":
        threading.Event().wait()
    while environ["PATH_INFO"] == "/spin":
        pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
"""
ASGI = """
import threading

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/lock":
        threading.Event().wait()
    while scope["path"] == "/spin":
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})
"""
NODE = """
require("http").createServer((request, response) => {
    if (request.url === "/lock") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    while (request.url === "/spin");
    response.end("fine");
}).listen($port, "127.0.0.1");
"""
JAVA = """
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class Web {
    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", $port), 0);
        server.createContext("/", exchange -> {
            try {
                if (exchange.getRequestURI().getPath().equals("/lock")) new Object() {
                    synchronized void forever() throws InterruptedException { wait(); }
                }.forever();
            } catch (InterruptedException ignored) { }
            while (exchange.getRequestURI().getPath().equals("/spin"));
            exchange.sendResponseHeaders(200, -1);
            exchange.close();
        });
        server.start();
    }
}
"""
NGINX = """
daemon off; master_process on; worker_processes 2; pid $dir/pid; error_log stderr; user root;
events {}
http { access_log off; client_body_temp_path $dir; proxy_temp_path $dir; fastcgi_temp_path $dir;
uwsgi_temp_path $dir; scgi_temp_path $dir;
server { listen 127.0.0.1:$port; location / { return 200 "hello"; } } }
"""
HAPROXY = """
defaults
    mode http
    timeout client 10s
    timeout connect 10s
    timeout server 10s
frontend web
    bind 127.0.0.1:$port
    monitor-uri /health
"""
APACHE = """
ServerRoot $dir
ServerName localhost
Listen 127.0.0.1:$port
PidFile $dir/pid
ErrorLog /dev/stderr
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
DocumentRoot $dir
<Directory $dir>
    Require all granted
</Directory>
"""
NAMED = """
options { directory "$dir"; listen-on port $port { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none;
recursion no; session-keyfile none; };
controls { };
"""
NSD = """
server:
    ip-address: 127.0.0.1@$port
    username: ""
    database: ""
    pidfile: ""
    zonesdir: "$dir"
    zonelistfile: "$dir/zone.list"
    xfrdfile: "$dir/xfrd.state"
    xfrdir: "$dir"
remote-control:
    control-enable: no
"""
UNBOUND = """
server:
    interface: 127.0.0.1@$port
    directory: "$dir"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
remote-control:
    control-enable: no
"""
PHP = """
[global]
error_log = /dev/stderr
[www]
user = www-data
listen = 127.0.0.1:$port
pm = static
pm.max_children = 2
"""
SUPERVISORD = """
[supervisord]
nodaemon = true
logfile = /dev/null
logfile_maxbytes = 0
pidfile = $dir/pid
[inet_http_server]
port = 127.0.0.1:$port
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = http://127.0.0.1:$port
"""

PROGRAMS = (
    # Heartbeats that the program sends itself.
    Program("beater", "", ("$python", "-S", "beater.py", "$root/supervisor"), NOTIFY + TARGET, READY,
            files={"beater.py": BEATER}, hangs={"lock": LOCK, "spin": SPIN}),
    Program("worker", "", ("$python", "$root/examples/worker.py"), NOTIFY + TARGET, READY,
            hangs={"lock": LOCK}),
    Program("heartbeat-loop", "", ("$python", "$root/examples/heartbeat/loop.py"), NOTIFY, READY),
    Program("heartbeat-queue", "", ("$python", "$root/examples/heartbeat/queue_worker.py"), NOTIFY, READY),
    Program("heartbeat-asyncio", "", ("$python", "$root/examples/heartbeat/event_loop.py"), NOTIFY, READY),
    Program("heartbeat-thread", "", ("$python", "$root/examples/heartbeat/long_steps.py"), NOTIFY, READY),
    Program("systemd-notify", "systemd-notify", ("sh", "$root/examples/heartbeat/notify.sh"), NOTIFY, READY),
    Program("node-notify", "node", ("$exe", "$root/examples/heartbeat/worker.js"), NOTIFY, READY,
            also=("systemd-notify",)),
    Program("php-fpm", "php-fpm8.2", ("$exe", "-F", "-R", "-n", "-y", "$dir/php-fpm.conf"), NOTIFY, READY,
            files={"php-fpm.conf": PHP}),
    Program("tor", "tor", ("$exe", "-f", "/nonexistent", "--ignore-missing-torrc", "--DisableNetwork", "1",
            "--DataDirectory", "$dir/data", "--SocksPort", "0"), NOTIFY, READY),
    # Programs that are asked over HTTP.
    Program("nginx", "nginx", ("$exe", "-c", "$dir/nginx.conf", "-e", "stderr"), http(), answers(),
            files={"nginx.conf": NGINX}, workers=True),
    Program("gunicorn", "gunicorn", ("$exe", "-b", "127.0.0.1:$port", "--timeout", "0", "--no-control-socket",
            "wsgi:app"), http() + TARGET, answers(), files={"wsgi.py": WSGI},
            hangs={"lock": GET_LOCK, "spin": GET_SPIN}),
    Program("gunicorn-workers", "gunicorn", ("$exe", "-b", "127.0.0.1:$port", "-w", "2", "--threads", "4",
            "--no-control-socket", "wsgi:app"), http(), READY, files={"wsgi.py": WSGI}, workers=True),
    Program("uvicorn", "uvicorn", ("$exe", "--port", "$port", "--no-access-log", "asgi:app"), http() + TARGET,
            answers(), files={"asgi.py": ASGI}, hangs={"lock": GET_LOCK, "spin": GET_SPIN}),
    Program("uvicorn-workers", "uvicorn", ("$exe", "--port", "$port", "--workers", "2", "--no-access-log", "asgi:app"),
            http(), answers(), files={"asgi.py": ASGI}, workers=True),
    Program("hypercorn", "hypercorn", ("$exe", "-b", "127.0.0.1:$port", "asgi:app"), http(), answers(),
            files={"asgi.py": ASGI}),
    Program("granian", "granian", ("$exe", "--interface", "asgi", "--port", "$port", "asgi:app"), http(), answers(),
            files={"asgi.py": ASGI}),
    Program("waitress", "waitress-serve", ("$exe", "--listen", "127.0.0.1:$port", "wsgi:app"), http(), answers(),
            files={"wsgi.py": WSGI}),
    Program("http-server", "", ("$python", "-m", "http.server", "--bind", "127.0.0.1", "$port"), http(), answers()),
    Program("node", "node", ("$exe", "web.js"), http() + TARGET, answers(), files={"web.js": NODE},
            hangs={"lock": GET_LOCK, "spin": GET_SPIN}),
    Program("java", "javac", ("java", "-Xmx64m", "-XX:+UseSerialGC", "-cp", "$dir", "Web"), http() + TARGET,
            answers(), files={"Web.java": JAVA}, setup="$exe Web.java", hangs={"lock": GET_LOCK, "spin": GET_SPIN}),
    Program("lighttpd", "lighttpd", ("$exe", "-D", "-f", "$dir/conf"), http("/conf"), answers("/conf"),
            files={"conf": 'server.document-root = "$dir"\nserver.bind = "127.0.0.1"\nserver.port = $port\n'}),
    Program("apache2", "apache2", ("$exe", "-DFOREGROUND", "-f", "$dir/conf"), http("/conf"), answers("/conf"),
            files={"conf": APACHE}),
    Program("caddy", "caddy", ("$exe", "run", "--config", "$dir/conf", "--adapter", "caddyfile"), http(), answers(),
            files={"conf": "{\n\tadmin off\n}\nhttp://127.0.0.1:$port {\n\trespond fine\n}\n"}),
    Program("busybox-httpd", "busybox", ("$exe", "httpd", "-f", "-p", "127.0.0.1:$port", "-h", "$dir"),
            http("/index.html"), answers("/index.html"), files={"index.html": "fine"}),
    Program("haproxy", "haproxy", ("$exe", "-Ws", "-f", "$dir/conf"), http("/health"), READY, files={"conf": HAPROXY}),
    Program("prometheus", "prometheus", ("$exe", "--config.file=$dir/conf", "--storage.tsdb.path=$dir/data",
            "--web.listen-address=127.0.0.1:$port"), http("/-/healthy"), answers("/-/ready"), files={"conf": ""}),
    Program("etcd", "etcd", ("$exe", "--data-dir", "$dir/data", "--listen-client-urls", "http://127.0.0.1:$port",
            "--advertise-client-urls", "http://127.0.0.1:$port", "--listen-peer-urls", "http://127.0.0.1:$port2",
            "--initial-advertise-peer-urls", "http://127.0.0.1:$port2", "--initial-cluster",
            "default=http://127.0.0.1:$port2"), http("/version"), READY),
    Program("supervisord", "supervisord", ("$exe", "-c", "$dir/conf"), http(), answers(), files={"conf": SUPERVISORD}),
    Program("openssl", "openssl", ("$exe", "s_server", "-accept", "127.0.0.1:$port", "-www", "-quiet", "-key",
            "$dir/key", "-cert", "$dir/cert"), 'source = "http", http = "https://127.0.0.1:$port/"', OPEN,
            setup="$exe req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=localhost"),
    # Programs that accept connections.
    Program("redis", "redis-server", (*REDIS, "--save", ""), TCP, READY),
    Program("memcached", "memcached", ("$exe", "-l", "127.0.0.1", "-p", "$port", "-u", "root"), TCP, OPEN),
    Program("mosquitto", "mosquitto", ("$exe", "-p", "$port"), TCP, READY),
    Program("sshd", "sshd", ("$exe", "-D", "-e", "-f", "/dev/null", "-o", "ListenAddress=127.0.0.1:$port", "-o",
            "HostKey=$dir/key", "-o", "PidFile=none"), TCP, READY,
            setup="mkdir -p /run/sshd && ssh-keygen -q -t ed25519 -N '' -f key"),
    Program("dnsmasq", "dnsmasq", ("$exe", "-k", "-p", "$port", "-C", "/dev/null", "--listen-address=127.0.0.1",
            "--bind-interfaces", "--user=root", "--pid-file="), TCP, OPEN),
    Program("unbound", "unbound", ("$exe", "-d", "-c", "$dir/conf"), TCP, READY, files={"conf": UNBOUND}),
    Program("named", "named", ("$exe", "-f", "-c", "$dir/conf"), TCP, READY, files={"conf": NAMED}),
    Program("nsd", "nsd", ("$exe", "-d", "-c", "$dir/conf"), TCP, READY, files={"conf": NSD}),
    Program("pdns-recursor", "pdns_recursor", ("$exe", "--config-dir=$dir", "--local-address=127.0.0.1",
            "--local-port=$port", "--socket-dir=$dir", "--daemon=no"), TCP, READY),
    Program("rsyslog", "rsyslogd", ("$exe", "-n", "-i", "NONE", "-f", "$dir/conf"), TCP, READY, files={"conf":
            'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="$port")\n'
            'action(type="omfile" file="$dir/log")\n'}),
    Program("beanstalkd", "beanstalkd", ("$exe", "-l", "127.0.0.1", "-p", "$port"), TCP, OPEN),
    Program("socat", "socat", ("$exe", "TCP-LISTEN:$port,fork,reuseaddr,bind=127.0.0.1", "EXEC:cat"), TCP, OPEN),
    Program("rsync", "rsync", ("$exe", "--daemon", "--no-detach", "--port=$port", "--address=127.0.0.1",
            "--config=$dir/conf"), TCP, OPEN, files={"conf": "use chroot = no\n"}),
    Program("tinyproxy", "tinyproxy", ("$exe", "-d", "-c", "$dir/conf"), TCP, OPEN,
            files={"conf": "Port $port\nListen 127.0.0.1\nTimeout 60\n"}),
    Program("stunnel", "stunnel4", ("$exe", "$dir/conf"), TCP, OPEN, files={"conf":
            "foreground = yes\npid =\n[one]\nclient = yes\naccept = 127.0.0.1:$port\nconnect = 127.0.0.1:1\n"}),
    Program("pgbouncer", "pgbouncer", ("$exe", "$dir/conf"), TCP, READY, user="postgres", files={"conf":
            "[databases]\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = $port\nauth_type = any\n"
            "unix_socket_dir =\n"}),
    Program("dbus", "dbus-daemon", ("$exe", "--session", "--nofork", "--nopidfile", "--address=unix:path=$dir/bus"),
            'source = "tcp", tcp = "unix:$dir/bus"', 'tcp = "unix:$dir/bus"'),
    # Programs that are asked by a client.
    Program("redis-cli", "redis-server", (*REDIS, "--save", "", "--enable-debug-command", "yes",
            "--busy-reply-threshold", "0"),
            'source = "exec", exec = ["redis-cli", "-p", "$port", "ping"]' + TARGET, READY, also=("redis-cli",),
            hangs=REDIS_HANGS),
    Program("redis-python", "redis-server", (*REDIS, "--appendonly", "yes"),
            f'source = "exec", exec = ["$python", "-c", "{CLIENT}"]'.replace("\\", "\\\\"), READY),
    Program("memcached-socat", "memcached", ("$exe", "-l", "127.0.0.1", "-p", "$port", "-u", "root"),
            'source = "exec", exec = ["sh", "-c", "echo version | socat -t 5 - TCP:127.0.0.1:$port | grep VERSION"]',
            OPEN, also=("socat",)),
    Program("postgres", "postgres", ("$exe", "-D", "$dir/data", "-p", "$port", "-k", "$dir", "-h", "127.0.0.1"),
            'source = "exec", exec = ["pg_isready", "-q", "-h", "127.0.0.1", "-p", "$port"]', READY, user="postgres",
            also=("initdb", "pg_isready"), setup="initdb -A trust -D data"),
    Program("mariadb", "mariadbd", ("$exe", "--no-defaults", "--datadir=$dir/data", "--port=$port", "--user=root",
            "--socket=$dir/socket", "--bind-address=127.0.0.1"),
            'source = "exec", exec = ["mariadb-admin", "--no-defaults", "-u", "root", "-S", "$dir/socket", "ping"]',
            READY, also=("mariadb-admin",), setup="mariadb-install-db --no-defaults --datadir=$dir/data --user=root "
            "--auth-root-authentication-method=normal --skip-test-db"),
    Program("tmux", "tmux", ("$exe", "-D", "-S", "$dir/socket"),
            'source = "exec", exec = ["tmux", "-S", "$dir/socket", "show-options", "-g"]',
            'exec = ["tmux", "-S", "$dir/socket", "show-options", "-g"]'),
    Program("celery", "celery", ("$exe", "-A", "jobs", "-b", "redis://127.0.0.1:$redis_port", "worker", "-n",
            "one@localhost", "-l", "info", "-c", "2"), 'source = "exec", interval = "10s", '
            'probe_timeout = "10s", exec = ["$exe", "-A", "jobs", "-b", "redis://127.0.0.1:$redis_port", '
            '"inspect", "ping", "-t", "5"]',
            'log = "ready[.]"', files={"jobs.py": "import celery\napp = celery.Celery()\n"}, also=("redis-server",),
            more='depends_on = ["redis"]'),
    # Programs that are heard by what they do.
    Program("worker-file", "", ("$python", "-S", "worker.py", "file"), 'source = "file", file = "$dir/beat"' + TARGET,
            files={"worker.py": WORKER}, hangs={"lock": LOCK, "spin": SPIN}),
    Program("script", "script", ("$exe", "-q", "-f", "-c", "vmstat 1", "$dir/typescript"),
            'source = "file", file = "$dir/typescript"', also=("vmstat",)),
    Program("sadc", "sadc", ("$exe", "1", "$dir/data"), 'source = "file", file = "$dir/data"'),
    Program("worker-log", "", ("$python", "-S", "worker.py", "log"), WRITES + ', log = "done$$"' + TARGET,
            files={"worker.py": WORKER}, hangs={"lock": LOCK, "spin": SPIN}),
    Program("shell-log", "sh", ("sh", "$root/examples/heartbeat/plain.sh"), WRITES + ', log = "^job [0-9]+ done$$"',
            'log = "^ready$$"'),
    Program("vmstat", "vmstat", ("$exe", "1"), WRITES),
    Program("top", "top", ("$exe", "-b", "-d", "1"), WRITES, more="environment = { TERM = 'dumb' }"),
    Program("mpstat", "mpstat", ("$exe", "1"), WRITES),
    Program("worker-activity", "", ("$python", "-S", "worker.py", "activity"), ACTIVITY + TARGET,
            files={"worker.py": WORKER}, hangs={"lock": LOCK}),
    Program("redis-activity", "redis-server", (*REDIS, "--save", ""), ACTIVITY, READY),
    Program("prometheus-activity", "prometheus", ("$exe", "--config.file=$dir/conf", "--storage.tsdb.path=$dir/data",
            "--web.listen-address=127.0.0.1:$port"), ACTIVITY + ', interval = "5s"', answers("/-/ready"), files={"conf":
            "scrape_configs: [{job_name: self, scrape_interval: 1s, static_configs: [{targets: "
            "['127.0.0.1:$port']}]}]\n"}),
    Program("collectd", "collectd", ("$exe", "-f", "-C", "$dir/conf"), ACTIVITY, files={"conf":
            "Interval 1\nBaseDir \"$dir\"\nPIDFile \"$dir/pid\"\nLoadPlugin cpu\nLoadPlugin csv\n"}),
)  # fmt: skip
