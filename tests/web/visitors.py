"""Quick models, pictures to send, and a visitor who sends them."""

import io
import time

import numpy as np
from PIL import Image

from refusion_jax.methods.protocol import FusionModel

LOCAL = "http://127.0.0.1:7860"


class Mean(FusionModel):
    """Fuses by the mean, with maps."""

    def fuse(self, luminance_a, luminance_b, *, precision):
        return (luminance_a + luminance_b) / 2

    def require_maps(self):
        pass

    def maps(self, luminance_a, luminance_b):
        a, b = (np.asarray(x)[..., 0] for x in (luminance_a, luminance_b))
        share = (a + 1e-6) / (a + b + 2e-6)
        return {"w_a": share, "w_b": 1 - share}


class Mapless(Mean):
    """The same without maps."""

    def require_maps(self):
        raise ValueError("expected weights with P, got F alone; name others.")


def encoded(picture, kind="PNG", **options):
    """The content of a picture file."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format=kind, **options)
    return content.getvalue()


def scene(height=32, width=40, seed=0):
    """A grey picture and a coloured one of it, uint8."""
    rng = np.random.default_rng(seed)
    grey = rng.integers(20, 236, (height // 4, width // 4), np.uint8)
    grey = grey.repeat(4, 0).repeat(4, 1)
    return grey, rng.integers(20, 236, (height, width, 3), np.uint8)


class Visitor:
    """Sends forms and waits for their jobs."""

    def __init__(self, client):
        self.client = client
        self.jobs = client.app.state.jobs

    def post(self, path, files=(), **fields):
        parts = [
            (name, (None, value))
            for name, values in fields.items()
            for value in ([values] if isinstance(values, str) else values)
        ]
        return self.client.post(path, files=[*parts, *files])

    def run(self, path, files=(), **fields):
        answer = self.post(path, files, **fields)
        assert answer.status_code == 202, answer.text
        return self.wait(answer.json()["id"])

    def wait(self, job):
        for _ in range(2000):
            told = self.client.get(f"/api/jobs/{job}").json()
            if told["state"] in ("done", "failed", "cancelled"):
                return told
            time.sleep(0.005)
        raise AssertionError("the job does not end")

    def file(self, job, name):
        answer = self.client.get(f"/api/jobs/{job['id']}/files/{name}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def picture(self, job, name):
        with Image.open(io.BytesIO(self.file(job, name))) as image:
            return np.asarray(image)

    def fuse(self, **fields):
        files = [("sources", (f"{i}.png", encoded(x))) for i, x in enumerate(scene())]
        return self.run("/api/fuse", files, weights="mean", **fields)
