"""What is removed from a command line, and what is not."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.text.redact import HIDDEN, text_without_secrets, without_secrets

S = "hunt3rs-2nd"
"""The secret of the examples.  It must not be left in any of them."""

HIDE = [
    # a value that follows its option
    (f"app --password {S} --port 80", "app --password *** --port 80"),
    (f"app -token {S}", "app -token ***"),
    (f"app --auth {S}", "app --auth ***"),
    (f"app --pass {S}", "app --pass ***"),
    (f"app --pwd {S}", "app --pwd ***"),
    (f"app --pw {S}", "app --pw ***"),
    (f"app --access-key {S}", "app --access-key ***"),
    (f"app --accessKey {S}", "app --accessKey ***"),
    (f"app --jwt {S} run", "app --jwt *** run"),
    (f"app --client-secret {S}", "app --client-secret ***"),
    (f"app --db.password {S}", "app --db.password ***"),
    (f"app --basic-auth admin:{S}", "app --basic-auth ***"),
    (f"app --password -{S}", "app --password ***"),
    (f"redis-server --requirepass {S} --save", "redis-server --requirepass *** --save"),
    (f"redis-server requirepass {S}", "redis-server requirepass ***"),
    (f"/usr/bin/redis-cli -a {S} ping", "/usr/bin/redis-cli -a *** ping"),
    (f"sshpass -p {S} ssh host -p 22", "sshpass -p *** ssh host -p ***"),
    (f"openssl rsa -passin pass:{S}", "openssl rsa -passin ***"),
    # a value glued to its option
    (f"app --db-password={S} -v", "app --db-password=*** -v"),
    (f"app --token={S}", "app --token=***"),
    (f"app --auth={S}", "app --auth=***"),
    (f"app --jwt={S}", "app --jwt=***"),
    (f"app --access_key={S}", "app --access_key=***"),
    ("app --private-key=/etc/x.pem", "app --private-key=***"),
    (f"mysql -p{S} db", "mysql -p*** db"),
    ("mysqldump -pbanana db", "mysqldump -p*** db"),
    (f"app -p{S}", "app -p***"),
    (f"java -Ddb.password={S} -jar x", "java -Ddb.password=*** -jar x"),
    (f"ssh -oPassword={S}", "ssh -oPassword=***"),
    # variables
    (f"app API_KEY={S}", "app API_KEY=***"),
    (f"env PGPASSWORD={S} MYSQL_PWD={S} psql", "env PGPASSWORD=*** MYSQL_PWD=*** psql"),
    (f"docker run -e DB_PASSWORD={S} --env=TOKEN={S} x", "docker run -e DB_PASSWORD=*** --env=TOKEN=*** x"),
    (f"helm --set db.password={S},replicas=2", "helm --set db.password=***"),
    (f"helm --set replicas=2,db.password={S}", "helm --set replicas=2,db.password=***"),
    # users
    (f"curl -u admin:{S} http://h/", "curl -u admin:*** http://h/"),
    (f"curl -uadmin:{S} http://h/", "curl -uadmin:*** http://h/"),
    (f"curl --user admin:{S}", "curl --user admin:***"),
    (f"curl --user=admin:{S}", "curl --user=admin:***"),
    (f"curl --proxy-user=admin:{S}", "curl --proxy-user=admin:***"),
    (f"smbclient -U admin%{S}", "smbclient -U admin%***"),
    # headers
    (f"curl -H 'Authorization: Bearer {S}'", "curl -H 'Authorization: Bearer ***'"),
    (f"curl '-HAuthorization: Basic {S}'", "curl '-HAuthorization: Basic ***'"),
    (f"curl '--header=X-Api-Key: {S}'", "curl '--header=X-Api-Key: ***'"),
    (f"curl -H 'Cookie: session={S}; x={S}'", "curl -H 'Cookie: ***'"),
    (f"curl -H X-Auth-Token:{S}", "curl -H 'X-Auth-Token:***'"),
    # URLs
    (f"psql postgres://app:{S}@db/x?y=1", "psql 'postgres://app:***@db/x?y=1'"),
    (f"app redis://:{S}@db/0", "app 'redis://:***@db/0'"),
    (f"app amqp://u:a@{S}@db/0", "app 'amqp://u:***@db/0'"),
    (f"app --dsn=postgres://app:{S}@db/x", "app '--dsn=postgres://app:***@db/x'"),
    (f"app 'https://h/x?a=1&api_key={S}&b=2'", "app 'https://h/x?a=1&api_key=***&b=2'"),
    (f"app 'https://h/x?key={S}#top'", "app 'https://h/x?key=***#top'"),
    (f"app 'https://h/x?X-Amz-Signature={S}'", "app 'https://h/x?X-Amz-Signature=***'"),
    (f"git clone https://{S}@host/x.git", "git clone https://***@host/x.git"),
    ("git clone https://TOKEN@host/x.git", "git clone https://***@host/x.git"),
    (f"pip install git+https://{S}@host/x", "pip install git+https://***@host/x"),
    (f"git clone HTTPS://{S}:x-oauth-basic@host/x", "git clone HTTPS://***:***@host/x"),
    (f"git clone https://{S}:@host/x", "git clone https://***:***@host/x"),
    ("git clone https://abcdefghijklmnopqrstuvwx@host/x", "git clone https://***@host/x"),
    (f"sh -c 'git fetch https://{S}@host/x && make'", "sh -c 'git fetch https://***@host/x && make'"),
    # the beginning of an option
    (f"app --tok {S}", "app --tok ***"),
    (f"app --tok={S} -v", "app --tok=*** -v"),
    (f"app --passw {S} --api-toke {S}", "app --passw *** --api-toke ***"),
    (f"app --client-secr {S} --cred {S}", "app --client-secr *** --cred ***"),
    # strings of several words
    (f"sh -c 'exec app --password {S} --port 80'", "sh -c 'exec app --password *** --port 80'"),
    (f"sh -c 'TOKEN={S} app; x'", "sh -c 'TOKEN=*** app; x'"),
    (f"sh -c 'app --token={S}&& b'", "sh -c 'app --token=***&& b'"),
    (f"""sh -c 'curl -H "Authorization: Bearer {S}" h'""", """sh -c 'curl -H "Authorization: Bearer ***" h'"""),
    (f"sh -c 'mysql -p{S} | cat'", "sh -c 'mysql -p*** | cat'"),
    (f"""bash -lc "sh -c 'app --pass {S}'" """, """bash -lc "sh -c 'app --pass ***'" """),
    (f"""python -c "connect(password='{S}', port=1)" """, """python -c "connect(password=*** port=1)" """),
    (f"app 'host=db password={S} user=x'", "app 'host=db password=*** user=x'"),
    (f"app 'Server=db;Password={S};Uid=x'", "app 'Server=db;Password=***;Uid=x'"),
    (f"""mysql -e "CREATE USER x IDENTIFIED BY '{S}'" """, """mysql -e "CREATE USER x IDENTIFIED BY '***'" """),
    (f"curl -d 'user=x&password={S}'", "curl -d 'user=x&password=***'"),
    (f"echo 'it is Bearer {S}'", "echo 'it is Bearer ***'"),
    # JSON
    (f"""app '{{"user":"x","password":"{S}"}}'""", """app '{"user":"x","password":"***"}'"""),
    (f"""app '{{"apiKey": "{S}", "n": 1}}'""", """app '{"apiKey": "***", "n": 1}'"""),
    (f"""app '--config={{"auth":{{"token":"{S}"}}}}'""", """app '--config={"auth":{"token":"***"}}'"""),
    (f"""sh -c 'app "{{\\"token\\":\\"{S}\\"}}"'""", """sh -c 'app "{\\"token\\":\\"***\\"}"'"""),
    (f"""app '{{"tokens": ["a", "{S}"], "pin": 12{S}}}'""", """app '{"tokens": ***, "pin": ***}'"""),
    (f"""app "{{'password': '{S}'}}" """, """app "{'password': '***'}" """),
    (f"app password:{S} --token:{S} /password:{S}", "app password:*** --token:*** /password:***"),
    (f"app 'AccountName=x;AccountKey={S}==;y=z'", "app 'AccountName=x;AccountKey=***;y=z'"),
    # keys of a known form
    ("app ghp_0123456789abcdefABCDEF0123456789abcd", "app ***"),
    ("app AKIAABCDEFGHIJKLMNOP", "app ***"),
    ("app eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "app ***"),
]  # fmt: skip

SHOW = [
    "app --token --verbose",
    "mongod --auth -f /etc/mongod.conf",
    "curl https://hunter@host/ http://Host1:8080/a@b https://git.x/~u@v1",
    "git clone 'https://${GIT_TOKEN}@host/x' 'https://$TOKEN@host/x' ssh://git2@host/x",
    "app --toks 5 --tokenizer x --secs 5 --passes 3 --credit 4",
    "app --monkey banana key=value --turkey 3",
    "app --author me --authority x --keyboard us --compass north --bypass yes --passive on",
    "app --password-file /run/secrets/x --token-file=/run/t --auth-type basic --token-ttl 5m",
    "app --max-tokens 4096 --tokenizer bpe --no-auth run --pass-through x",
    "app --ssl-key /etc/k.pem --key=/etc/k.pem --client-key k.pem",
    "find . -path ./x -print -perm 644 -prune",
    "docker run -p8080:80 -p127.0.0.1:80:80 -p 80:80 --user 1000:1000 -u 33:33 nginx:1.27",
    "gunicorn -u www-data -w 4 app:app",
    "uvicorn app.main:app --host 0.0.0.0 --port 8000",
    "java -Xmx512m -Dport=80 -cp a:b",
    "sh -c 'cd /srv && exec app --port 80 2>&1 | tee \"log file\"'",
    "sh -c 'app --token \"$TOKEN\" --password=${PASSWORD}'",
    "env PWD=/srv OLDPWD=/ LANG=C app",
    "sh -c 'app code=7 session=main key=name'",
    "curl -H 'Accept: text/html' -H 'Host: x' 'http://h/?q=a&page=2'",
    """app '{"user":"x","count":3}'""",
    "rsync -av host:/srv/ ./srv -e 'ssh -p 2222'",
    "ssh -p 22 -i /root/.ssh/id host",
    "redis-server --port 6379 --save '' --appendonly no",
    "python3 -u -m app.worker --queue high:low",
    "celery -A proj inspect ping -d celery@host",
    "echo 'a basic authentication is here; the token is elsewhere'",
]  # fmt: skip


@pytest.mark.parametrize(("words", "shown"), HIDE)
def test_what_looks_like_a_secret_is_hidden(words: str, shown: str) -> None:
    found = without_secrets(shlex.split(words))
    assert found == shlex.split(shown)
    assert S not in " ".join(found)


@pytest.mark.parametrize("words", SHOW)
def test_what_is_none_stays(words: str) -> None:
    assert without_secrets(shlex.split(words)) == shlex.split(words)


def test_a_text_is_judged_as_a_word_is() -> None:
    assert text_without_secrets(f"http://u:{S}@h/x?token={S} refused") == "http://u:***@h/x?token=*** refused"


def test_strings_within_strings_end_somewhere_and_hide_what_follows_a_name() -> None:
    text = f"--token={S}"
    for _ in range(8):
        text = f"sh -c {shlex.quote(text)}"
    assert S not in text_without_secrets(text)
    assert text_without_secrets(f"a=b=token={S}") == f"a=b=token={HIDDEN}"
    assert S not in text_without_secrets(f"a=b=c=d=e=f=g=token={S}")


def test_a_word_without_end_is_cut() -> None:
    (shown,) = without_secrets(["-" * 9 + "a" * 9_000_000])
    assert len(shown) == 4097


@given(st.lists(st.text(), max_size=20))
def test_no_word_is_lost(words: list[str]) -> None:
    assert len(without_secrets(words)) == len(words)


@given(
    st.lists(st.sampled_from(["--token", "sh", "-c", "'", '"', "\\", "{", ":", "=", " ", "&", S, "$X"]), max_size=12)
)
def test_anything_can_be_read(parts: list[str]) -> None:
    assert isinstance(text_without_secrets("".join(parts)), str)
