# The inspection service. Triton, Redis and the rest are their own images: docker-compose.yml.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /opt/inspector
RUN python3 -m venv .venv
COPY requirements.lock ./
RUN .venv/bin/pip install --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY inspector inspector
# Editable, as everywhere else: the service finds config/ and model_repository/ beside its code.
RUN .venv/bin/pip install --no-index --no-deps --no-build-isolation --editable .

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 inspector \
    && useradd --uid 10001 --gid inspector --no-create-home --home-dir /var/lib/inspector \
       --shell /usr/sbin/nologin inspector \
    && install -d -o inspector -g inspector -m 0750 /var/lib/inspector
WORKDIR /opt/inspector
COPY --from=build /opt/inspector /opt/inspector
COPY config config
ENV PATH=/opt/inspector/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/var/lib/inspector
USER 10001:10001
VOLUME /var/lib/inspector
EXPOSE 8090
# Healthy: verdicts keep up with frames, and every camera and the model have worked since the start.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import json, urllib.request as u; assert json.load(u.urlopen('http://127.0.0.1:8090/healthz', timeout=4))['has_been_ready']"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["inspector"]
CMD ["run", "--config", "/etc/inspector/inspector.toml"]
