"""Whether JAX can start on the devices that it is told to use."""

import jax


def start_failure() -> str | None:
    """Says why JAX cannot start, as where JAX_PLATFORMS names a device that is absent.

    This starts JAX, unless it has started.

    Returns:
      A sentence that says what to do, or None if JAX has started.
    """
    try:
        jax.devices()
    # JAX's own checks: where JAX_PLATFORMS demands CUDA and the machine has no such
    # device, it is an assertion without words.
    except (AssertionError, RuntimeError) as error:
        lines = str(error).splitlines() or ["no such device is found"]
        wanted = jax.config.values["jax_platforms"]
        if not wanted:
            return f"expected JAX to start on this machine's devices, got: {lines[0]}"
        reason = lines[0].partition(" (set JAX_PLATFORMS")[0].rstrip(".")
        return (
            f"expected JAX to start on {wanted!r}, which JAX_PLATFORMS names, got: "
            f"{reason}; unset JAX_PLATFORMS to use the devices that are there, or "
            "install the plugin: pip install 'refusion-jax[cuda12]' has NVIDIA's."
        )
    return None
