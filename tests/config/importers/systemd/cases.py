"""Units as they are found in public projects, in words of their own, and what systemd 252 made of them.

`runs`, `environment`, `directory` and `umask` are as a program saw them that stood in the place of each command, under
systemd 252.38 as PID 1 of namespaces of its own; what a shell or env is told to run is left in its words. @HERE@ is
the folder of the files. HOME, USER and LOGNAME of an account are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

BASE = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Case:
    """`files` by their name in @HERE@; `runs`: the words of each command that was executed, in turn."""

    unit: str
    files: dict[str, str]
    runs: list[list[str]]
    environment: dict[str, str]
    directory: str = "/"
    umask: int = 0o022


CASES = [
    Case(
        "cache.service",
        {
            "cache.service": """\
# a key-value store that reports readiness
[Unit]
Description=In-memory store
After=network.target
Documentation=man:store(1)

[Service]
Type=notify
ExecStart=/usr/bin/store /etc/store/store.conf --supervised systemd --daemonize no
PIDFile=/run/store/store.pid
TimeoutStopSec=infinity
Restart=always
User=www-data
Group=www-data
RuntimeDirectory=store
RuntimeDirectoryMode=2755

UMask=007
PrivateTmp=yes
LimitNOFILE=65535
NoNewPrivileges=true
CapabilityBoundingSet=CAP_SETGID CAP_SETUID CAP_SYS_RESOURCE
MemoryDenyWriteExecute=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX

[Install]
WantedBy=multi-user.target
Alias=store.service
""",
        },
        [["/usr/bin/store", "/etc/store/store.conf", "--supervised", "systemd", "--daemonize", "no"]],
        {**BASE, "PIDFILE": "/run/store/store.pid", "RUNTIME_DIRECTORY": "/run/store"},
        umask=0o7,
    ),
    Case(
        "proxy.service",
        {
            "proxy.service": """\
[Unit]
Description=A proxy that is tested before it starts
StartLimitIntervalSec=0
[Service]
Type=notify-reload
Environment="CONFIG=/etc/proxy/proxy.cfg" "EXTRA=-S /run/proxy master.sock" PIDFILE=/run/proxy.pid
EnvironmentFile=-@HERE@/proxy
ExecStartPre=/usr/sbin/proxy -f $CONFIG -c -q $EXTRAOPTS
ExecStart=/usr/sbin/proxy -Ws -f $CONFIG -p ${PIDFILE} $EXTRAOPTS "$EXTRA"
ExecReload=/usr/sbin/proxy -f $CONFIG -c -q $EXTRAOPTS
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
SuccessExitStatus=143
KillSignal=SIGUSR1
Restart=always
""",
            "proxy": """\
# Extra options
EXTRAOPTS="-L 'peer one' -q"
CONFIG=/etc/proxy/other.cfg
""",
        },
        [
            ["/usr/sbin/proxy", "-f", "/etc/proxy/other.cfg", "-c", "-q", "-L", "peer one", "-q"],
            [
                "/usr/sbin/proxy",
                "-Ws",
                "-f",
                "/etc/proxy/other.cfg",
                "-p",
                "/run/proxy.pid",
                "-L",
                "peer one",
                "-q",
                "-S",
                "/run/proxy",
                "master.sock",
            ],
        ],
        {
            **BASE,
            "CONFIG": "/etc/proxy/other.cfg",
            "EXTRA": "-S /run/proxy master.sock",
            "PIDFILE": "/run/proxy.pid",
            "EXTRAOPTS": "-L 'peer one' -q",
        },
    ),
    Case(
        "exporter.service",
        {
            "exporter.service": """\
[Unit]
Description=Exporter of %H
Wants=network-online.target
After=network-online.target
[Service]
User=nobody
EnvironmentFile=@HERE@/exporter
ExecStart=/usr/local/bin/exporter \\
    --web.listen-address=:9100 \\
    # --collector.old \\
    --collector.filesystem.ignored-mount-points="^/(sys|proc|dev)($$|/)" \\
    --path.rootfs=/ $ARGS ${LEVEL} --unset=${NOPE} $NOPE
Restart=on-failure
RestartSec=5min 20s
SyslogIdentifier=exporter
[Install]
WantedBy=multi-user.target
""",
            "exporter": """\
ARGS=--log.format=json --log.level=debug *
export LEVEL=no
 LEVEL = info \x20
""",
        },
        [
            [
                "/usr/local/bin/exporter",
                "--web.listen-address=:9100",
                "--collector.filesystem.ignored-mount-points=^/(sys|proc|dev)($|/)",
                "--path.rootfs=/",
                "--log.format=json",
                "--log.level=debug",
                "*",
                "info",
                "--unset=",
            ]
        ],
        {**BASE, "ARGS": "--log.format=json --log.level=debug *", "LEVEL": "info"},
    ),
    Case(
        "java.service",
        {
            "java.service": """\
