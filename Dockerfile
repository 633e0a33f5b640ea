# The image of the suite. Build it with `docker build .`. tests/real/test_image.py runs the steps of the
# first stage.
# Both stages have the same base, because the interpreter of the environment is a link to it.
FROM python:3.12.14-slim-bookworm@sha256:0f5b26b9518d002b6173fd61daad821fa340635ebfec5bba471013f9ca114579 AS build

# pip installs uv, which installs the rest within seconds. Only the suite itself is built.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all: \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_BUILD=1 \
    UV_NO_CACHE=1
WORKDIR /src

# What rarely changes comes first, so that a change of the code builds within seconds.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/build && \
    python -m venv --without-pip /opt/venv && \
    python -m pip --python /opt/build install --require-hashes -r requirements-build.lock && \
    /opt/build/bin/uv pip install --python /opt/venv --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY cmd cmd
COPY controllers controllers
RUN /opt/build/bin/python -m hatchling build -t wheel -d /dist && \
    /opt/build/bin/uv pip install --python /opt/venv --no-deps --no-index /dist/*.whl

FROM python:3.12.14-slim-bookworm@sha256:0f5b26b9518d002b6173fd61daad821fa340635ebfec5bba471013f9ca114579

# A running container needs no installer.
RUN rm -rf /usr/local/lib/python3.12/site-packages/* /usr/local/lib/python3.12/ensurepip \
    /usr/local/bin/pip* /root/.cache
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# A numeric user, so that Kubernetes can verify that it is not root. The user need not exist.
USER 65532:65532
WORKDIR /
EXPOSE 8080
ENTRYPOINT ["profiles-controller"]

ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=""
LABEL org.opencontainers.image.title="profiles-controller" \
    org.opencontainers.image.description="Kubernetes controllers for Kubeflow Profiles and their namespaces" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="docker.io/library/python:3.12.14-slim-bookworm" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION" \
    org.opencontainers.image.created="$CREATED" \
    org.opencontainers.image.source="$SOURCE"
