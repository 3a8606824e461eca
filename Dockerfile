# An image whose first process is the supervisor: docs/container.md.
#   docker build -t phi-supervisor .
#   docker run --rm phi-supervisor demo --for 30s
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
COPY . /usr/src/phi-supervisor
RUN python3 -m venv /opt/supervisor \
    && /opt/supervisor/bin/python -m pip install --no-cache-dir "/usr/src/phi-supervisor[stacks]" \
    && /opt/supervisor/bin/python -m pip uninstall -q -y pip

FROM ${PYTHON}
COPY --from=build /opt/supervisor /opt/supervisor
RUN groupadd --gid 10001 app && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /srv/app app \
    && install -d -o app -g app -m 0750 /srv/app /run/app /var/lib/app
ENV PATH=/opt/supervisor/bin:$PATH XDG_RUNTIME_DIR=/run/app XDG_STATE_HOME=/var/lib/app PYTHONDONTWRITEBYTECODE=1
USER app
WORKDIR /srv/app
STOPSIGNAL SIGTERM
ENTRYPOINT ["supervisor"]
CMD ["run", "-f", "services.toml"]