[Service]
Type=simple
Environment=JAVA_OPTS="-Xms512m -Xmx1g -Djava.awt.headless=true"
Environment='CATALINA_OPTS=-Dmsg="two words" -XX:+UseG1GC' 'EMPTY='
ExecStart=/usr/bin/java $JAVA_OPTS $CATALINA_OPTS "-Dx=${JAVA_OPTS}" $EMPTY \\
    -jar /opt/a\\x20b/app.jar --quote="it's" --re=a\\.b 'c:\\\\d' $$HOME %%d
SuccessExitStatus=143 SIGKILL TEMPFAIL
Restart=on-failure
TimeoutStartSec=10
OOMScoreAdjust=-500
WorkingDirectory=/tmp
User=games
""",
        },
        [
            [
                "/usr/bin/java",
                "-Xms512m",
                "-Xmx1g",
                "-Djava.awt.headless=true",
                "-Dmsg=two words",
                "-XX:+UseG1GC",
                "-Dx=-Xms512m -Xmx1g -Djava.awt.headless=true",
                "-jar",
                "/opt/a b/app.jar",
                "--quote=it's",
                "--re=a\\.b",
                "c:\\d",
                "$HOME",
                "%d",
            ]
        ],
        {
            **BASE,
            "JAVA_OPTS": "-Xms512m -Xmx1g -Djava.awt.headless=true",
            "CATALINA_OPTS": '-Dmsg="two words" -XX:+UseG1GC',
            "EMPTY": "",
        },
        directory="/tmp",
    ),
    Case(
        "web@8001.service",
        {
            "web@.service": """\
[Unit]
Description=Web %i of %p
PartOf=web.target
After=cache.service
Requires=cache.service
[Service]
Environment=PORT=%i WORKDIR=%t/web/%I
WorkingDirectory=-/usr/share
ExecStart=/srv/web/bin/server -b 127.0.0.1:${PORT} -w %n $WORKDIR "a;b" ;\x20
WatchdogSec=30
Type=notify
NotifyAccess=all
[Install]
WantedBy=multi-user.target
""",
            "web@.service.d/20-env.conf": """\
[Service]
Environment=MODE=template
Nice=5
""",
            "web@8001.service.d/10-first.conf": """\
[Service]
Environment=MODE=instance EXTRA=1
Environment="PORT=9%i"
""",
        },
        [["/srv/web/bin/server", "-b", "127.0.0.1:98001", "-w", "web@8001.service", "/run/web/8001", "a;b"]],
        {**BASE, "PORT": "98001", "WORKDIR": "/run/web/8001", "MODE": "template", "EXTRA": "1"},
        directory="/usr/share",
    ),
    Case(
        "setup.service",
        {
            "setup.service": """\
[Unit]
Description=Several steps
ConditionPathExists=!/nowhere/at/all
Before=proxy.service
[Service]
Type=oneshot
RemainAfterExit=yes
Environment=A="x y" "B=1 2"
ExecStart=-/bin/false
ExecStart=/sbin/step one '$A' $B "${B}" ; /sbin/step two; three
ExecStartPost=/sbin/step four
ExecStop=/sbin/undo
UnsetEnvironment=LANG
[Install]
WantedBy=multi-user.target
""",
        },
        [
            ["/bin/false"],
            ["/sbin/step", "one", "x", "y", "1", "2", "1 2"],
            ["/sbin/step", "two;", "three"],
            ["/sbin/step", "four"],
        ],
        {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A": "x y", "B": "1 2"},
    ),
    Case(
        "dynamic.service",
        {
            "dynamic.service": """\
[Service]
DynamicUser=yes
ExecStart=:/usr/bin/dyn $HOME ${X} 'a b'
Environment=X=1
StateDirectory=dyn dyn/cache
CacheDirectory=dyn
ProtectHome=true
AmbientCapabilities=CAP_NET_BIND_SERVICE
""",
        },
        [["/usr/bin/dyn", "$HOME", "${X}", "a b"]],
        {**BASE, "STATE_DIRECTORY": "/var/lib/dyn:/var/lib/dyn/cache", "CACHE_DIRECTORY": "/var/cache/dyn", "X": "1"},
    ),
    Case(
        "at.service",
        {
            "at.service": """\
[Service]
ExecStart=-@/usr/bin/at0 other-name first $$ %j %N
ExecStart=
ExecStart=@/usr/bin/at0 other second \\
   $PATH  ${LANG}
Environment=A=1
Environment=
Environment=B=2
Group=daemon
LimitCORE=infinity
LimitNPROC=100:200
LimitCPU=1min
LimitNICE=+1
LimitRTTIME=5s
""",
        },
        [["/usr/bin/at0", "second", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "C.UTF-8"]],
        {**BASE, "B": "2"},
    ),
    Case(
        "late.service",
        {
            "late.service": """\
