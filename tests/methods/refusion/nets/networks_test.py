import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.refusion.nets.by_hand import blocks, conv3x3, encode, one_of

from refusion_jax.methods.refusion.nets import encoder
from refusion_jax.methods.refusion.nets.fusion import CrossAttention, GatedRefinement
from refusion_jax.methods.refusion.nets.networks import (
    fuse,
    init_params,
    propose,
    reconstruct,
)
from refusion_jax.methods.refusion.nets.strips import Grid, join, split
from refusion_jax.methods.sobel import sobel_gradient

HEIGHT, WIDTH = 9, 7


def random_params(seed=0, **variant):
    """Parameters with any numbers: `init_params` compiles for long."""
    shapes = jax.eval_shape(lambda: init_params(jax.random.key(0), **variant))
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(-0.25, 0.25, leaf.shape), leaf.dtype),
        shapes,
    )


PARAMS = random_params()
# Two pairs of random pictures, as [source, pair, height, width, 1].
PICTURES = jnp.asarray(
    np.random.default_rng(1).random((2, 2, HEIGHT, WIDTH, 1)), jnp.float32
)
run_f, run_r, run_p = (jax.jit(function) for function in (fuse, reconstruct, propose))


def close(one, other, tolerance=1e-5):
    for x, y in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


# Parameters


def test_the_networks_have_the_published_numbers_of_parameters():
    """F: Table 7 of the paper; R and P: the specification's reading of Fig. 2."""
    assert [count(tree) for tree in PARAMS] == [59_856, 15_136, 89_058]


@pytest.mark.parametrize(
    ("interaction", "gating", "parameters"),
    [
        (False, False, 44_384),  # VI: minus the whole AFM
        (False, True, 59_856 - 2 * (768 + 432 + 256 + 8)),  # VII
        (True, False, 59_856 - (4096 + 1152 + 2 * (1024 + 576 + 2048))),  # VIII
    ],
)
def test_ablations_drop_exactly_their_parts(interaction, gating, parameters):
    shapes = jax.eval_shape(
        lambda: (
            init_params(
                jax.random.key(0), interaction=interaction, gating=gating
            ).fusion
        )
    )
    assert count(shapes) == parameters
    assert parameters in (44_384, 56_928, 47_312)


@pytest.fixture(scope="module")
def fresh():
    draw = jax.jit(init_params)
    return draw(jax.random.key(0)), draw(jax.random.key(1))


def test_fresh_parameters_are_float32_and_bounded_by_their_fan_in(fresh):
    first, second = fresh
    fan_in = {"qkv": 16, "project_out": 16, "tail1": 288, "tail2": 144}
    for name, size in fan_in.items():
        leaf = {**first.fusion, **first.fusion["cross_attention"]}[name]
        assert leaf.dtype == jnp.float32
        assert 0.9 * size**-0.5 < jnp.abs(leaf).max() <= size**-0.5
    assert first.proposal["subnetworks"]["slope"].tolist() == [0.25, 0.25]
    assert not np.array_equal(first.fusion["tail1"], second.fusion["tail1"])


