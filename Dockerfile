# The service in a container: docs/how-to/container.md says how to run it, and
# container/prove.sh runs these steps where there is no container engine.
# Needs BuildKit or Buildah: Docker since 23, Podman since 4.

# Another mirror, or a digest for the tag: --build-arg PYTHON_IMAGE=...
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# What builds stays behind in /opt/tools, pip too; /opt/imagefinder goes into the image.
RUN python -m venv /opt/tools && python -m venv --without-pip /opt/imagefinder
# The dependencies first: they change less often than the source.
COPY requirements/base.txt requirements/build.txt requirements/
# A package index of your own: docker build --secret id=pip,src=pip.conf
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/tools/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && /opt/tools/bin/pip --python /opt/imagefinder/bin/python install --no-cache-dir \
        --no-compile --require-hashes -r requirements/base.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
# Unchecked bytecode serves whatever the files' times are, and nothing has to be written later.
RUN /opt/tools/bin/hatchling build -t wheel -d dist \
    && /opt/tools/bin/pip --python /opt/imagefinder/bin/python install --no-cache-dir \
        --no-compile --no-index --no-deps dist/*.whl \
    && /opt/tools/bin/pip --python /opt/imagefinder/bin/python check \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/imagefinder/lib

FROM ${PYTHON_IMAGE}
# The base image has the standard library without bytecode, and a read-only root takes none.
RUN python -m compileall -q --invalidation-mode unchecked-hash \
        -x '/(ensurepip|idlelib|site-packages|test|turtledemo)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
# A fixed number, so that who owns a volume can be said before the first start.
RUN groupadd --gid 10001 imagefinder \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /data \
        --shell /usr/sbin/nologin imagefinder \
    && install --directory --owner=10001 --group=10001 /data
COPY --from=build /opt/imagefinder /opt/imagefinder
COPY --chmod=0644 container/healthcheck.py /opt/imagefinder/healthcheck.py
# Everything that is kept goes to /data, everything else that is written to /tmp.
ENV PATH=/opt/imagefinder/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    XDG_DATA_HOME=/data \
    IMAGEFINDER_COLLECTION=/data/collection \
    IMAGEFINDER_HOST=0.0.0.0 \
    IMAGEFINDER_PORT=8000
WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-I", "/opt/imagefinder/healthcheck.py"]
# `docker run imagefinder status` is `imagefinder status` in the container.
ENTRYPOINT ["imagefinder"]
# The demo images are indexed only when there is no collection yet.
CMD ["serve", "--demo"]
ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.title="ImageFinder" \
    org.opencontainers.image.description="Find the images of a collection that look most like a given image." \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