[Service]
EnvironmentFile=-@HERE@/absent
ExecStart=/usr/bin/late $OPTS --key=${KEY} x$OPTS
Restart=on-abnormal
RestartPreventExitStatus=1 CONFIG
""",
        },
        [["/usr/bin/late", "--key=", "x$OPTS"]],
        BASE,
    ),
    Case(
        "odd.service",
        {
            "odd.service": """\
[Service]
EnvironmentFile=@HERE@/odd
Environment=Z=1
ExecStart=/usr/bin/odd $D "${M}" ${Q}
""",
            "odd": """\
A=a b # c
B = "x y" z\x20
D=q\\ r\\
  s
M="l1
l2 \\$HOME \\n \\""
Q='si ng'"dou"b
;no=1
# c \\
G=hidden
H=
I=a"b c"d
junk
""",
        },
        [["/usr/bin/odd", "q", "r", "s", 'l1\nl2 $HOME \\n "', "si ngdoub"]],
        {
            **BASE,
            "Z": "1",
            "A": "a b # c",
            "B": "x yz",
            "D": "q r  s",
            "M": 'l1\nl2 $HOME \\n "',
            "Q": "si ngdoub",
            "H": "",
            "I": 'a"b c"d',
        },
    ),
    Case(
        "shell.service",
        {
            "shell.service": """\
[Unit]
Description=Object store
AssertFileIsExecutable=/bin/sh
[Service]
WorkingDirectory=/usr/local
User=www-data
ProtectProc=invisible
EnvironmentFile=-@HERE@/volumes
ExecStartPre=/bin/sh -c "if [ -z \\"${VOLUMES}\\" ]; then echo \\"no VOLUMES\\"; exit 1; fi"
ExecStartPre=-+/srv/none/missing --flag
ExecStart=/bin/sh -c 'exec /usr/bin/late "$$0" $OPTS $VOLUMES; x=$${VOLUMES}' "${OPTS}"
LimitNOFILE=65536
TasksMax=infinity
TimeoutStopSec=infinity
SendSIGKILL=no
Restart=always
""",
            "volumes": """\
# where it keeps data
VOLUMES=http://node{1...4}/data
OPTS=--console-address :9001
""",
        },
        [
            ["/bin/sh", "-c", 'if [ -z "http://node{1...4}/data" ]; then echo "no VOLUMES"; exit 1; fi'],
            ["/srv/none/missing", "--flag"],
            ["/bin/sh", "-c", 'exec /usr/bin/late "$0" $OPTS $VOLUMES; x=${VOLUMES}', "--console-address :9001"],
        ],
        {**BASE, "VOLUMES": "http://node{1...4}/data", "OPTS": "--console-address :9001"},
        directory="/usr/local",
    ),
    Case(
        "spec@x\\x2dy-z.service",
        {
            "spec@.service": """\
[Service]
User=www-data
ExecStart=/usr/bin/spec %n %N %p %P %i %I %j %J %t %S %C %L %E %h %u %U %g %G %T %V %H %l %v %f %%i 100%
RuntimeDirectory=a b/c
StateDirectory=st
LogsDirectory=lo
ConfigurationDirectory=co
Environment=I=%i "J=%I and %%"
""",
        },
        [
            [
                "/usr/bin/spec",
                "spec@x\\x2dy-z.service",
                "spec@x\\x2dy-z",
                "spec",
                "spec",
                "x\\x2dy-z",
                "x-y/z",
                "spec",
                "spec",
                "/run",
                "/var/lib",
                "/var/cache",
                "/var/log",
                "/etc",
                "/root",
                "root",
                "0",
                "root",
                "0",
                "/tmp",
                "/var/tmp",
                "vm",
                "vm",
                "6.18.44-fc-v669",
                "/x-y/z",
                "%i",
                "100%",
            ]
        ],
        {
            **BASE,
            "RUNTIME_DIRECTORY": "/run/a:/run/b/c",
            "STATE_DIRECTORY": "/var/lib/st",
            "LOGS_DIRECTORY": "/var/log/lo",
            "CONFIGURATION_DIRECTORY": "/etc/co",
            "I": "x\\x2dy-z",
            "J": "x-y/z and %",
        },
    ),
    Case(
        "several.service",
        {
            "several.service": """\