def test_stacked_parts_are_drawn_apart(fresh):
    """Sources, blocks, branches and sub-networks share nothing."""
    first, _ = fresh
    stacks = [
        first.fusion["encoders"]["project_in"],
        first.fusion["encoders"]["body"]["attention"]["qkv"][0],
        first.fusion["decoder"]["attention"]["qkv"],
        first.fusion["refinement"]["expand"],
        first.reconstruction["branches"]["project_out"],
        first.proposal["subnetworks"]["tail1"],
        first.proposal["subnetworks"]["encoders"]["project_in"][0],
    ]
    for stack in stacks:
        correlation = np.corrcoef(stack[0].ravel(), stack[1].ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(stack[0].size)


# All three


@pytest.fixture(scope="module")
def outputs():
    fused = run_f(PARAMS.fusion, *PICTURES)
    return (
        fused,
        run_r(PARAMS.reconstruction, fused),
        run_p(PARAMS.proposal, *PICTURES),
    )


def test_outputs_are_pictures_inside_the_unit_interval(outputs):
    fused, recon, weights = outputs
    for image in (fused, *recon):
        assert image.shape == (2, HEIGHT, WIDTH, 1)
    for maps in weights:
        assert maps.shape == (2, HEIGHT, WIDTH, 2)
    for array in jax.tree.leaves(outputs):
        assert array.dtype == jnp.float32
        assert 0 < array.min() < array.max() < 1


def test_weights_of_the_two_sources_sum_to_one(outputs):
    for maps in outputs[2]:
        np.testing.assert_allclose(maps.sum(axis=-1), 1, atol=1e-6)


def test_a_pair_is_processed_alone_whatever_else_is_in_the_batch(outputs):
    """Exchanged, or beside its own copy: every pair's results stay what they were."""
    for order in ([1, 0], [0, 0]):
        order = jnp.array(order)
        pictures = PICTURES[:, order]
        fused = run_f(PARAMS.fusion, *pictures)
        again = (
            fused,
            run_r(PARAMS.reconstruction, fused),
            run_p(PARAMS.proposal, *pictures),
        )
        close(again, jax.tree.map(lambda x, order=order: x[order], outputs), 1e-6)


# F


def test_the_roles_of_the_sources_are_not_interchangeable(outputs):
    swapped = run_f(PARAMS.fusion, PICTURES[1], PICTURES[0])
    assert jnp.abs(swapped - outputs[0]).mean() > 1e-3


@pytest.mark.parametrize(
    "grid",
    [
        Grid(2, HEIGHT, WIDTH, 4, sequential=True),
        Grid(2, HEIGHT, WIDTH, HEIGHT, sequential=False),
    ],
    ids=["three strips", "all at once"],
)
def test_f_does_not_depend_on_how_the_picture_is_cut(outputs, monkeypatch, grid):
    monkeypatch.setattr(encoder, "make_grid", lambda *_: grid)
    close(jax.jit(lambda *x: fuse(*x))(PARAMS.fusion, *PICTURES), outputs[0])


@pytest.mark.parametrize(
    ("interaction", "gating"), [(False, False), (False, True), (True, False)]
)
def test_an_ablated_f_is_the_whole_f_with_silent_parts(interaction, gating):
    """Both parts end in a projection that is added: at zero it switches them off."""
    silent = jax.tree.map(jnp.copy, PARAMS.fusion)
    ablated = dict(PARAMS.fusion)
    for part, is_on in (("cross_attention", interaction), ("refinement", gating)):
        if not is_on:
            silent[part]["project_out"] *= 0
            del ablated[part]
    close(run_f(ablated, *PICTURES), run_f(silent, *PICTURES))


def test_decision_fusion_weighs_the_sources_by_f_with_two_outputs(outputs):
    """Ablation V: w_a = softmax of (z_a, z_b) = sigmoid(z_a - z_b), and F's last layer
    is linear, so the ordinary F with the difference of both kernels makes w_a."""
    deciding = random_params(3, decision=True).fusion
    assert count(deciding) == 59_856 + 144
    making = dict(deciding)
    kernels = making.pop("decision_tail")
    making["tail2"] = kernels[:1] - kernels[1:]
    a, b = PICTURES
    weight = run_f(making, a, b)
    fused = run_f(deciding, a, b)
    close(fused, weight * a + (1 - weight) * b)
    assert (fused >= jnp.minimum(a, b) - 1e-6).all()
    assert (fused <= jnp.maximum(a, b) + 1e-6).all()


# The reference of the fusion module: one picture, [channels, height, width].


def conv1x1(x, kernel):
    return np.einsum("oc,chw->ohw", kernel, x)


def depthwise(x, kernel):
    return jax.lax.conv_general_dilated(
        x[None], kernel[:, None], (1, 1), "SAME", feature_group_count=len(x)
    )[0]


def cross_attention(x, params):
    """Source a is attended by the queries of b, and b by those of a."""
    x = [x[:16], x[16:]]
    qkv = [
        np.split(depthwise(conv1x1(x[s], params["qkv"][s]), depthwise_kernel), 3)
        for s, depthwise_kernel in enumerate(params["qkv_depthwise"])
    ]
    results = []
    for s in (0, 1):
        query, key, value = (
            np.reshape(z, (8, 2, -1)) for z in (qkv[1 - s][0], *qkv[s][1:])
        )
        query, key = (
            z / np.linalg.norm(z, axis=-1, keepdims=True) for z in (query, key)
        )
        logits = query @ key.swapaxes(1, 2) * params["temperature"][s][:, None, None]
        attended = np.asarray(jax.nn.softmax(logits)) @ value
        attended = attended.reshape(x[s].shape)
        results.append(x[s] + conv1x1(attended, params["project_out"][s]))
    return np.concatenate(results)


def gated_refinement(x, params):
    gates = np.split(depthwise(conv1x1(x, params["gate"]), params["gate_depthwise"]), 2)
    result = x
    for s, source in enumerate((x[:16], x[16:])):
        content = depthwise(
            conv1x1(source, params["expand"][s]), params["expand_depthwise"][s]
        )
        gate = np.asarray(jax.nn.gelu(gates[s], approximate=False))
        result = result + conv1x1(gate * content, params["project_out"][s])
    return result


@pytest.mark.parametrize("rows", [4, HEIGHT])
@pytest.mark.parametrize(
    ("module", "name", "reference"),
    [
        (CrossAttention(), "cross_attention", cross_attention),
        (GatedRefinement(), "refinement", gated_refinement),
    ],
    ids=["cross attention", "gated refinement"],
)
def test_the_fusion_module_equals_the_specification(x64, module, name, reference, rows):
    """Section 1.2; on three strips in turn, and on one together with the other pair."""
    grid = Grid(2, HEIGHT, WIDTH, rows, sequential=rows == 4)
    features = np.random.default_rng(2).standard_normal((2, 32, HEIGHT, WIDTH))
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), PARAMS.fusion[name])

    @jax.jit
    def run(params, features):
        return join(module.apply({"params": params}, split(features, grid), grid), grid)

    ours = run(params, features)
    for i in range(2):
        expected = reference(features[i], params)
        np.testing.assert_allclose(ours[i], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_f_takes_pictures_of_any_size(size):
    """Turned kernels on turned pictures give the turned result."""
    height, width = size
    pictures = PICTURES[:, :, :height, :width]
    fused = run_f(PARAMS.fusion, *pictures)
    assert fused.shape == (2, height, width, 1)
    turned_params = jax.tree.map(
        lambda x: x[..., ::-1, ::-1] if x.shape[-2:] == (3, 3) else x, PARAMS.fusion
    )
    turned = run_f(turned_params, *pictures[:, :, ::-1, ::-1])
    close(turned[:, ::-1, ::-1], fused)


# R


def test_each_branch_of_r_rebuilds_one_source(outputs):
    fused, (recon_a, recon_b), _ = outputs
    other = random_params(5).reconstruction
    # The second branch of other parameters beside our first one.
    mixed = jax.tree.map(
        lambda x, y: jnp.stack([x[0], y[1]]), PARAMS.reconstruction, other
    )
    mixed_a, mixed_b = run_r(mixed, fused)
    close(mixed_a, recon_a, 1e-6)
    assert jnp.abs(mixed_b - recon_b).max() > 1e-2
    # And the branches exchanged.
    exchanged = jax.tree.map(lambda x: x[::-1], PARAMS.reconstruction)
    close(run_r(exchanged, fused), (recon_b, recon_a), 1e-6)


def test_r_runs_in_the_width_and_depth_of_its_parameters(outputs):
    """Blocks whose projections are zero pass their input on: depth changes nothing."""
    shallow = random_params(
        7, reconstruction_width=8, reconstruction_blocks=1
    ).reconstruction
    deep = random_params(
        8, reconstruction_width=8, reconstruction_blocks=3
    ).reconstruction
    assert count(shallow) == 2 * (72 + 1184 + 72)
    deep["branches"]["project_out"] = shallow["branches"]["project_out"]
    encoders = [tree["branches"]["encoder"] for tree in (shallow, deep)]
    encoders[1]["project_in"] = encoders[0]["project_in"]
    encoders[1]["body"] = jax.tree.map(
        lambda x, y: y.at[:, 1].set(x[:, 0]), *(e["body"] for e in encoders)
    )
    for part in ("attention", "feed_forward"):
        kernel = encoders[1]["body"][part]["project_out"]
        encoders[1]["body"][part]["project_out"] = kernel.at[:, ::2].set(0)
    close(run_r(deep, outputs[0]), run_r(shallow, outputs[0]))


# P


def test_one_network_weighs_the_sources_and_the_other_their_edges():
    """With equal parameters, v of two pictures is w of their Sobel gradients."""
    first = jax.tree.map(lambda x: jnp.stack([x[0], x[0]]), PARAMS.proposal)
    edges = [sobel_gradient(x) for x in PICTURES]
    weights, weights_of_edges = run_p(first, *PICTURES), run_p(first, *edges)
    close(weights.gradient, weights_of_edges.intensity, 1e-6)
    assert jnp.abs(weights.gradient - weights.intensity).max() > 1e-2


def test_the_two_networks_of_p_share_nothing(outputs):
    exchanged = jax.tree.map(lambda x: x[::-1], PARAMS.proposal)
    second = jax.tree.map(lambda x: jnp.stack([x[1], x[1]]), PARAMS.proposal)
    w_by_second = run_p(second, *PICTURES).intensity
    close(run_p(exchanged, *PICTURES).intensity, w_by_second, 1e-6)
    assert jnp.abs(w_by_second - outputs[2].intensity).max() > 1e-2


def logits_of_p(params, a, b):
    """The two logits of one of P's networks, [channel, height, width]."""
    features = [
        encode(x[None], one_of(params["encoders"], i)) for i, x in enumerate((a, b))
    ]
    x = conv3x3(blocks(np.concatenate(features), params["joint"]), params["tail1"])
    return conv3x3(np.where(x >= 0, x, params["slope"] * x), params["tail2"])


def test_p_weighs_pictures_and_edges_as_the_specification_says(outputs):
    """Channel 0 is source a. The slopes differ from each other and from the start."""
    networks = PARAMS.proposal["subnetworks"]
    slopes = jnp.asarray([0.1, -0.4])
    maps = run_p({"subnetworks": {**networks, "slope": slopes}}, *PICTURES)
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), networks)
    exact["slope"] = np.asarray(slopes, np.float64)
    edges = [sobel_gradient(x) for x in PICTURES]
    for i, (images, ours) in enumerate(zip((PICTURES, edges), maps, strict=True)):
        a, b = (np.asarray(x[0, ..., 0], np.float64) for x in images)
        first, second = logits_of_p(one_of(exact, i), a, b)
        expected = 1 / (1 + np.exp(second - first))
        np.testing.assert_allclose(ours[0, ..., 0], expected, rtol=0, atol=1e-5)
        assert expected.std() > 1e-2


