#!/usr/bin/env bash
# PM2's `filter_env` of one application takes the variable from every application that stands after it, too.
#
# One would expect that a key of an application concerns that application.  But PM2 deletes the variable from the
# environment that it gives to all applications of the file, while it works through them: those before still have it,
# those after do not, and a change of order changes who gets it.
#
# Seen 2026-11-29 with pm2 7.0.4 from npm and node 20: "before here", "filtered none", "after none".
# It matters for files in which one application is kept from a credential: the next one loses it without a word.
set -euo pipefail
command -v npm >/dev/null || { echo "npm is needed" >&2; exit 2; }
place=$(mktemp -d)
export PM2_HOME="$place/home" OUT="$place/out" SHARED_WORD=here
trap '"$place/node_modules/.bin/pm2" kill >/dev/null 2>&1 || true; rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-fund --no-audit pm2@7.0.4 >/dev/null

cat >told.js <<'JAVASCRIPT'
const word = process.env.SHARED_WORD || "none";
require("fs").appendFileSync(process.env.OUT, `${process.argv[2]} ${word}\n`);
setInterval(() => {}, 1000);
JAVASCRIPT
cat >ecosystem.json <<'JSON'
{"apps": [
  {"name": "before", "script": "./told.js", "args": "before"},
  {"name": "filtered", "script": "./told.js", "args": "filtered", "filter_env": "SHARED_WORD"},
  {"name": "after", "script": "./told.js", "args": "after"}
]}
JSON
node_modules/.bin/pm2 start ecosystem.json >/dev/null
for _ in $(seq 200); do
    [ -e "$OUT" ] && [ "$(wc -l <"$OUT")" = 3 ] && break
    sleep 0.1
done
sort "$OUT"
[ "$(sort "$OUT" | tr '\n' ' ')" = "after none before here filtered none " ] || { echo "changed" >&2; exit 1; }