[Service]
Environment=A=unit B=unit C=unit
EnvironmentFile=@HERE@/one
EnvironmentFile=@HERE@/*.list
EnvironmentFile=-@HERE@/none-*
PassEnvironment=LANG NOT_THERE
UnsetEnvironment=C GONE=1
ExecStart=/usr/bin/several ${A} ${B} ${C} $D ${GONE}
""",
            "a.list": """\
A=first
""",
            "b.list": """\
B=two
A="two a"
""",
            "one": """\
A=one
D=from one
E="with # hash"
GONE=1
""",
        },
        [["/usr/bin/several", "two a", "two", "", "from", "one", ""]],
        {**BASE, "A": "two a", "B": "two", "D": "from one", "E": "with # hash"},
    ),
    Case(
        "a-b-c.service",
        {
            "a-b-c.service": """\
[Service]
ExecStart=/usr/bin/chain $WHO ${LAST}
Environment=WHO=unit
Environment=LAST=unit
""",
            "a-b-c.service.d/60-z.conf": """\
[Service]
ExecStart=
ExecStart=/usr/bin/chain again $WHO
""",
            "a-b-c.service.d/70-not.txt": """\
[Service]
Environment=NO=1
""",
            "a-.service.d/50-x.conf": """\
[Service]
Environment=WHO=a LAST=a
Nice=1
""",
            "a-b-.service.d/10-y.conf": """\
[Service]
Environment=EARLY=1
""",
            "a-b-.service.d/50-x.conf": """\
[Service]
Environment=WHO=ab
UMask=0077
""",
        },
        [["/usr/bin/chain", "again", "ab"]],
        {**BASE, "WHO": "ab", "LAST": "unit", "EARLY": "1"},
        umask=0o77,
    ),
    Case(
        "quoting.service",
        {
            "quoting.service": """\
[Service]
Environment="V='a b' c" "W=x\\"y z" 'K=p\\\\ q' L=a\\x20\\x5cb "Q=a\\"b c\\"d" D="q r" F='s'"t"
ExecStart=/usr/bin/quoting $V $W ${V} $K \\
  50% "% z" \\u00e9 \\101 $L $Q foo"a b"bar 'c d'e \\x20 \\t \\' \\" \\\\ \\$ $$ \\
   # not this
; nor this
   $A/x x$D ${D} y${D}z $NO ${A:-d} "$D" '$D' $ ${ $$A a$$b \\; "" ${} $1 $D-$Q ${D}$D $D${D} b\\\\
   c
""",
        },
        [
            [
                "/usr/bin/quoting",
                "a b",
                "c",
                "xy z",
                "'a b' c",
                "p q",
                "50%",
                "% z",
                "é",
                "A",
                "a",
                "b",
                "ab cd",
                "fooa bbar",
                "c de",
                " ",
                "\t",
                "'",
                '"',
                "\\",
                "\\$",
                "$",
                "x$D",
                "q r",
                "yq rz",
                "${A:-d}",
                "q",
                "r",
                "q",
                "r",
                "${",
                "$A",
                "a$b",
                ";",
                "",
                "",
                "q r$D",
                "b\\",
            ]
        ],
        {**BASE, "V": "'a b' c", "W": 'x"y z', "K": "p\\ q", "L": "a \\b", "Q": 'a"b c"d', "D": "q r", "F": "st"},
    ),
    Case(
        "caps.service",
        {
            "caps.service": """\
[Service]
User=www-data
CapabilityBoundingSet=~CAP_SYS_ADMIN CAP_NET_RAW
CapabilityBoundingSet=~CAP_CHOWN
AmbientCapabilities=CAP_NET_BIND_SERVICE
AmbientCapabilities=CAP_KILL
SupplementaryGroups=games
NoNewPrivileges=on
WorkingDirectory=~
ExecStart=/usr/bin/caps
""",
        },
        [["/usr/bin/caps"]],
        BASE,
        directory="/var/www",
    ),
    Case(
        "bare.service",
        {
            "bare.service": """\
[Service]
ExecStart=env -i A=1 /usr/bin/bare x
Environment=PATH=/usr/bin:/bin
ExecStop=/bin/kill -INT $MAINPID
KillSignal=SIGCONT
""",
        },
        [["env", "-i", "A=1", "/usr/bin/bare", "x"]],
        {**BASE, "PATH": "/usr/bin:/bin"},
    ),
    Case(
        "blog.service",
        {
            "blog.service": """\
[Unit]
Requires=blog.socket
After=network.target
[Service]
Type=notify
NotifyAccess=main
User=www-data
RuntimeDirectory=blog
WorkingDirectory=/usr/share
ExecStart=/usr/bin/blog --workers 3 blog.wsgi
ExecReload=/bin/kill -s HUP $MAINPID
KillMode=mixed
TimeoutStopSec=5
PrivateTmp=true
""",
            "blog.socket": """\
[Unit]
Description=blog socket
[Socket]
ListenStream=/run/blog.sock
SocketUser=www-data
[Install]
WantedBy=sockets.target
""",
        },
        [["/usr/bin/blog", "--workers", "3", "blog.wsgi"]],
        {**BASE, "RUNTIME_DIRECTORY": "/run/blog"},
        directory="/usr/share",
    ),
]