def test_r_rebuilds_as_the_specification_says(outputs):
    branches = jax.tree.map(
        lambda x: np.asarray(x, np.float64), PARAMS.reconstruction["branches"]
    )
    fused = np.asarray(outputs[0][0, ..., 0], np.float64)
    for i, ours in enumerate(outputs[1]):
        branch = one_of(branches, i)
        features = encode(fused[None], branch["encoder"])
        expected = 1 / (1 + np.exp(-conv3x3(features, branch["project_out"])[0]))
        np.testing.assert_allclose(ours[0, ..., 0], expected, rtol=0, atol=1e-5)
        assert expected.std() > 1e-3


def test_a_single_pixel_has_no_edge_for_p_to_see():
    pixels = PICTURES[:, :, :1, :1]
    dark, bright = (
        run_p(PARAMS.proposal, *pixels),
        run_p(PARAMS.proposal, *(pixels + 1)),
    )
    np.testing.assert_array_equal(dark.gradient, bright.gradient)
    assert (dark.intensity != bright.intensity).all()


def test_channel_0_of_the_weights_is_source_a():
    """The last kernel's first output speaks for source a: raised, w_a and v_a rise."""
    raised = jax.tree.map(jnp.copy, PARAMS.proposal)
    tail = raised["subnetworks"]["tail2"]
    raised["subnetworks"]["tail2"] = jnp.zeros_like(tail).at[:, 0].set(tail[:, 0])
    for maps in run_p(raised, *PICTURES):
        logit = jnp.log(maps[..., 0] / maps[..., 1])
        assert jnp.abs(logit).max() > 1e-2
    lowered = jax.tree.map(jnp.copy, raised)
    lowered["subnetworks"]["tail2"] = raised["subnetworks"]["tail2"][:, ::-1]
    close(
        [maps[..., ::-1] for maps in run_p(lowered, *PICTURES)],
        list(run_p(raised, *PICTURES)),
    )


