"""Compose files as they stand in public projects, in words of their own, with what is hard in them kept."""

FILES = {
    "an application, its database and a health check": """\
version: "3.8"
services:
  web:
    build: .
    command: gunicorn app.wsgi:application --bind 0.0.0.0:8000 --workers ${WORKERS:-4}
    ports: ["8000:8000"]
    env_file: [.env]
    environment:
      - DATABASE_URL=postgres://app:${DB_PASSWORD:-app}@db:5432/app
      - DEBUG
    depends_on:
      db: {condition: service_healthy}
  db:
    image: postgres:15
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U $$POSTGRES_USER"]
      interval: 10s
      retries: 5
""",
    "workers that share a block by an anchor": """\
x-app: &app
  image: registry.example/app:1
  environment: &env
    QUEUE: default
    LEVEL: info
  restart: unless-stopped
services:
  worker:
    <<: *app
    command: celery -A app worker -l info --concurrency=2
    environment: {<<: *env, QUEUE: mails}
  beat:
    <<: *app
    command: ["celery", "-A", "app", "beat", "--schedule", "/tmp/beat db"]
    stop_grace_period: 1m30s
""",
    "a shell that waits and then runs": """\
services:
  api:
    image: node:20
    working_dir: /srv
    command: >
      sh -c "until nc -z db 5432; do sleep 1; done;
      exec node server.js --port $${PORT:-3000}"
    environment: {PORT: 3000, NODE_ENV: production, EMPTY: ""}
    stop_signal: SIGINT
""",
    "a migration that ends before the rest begins": """\
services:
  migrate:
    image: app
    command: ["python", "manage.py", "migrate", "--noinput"]
    restart: on-failure:3
  web:
    image: app
    command: python manage.py runserver 0.0.0.0:8000
    restart: always
    depends_on:
      migrate: {condition: service_completed_successfully}
""",
    "an entrypoint with arguments in the command": """\
services:
  proxy:
    image: traefik:v3
    entrypoint: /entrypoint.sh traefik
    command:
      - --providers.file.filename=/etc/traefik/d.yml
      - --accesslog=true
      - "--entrypoints.web.address=:80"
    stop_grace_period: 0s
""",
    "values that YAML takes for something else": """\
services:
  odd:
    image: x
    command: [run, "yes", "0o17", "1e3", "null"]
    environment:
      A: "true"
      B: "012"
      C: 1.5
      D: "a # b"
      E: 'it''s'
      F: |
        two
        lines
    restart: "no"
""",
    "quotes and dollars": """\
services:
  quoted:
    image: x
    command: run --title "two words" --re 'a\\.b$$' --cost $$5 --empty "" tail
    environment:
      - GREETING=hello "world"
      - PATTERN=^(a|b)$$
""",
    "a queue with a long stop": """\
services:
  queue:
    image: php:8
    command: php artisan queue:work --sleep=3 --tries=3 --max-time=3600
    stop_signal: SIGQUIT
    stop_grace_period: 2m
    restart: always
    healthcheck: {disable: true}
""",
    "copies of one service": """\
services:
  worker:
    image: x
    command: ["bin/worker"]
    deploy: {replicas: 3}
    environment: {QUEUE: a}
""",
    "a cache with its own command": """\
services:
  cache:
    image: redis:7
    command: redis-server --save "" --appendonly no --requirepass ${CACHE_PASSWORD:-none}
    healthcheck:
      test: ["CMD", "redis-cli", "ping"]
      interval: 1s
      timeout: 3s
      retries: 30
""",
    "defaults of the environment": """\
services:
  app:
    image: ${IMAGE:-app}:${TAG:-latest}
    command: serve --host ${HOST:-0.0.0.0} --level=${LEVEL-info} --name ${NAME:-a b}
    environment:
      MODE: ${MODE:-dev}
      URL: http://${HOST:-localhost}:${PORT:-80}/?a=1&b=2
""",
    "a service that is started by hand": """\
services:
  app:
    image: x
    command: serve
  shell:
    image: x
    profiles: [debug]
    command: bash -i
    user: "1000:1000"
""",
}
