# lskd_nmt with everything it needs, for clusters; on Linux the pinned torch brings its CUDA with it.
#
#   docker build --build-arg COMMIT="$(git rev-parse HEAD)" -t lskd_nmt .
#   docker run --rm --gpus all --ipc=host --user "$(id -u):$(id -g)" -v "$PWD:/workspace" lskd_nmt lskd doctor
#
# The Makefile knows what is installed in which order, constraints.txt in which version.
FROM python:3.11-slim AS builder
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ make \
 && rm -rf /var/lib/apt/lists/*
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1
WORKDIR /opt/lskd_nmt
COPY Makefile constraints.txt ./
RUN make fairseq PYTHON=python
COPY setup.py pyproject.toml README.md LICENSE ./
COPY lskd_nmt lskd_nmt
COPY user_dir user_dir
RUN make env PYTHON=python
COPY data-prep data-prep
COPY experiments experiments
RUN chmod -R a+rX .

FROM python:3.11-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates curl libgomp1 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=builder /opt/lskd_nmt /opt/lskd_nmt
ARG COMMIT
# any user id may run it: such a user has neither a home nor a name of its own
ENV PATH=/opt/lskd_nmt/.venv/bin:$PATH \
    LSKD_COMMIT=$COMMIT \
    HOME=/tmp \
    LOGNAME=lskd
WORKDIR /workspace
USER 1000:1000
CMD ["lskd", "--help"]