# Balanced P


@pytest.fixture(scope="module")
def balanced():
    """Balanced weight maps of a batch, and of the same with exchanged sources."""
    params = random_params(balanced=True).proposal | {"spread": jnp.asarray(2.0)}
    return params, run_p(params, *PICTURES), run_p(params, *PICTURES[::-1])


def test_a_balanced_p_exchanges_its_weights_with_its_sources(balanced):
    _, forward, backward = balanced
    for maps, exchanged in zip(forward, backward, strict=True):
        close(maps, exchanged[..., ::-1])
        close(maps.sum(axis=-1), jnp.ones(maps.shape[:3]))


def test_balanced_logits_are_centred_scaled_and_bounded_in_each_picture(balanced):
    _, forward, _ = balanced
    for maps in forward:
        logits = np.log(maps[..., 0] / maps[..., 1])
        assert np.abs(logits).max() <= 3 + 1e-3
        unbounded = 3 * np.arctanh(np.clip(logits / 3, -0.9999999, 0.9999999))
        np.testing.assert_allclose(unbounded.mean(axis=(1, 2)), 0, atol=1e-3)
        np.testing.assert_allclose(unbounded.std(axis=(1, 2)), 2, rtol=2e-3)


def test_a_balanced_p_has_one_more_parameter_and_no_gradient_for_it(balanced):
    params, *_ = balanced
    assert count(params) == 89_059
    grads = jax.jit(jax.grad(lambda p: propose(p, *PICTURES).intensity[0, 0, 0, 0]))(
        params
    )
    assert grads["spread"] == 0
    assert max(jnp.abs(x).max() for x in jax.tree.leaves(grads)) > 0


def test_a_balanced_p_prefers_what_its_logits_prefer(balanced):
    """On pictures, half the difference between one order and the other decides."""
    params, forward, _ = balanced
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), params["subnetworks"])
    a, b = (np.asarray(x[0, ..., 0], np.float64) for x in PICTURES)
    one, other = (logits_of_p(one_of(exact, 0), *x) for x in ((a, b), (b, a)))
    d = ((one[0] - one[1]) - (other[0] - other[1])) / 2
    d -= d.mean()
    d *= params["spread"] / d.std()
    expected = 1 / (1 + np.exp(-3 * np.tanh(d / 3)))
    np.testing.assert_allclose(forward[0][0, ..., 0], expected, rtol=0, atol=1e-3)


def test_a_balanced_p_has_nothing_to_say_about_equal_sources(balanced):
    params, *_ = balanced
    for maps in run_p(params, PICTURES[0], PICTURES[0]):
        close(maps, jnp.full_like(maps, 0.5))
