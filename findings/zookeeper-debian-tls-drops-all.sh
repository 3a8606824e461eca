#!/usr/bin/env bash
# Debian's ZooKeeper opens its TLS port, and then drops every connection: two jars are missing in its class path.
#
# One would expect that a server that starts with secureClientPort, and listens there, serves TLS: the package depends on
# libnetty-java, and zookeeper.jar names the netty jars in its manifest.  But netty-codec.jar and netty-resolver.jar are
# not among them.  The server starts without an error; the class that is missing is needed only by the first connection
# (NoClassDefFoundError: io.netty.handler.codec.ByteToMessageDecoder), which is then closed within the handshake.  And
# since the package has no binding for slf4j in the class path either, nothing is logged.  A client sees "unexpected EOF"
# and looks for the fault in its certificates.  The same connections are dropped on the plain port of such a server,
# where serverCnxnFactory is NettyServerCnxnFactory.  With both jars in the class path all is well.
#
# Seen 2026-11-30 with zookeeper 3.8.0-11+deb12u2 and libnetty-java 4.1.48 (Debian 12), openssl 3.0.
# It matters for all who turn TLS on for a packaged ZooKeeper.
set -euo pipefail
java=/usr/share/java
[ -e $java/zookeeper.jar ] || { echo "needs Debian's zookeeper: apt-get install zookeeper" >&2; exit 2; }
place=$(mktemp -d)
server=""
trap '{ [ -z "$server" ] || { kill -9 "$server" && wait "$server"; }; } 2>/dev/null; rm -rf "$place"' EXIT
read -r plain secure < <(python3 -c '
import socket
doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(door.getsockname()[1] for door in doors))')
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$place/key" -out "$place/crt" 2>/dev/null
cat "$place/key" "$place/crt" >"$place/server.pem"
printf '%s\n' tickTime=2000 "dataDir=$place/data" "clientPort=$plain" clientPortAddress=127.0.0.1 \
    admin.enableServer=false "secureClientPort=$secure" secureClientPortAddress=127.0.0.1 \
    serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory ssl.clientAuth=none \
    "ssl.keyStore.location=$place/server.pem" ssl.keyStore.type=PEM \
    "ssl.trustStore.location=$place/crt" ssl.trustStore.type=PEM >"$place/zoo.cfg"
open() { (exec 3<>"/dev/tcp/127.0.0.1/$secure") 2>/dev/null; }
shaken() {  # whether a handshake comes to its end, with these jars in the class path
    mkdir -p "$place/data"
    java -Xmx64m -cp "$1" org.apache.zookeeper.server.quorum.QuorumPeerMain "$place/zoo.cfg" >"$place/log" 2>&1 &
    server=$!
    for _ in $(seq 300); do open && break || sleep 0.2; done
    open || { echo "the server does not listen: $(tail -3 "$place/log")" >&2; exit 2; }
    found=no
    openssl s_client -connect "127.0.0.1:$secure" -CAfile "$place/crt" -brief </dev/null >"$place/client" 2>&1 && found=yes
    { kill -9 "$server" && wait "$server"; } 2>/dev/null || true
    server=""
    echo "$found"
}
packaged=$(shaken $java/zookeeper.jar)
more=$(shaken $java/zookeeper.jar:$java/netty-codec.jar:$java/netty-resolver.jar)
echo "TLS with the package as it is: $packaged; with netty-codec.jar and netty-resolver.jar: $more" >&2
[ "$packaged" = no ] || { echo "changed: the package serves TLS as it is" >&2; exit 1; }
[ "$more" = yes ] || { echo "changed: the two jars are not enough" >&2; exit 1; }
