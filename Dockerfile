# Fuses the pictures of a folder, on a CPU:
#
#   docker build -t refusion .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/pictures" refusion \
#       fuse near.png far.png -o fused.png
#
# With an NVIDIA GPU: docker build --target cuda ..., docker run --gpus all ...
FROM python:3.11-slim AS base
WORKDIR /src
COPY requirements.txt setup.cfg pyproject.toml LICENSE ./
COPY docs/pypi.md docs/
COPY refusion_jax refusion_jax
# Compiled programs stay in the container, whoever runs it.
ENV REFUSION_CACHE=/tmp/refusion-jax
RUN useradd --uid 1000 --create-home refusion && mkdir /pictures && chown refusion /pictures
ENTRYPOINT ["refusion"]
CMD ["--help"]

FROM base AS cuda
RUN pip install --no-cache-dir -c requirements.txt \
    '.[cuda12,tiff,heic,thermal,video,register,medical]'
USER 1000
WORKDIR /pictures

FROM base AS cpu
RUN pip install --no-cache-dir -c requirements.txt \
    '.[tiff,heic,thermal,video,register,medical]'
USER 1000
WORKDIR /pictures
