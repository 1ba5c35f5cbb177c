from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from refusion_jax.cli import main
from refusion_jax.fusing import video
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.fusing.video import fuse_videos, is_video
from refusion_jax.pictures.notes import PictureWarning

av = pytest.importorskip(
    "av", reason="PyAV is absent; pip install 'refusion-jax[video]'"
)

HEIGHT, WIDTH, RATE = 32, 48, 10
RAMP = np.tile(np.linspace(40, 200, WIDTH), (HEIGHT, 1))


@pytest.fixture
def fuser(hand_model):
    return Fuser(hand_model(), output_range="source")


def write(path, pictures, *, rate=RATE, pixels="gray", matrix=None):
    """Without loss, so that expected values are exact."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream("ffv1", rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        for picture in pictures:
            kind = "gray" if picture.ndim == 2 else "rgb24"
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format=kind)
            if matrix is not None:
                stream.codec_context.colorspace = matrix
                frame = frame.reformat(format=pixels, dst_colorspace=matrix)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


def read(path):
    with av.open(str(path)) as video:
        frames = list(video.decode(video=0))
    return [float(frame.time) for frame in frames], np.stack(
        [frame.to_ndarray(format="rgb24") for frame in frames]
    ).astype(int)


def scene(count, spot=None):
    """A still ramp; from frame `spot` on, a white corner."""
    pictures = []
    for i in range(count):
        picture = RAMP.copy()
        if spot is not None and i >= spot:
            picture[:8, -8:] = 255
        pictures.append(picture)
    return pictures


def test_frames_are_fused_one_by_one_and_keep_their_times(tmp_path, fuser):
    a = write(tmp_path / "a.mkv", scene(5))
    b = write(tmp_path / "b.mkv", [RAMP / 2 + 5 * i for i in range(5)])
    made = fuse_videos(fuser, [a, b], tmp_path / "out.mp4")
    assert made == (WIDTH, HEIGHT, 5, False)
    times, pictures = read(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, np.arange(5) / RATE, atol=1e-3)
    for i, picture in enumerate(pictures):
        expected = (np.floor(RAMP) + np.floor(RAMP / 2 + 5 * i)) / 2
        # x264 and the limited range of video round.
        assert np.abs(picture - expected[..., None]).mean() < 2
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("output_range", ["source", "none"])
def test_a_bright_spot_does_not_make_the_rest_flicker(
    tmp_path, hand_model, output_range
):
    fuser = Fuser(hand_model(), output_range=output_range)
    a = write(tmp_path / "a.mkv", scene(6, spot=3))
    b = write(tmp_path / "b.mkv", scene(6))
    fuse_videos(fuser, [a, b], tmp_path / "out.mp4")
    _, pictures = read(tmp_path / "out.mp4")
    rest = pictures[:, 16:, : WIDTH // 2].mean(axis=(1, 2, 3))
    assert np.ptp(rest) < 0.5
    # What would be seen otherwise: the ramp's own top was white before.
    before, after = (
        stretched(hand_model(), x) for x in (scene(6, spot=3)[i] for i in (0, 5))
    )
    assert before[16:, : WIDTH // 2].mean() - after[16:, : WIDTH // 2].mean() > 5


def stretched(model, a):
    return Fuser(model).fuse(a.astype(np.uint8), RAMP.astype(np.uint8)).astype(float)


@pytest.mark.parametrize("size", [(32, 48), (31, 47)], ids=["even", "odd"])
def test_colour_of_one_video_is_kept(tmp_path, fuser, size):
    colours = np.zeros((*size, 3))
    colours[:, : size[1] // 2], colours[:, size[1] // 2 :] = (
        (180, 60, 60),
        (60, 60, 180),
    )
    grey = np.full(size, 100.0)
    a = write(tmp_path / "a.mkv", [grey] * 2)
    b = write(tmp_path / "b.mkv", [colours] * 2, pixels="bgr0")
    fuse_videos(fuser, [a, b], tmp_path / "out.mp4")
    _, pictures = read(tmp_path / "out.mp4")
    assert pictures.shape == (2, *size, 3)
    expected = fuser.fuse(grey.astype(np.uint8), colours.astype(np.uint8))
    inner = np.s_[:, 4:-4, 4 : size[1] // 2 - 4]
    assert np.abs(pictures - expected.astype(int))[inner].max() <= 4


@pytest.mark.parametrize("matrix", [1, 5], ids=["BT.709", "BT.601"])
def test_the_colour_matrix_of_a_source_is_kept(tmp_path, fuser, matrix):
    """The same colour in other numbers: players would show the result off-colour."""
    grey = np.full((HEIGHT, WIDTH), 90.0)
    colour = np.broadcast_to([200.0, 50.0, 20.0], (HEIGHT, WIDTH, 3))
    a = write(tmp_path / "a.mkv", [grey])
    b = write(tmp_path / "b.mkv", [colour], pixels="yuv444p", matrix=matrix)
    fuse_videos(fuser, [a, b], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert next(video.decode(video=0)).colorspace == matrix
    _, pictures = read(tmp_path / "out.mp4")
    expected = fuser.fuse(grey.astype(np.uint8), colour.astype(np.uint8))
    assert np.abs(pictures[0] - expected.astype(int))[4:-4, 4:-4].max() <= 4


def test_frames_of_another_size_are_told_rather_than_scaled(
    tmp_path, fuser, monkeypatch
):
    """As registration makes them, which cuts each frame by itself."""
    a, shares = write(tmp_path / "a.mkv", scene(3)), iter((0, 0, 2))
    fuse = fuser.fuse_photograph

    def cut(*photographs):
        made = fuse(*photographs)
        return made._replace(pixels=made.pixels[next(shares) :])

    monkeypatch.setattr(fuser, "fuse_photograph", cut)
    message = "fused frames of 48x32 throughout, got 48x30 as frame 3; name"
    with pytest.raises(ValueError, match=message):
        fuse_videos(fuser, [a, a], tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists() and not list(tmp_path.glob(".*"))


def test_the_shorter_video_ends_it(tmp_path, fuser):
    long, short = (write(tmp_path / f"{n}.mkv", scene(n)) for n in (5, 3))
    for sources in ([long, short], [short, long]):
        made = fuse_videos(fuser, sources, tmp_path / "out.mkv")
        assert made == (WIDTH, HEIGHT, 3, True)


def test_videos_that_do_not_belong_together_are_told(tmp_path, fuser):
    a = write(tmp_path / "a.mkv", scene(2))
    fast = write(tmp_path / "fast.mkv", scene(2), rate=25)
    narrow = write(tmp_path / "narrow.mkv", [x[:, 16:] for x in scene(2)])
    (tmp_path / "broken.mkv").write_bytes(b"no video")
    out = tmp_path / "out.mp4"
    for other, message in (
        (fast, r"equal frame rate, got 10 in .*a\.mkv and 25 in .*fast\.mkv"),
        (narrow, r"a\.mkv of 48x32 and .*narrow\.mkv of 32x32"),
        (tmp_path / "broken.mkv", r"readable videos, got .*broken\.mkv"),
    ):
        with pytest.raises(ValueError, match=message):
            fuse_videos(fuser, [a, other], out)
        assert not out.exists() and not list(tmp_path.glob(".*"))
    with pytest.raises(ValueError, match=r"\.mp4, \.mkv, \.mov, got .*out\.gif"):
        fuse_videos(fuser, [a, a], tmp_path / "out.gif")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/nowhere/x", "No such file"),
        pytest.param(
            *("/dev/full", "No space left on device"),
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux"),
        ),
    ],
)
def test_an_output_that_cannot_be_written_is_not_blamed_on_the_sources(
    tmp_path, fuser, monkeypatch, place, reason
):
    monkeypatch.setattr(video, "replacing", lambda _: nullcontext(place))
    a = write(tmp_path / "a.mkv", scene(2))
    message = rf"expected to write .*out\.mkv, got {reason}[^:]*; make room, or"
    with pytest.raises(OSError, match=message) as error:
        fuse_videos(fuser, [a, a], tmp_path / "out.mkv")
    assert "a.mkv" not in str(error.value)


def test_videos_are_known_by_their_ending(tmp_path):
    assert [is_video(tmp_path / x) for x in ("a.MP4", "b.avi", "c.png", "mp4")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.fixture
def videos(tmp_path, monkeypatch, fuser):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("refusion_jax.commands.fuse._fuser", lambda *_: fuser)
    for name, count in (("a", 3), ("b", 3), ("long", 4)):
        write(tmp_path / f"{name}.mkv", scene(count))
    return tmp_path


def fuse(*arguments):
    return main(["fuse", *arguments, "--weights", "any"])


def test_the_names_of_videos_choose_shipped_weights(videos, shipped, capsys):
    for old, new in (("a", "thermal ir"), ("b", "thermal vi")):
        (videos / f"{old}.mkv").rename(videos / f"{new}.mkv")
    assert main(["fuse", "thermal ir.mkv", "thermal vi.mkv", "-o", "out.mp4"]) == 0
    out, err = capsys.readouterr()
    assert out == "out.mp4 48x32, 3 frames\n"
    assert err.startswith("refusion: using the weights heat (Heat and light), ")


def test_the_command_prints_one_line_a_video(videos, capsys):
    assert fuse("a.mkv", "b.mkv", "-o", "out.mp4") == 0
    assert capsys.readouterr() == ("out.mp4 48x32, 3 frames\n", "")
    assert fuse("a.mkv", "long.mkv", "-o", "out.mp4") == 0
    assert "differ in length; only the first 3 are fused" in capsys.readouterr().err
    (videos / "b.mkv").write_bytes(b"no video")
    assert fuse("a.mkv", "b.mkv", "-o", "out2.mp4") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (videos / "out2.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.mkv", "b.png", "-o", "x.mp4"), "videos only, got b.png among them"),
        (("a.mkv", "none.mkv", "-o", "x.mp4"), "got nothing at none.mkv"),
        (("a.mkv", "b.mkv", "-o", "x.png"), "a video name ending in one of .mp4"),
        (("a.mkv", "b.mkv", "-o", "a.mkv"), "other than the sources, got a.mkv"),
        (
            ("a.mkv", "b.mkv", "-o", "x.mp4", "--range=stretch"),
            "would make them flicker",
        ),
        *(
            (
                ("a.mkv", "b.mkv", "-o", "x.mp4", f"--levels={rule}"),
                f"expected --levels=full or LOW:HIGH for videos, got {rule}, which",
            )
            for rule in ("min-max", "percentile", "auto")
        ),
        (
            ("a.mkv", "b.mkv", "-o", "x.mp4", "--align=register"),
            "resize or resize-largest for videos, got register, which would",
        ),
        (
            ("a.mkv", "b.mkv", "-o", "x.mp4", "--maps"),
            "expected pictures with --maps, got videos",
        ),
    ],
    ids=repr,
)
def test_what_cannot_be_done_with_videos_is_told(videos, capsys, arguments, message):
    assert fuse(*arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def turned(path, matrix, pictures, aspect=None):
    """A video with a display matrix (a, b, c, d), which PyAV does not write itself.

    The matrix of MP4's track header is patched: nine numbers, of 16.16 and 2.30 bits.
    """
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=RATE, options={"crf": "0"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="gray")
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    content = path.read_bytes()
    one = (1 << 16).to_bytes(4)
    identity = one + bytes(12) + one + bytes(12) + (1 << 30).to_bytes(4)
    place = content.rindex(identity)  # that of the track follows that of the movie
    a, b, c, d = (((x << 16) & 0xFFFFFFFF).to_bytes(4) for x in matrix)
    made = a + b + bytes(4) + c + d + bytes(12) + (1 << 30).to_bytes(4)
    path.write_bytes(content[:place] + made + content[place + len(made) :])
    return path


@pytest.mark.parametrize(
    ("matrix", "as_shown"),
    [  # x' = a x + c y, y' = b x + d y
        ((1, 0, 0, 1), lambda x: x),
        ((-1, 0, 0, -1), lambda x: x[::-1, ::-1]),
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),  # clockwise, as y points down
        ((0, -1, 1, 0), lambda x: np.rot90(x)),
        ((-1, 0, 0, 1), lambda x: x[:, ::-1]),
        ((1, 0, 0, -1), lambda x: x[::-1]),
    ],
)
def test_videos_are_fused_as_they_are_shown(tmp_path, fuser, matrix, as_shown):
    picture = np.add.outer(np.arange(HEIGHT) * 3, np.arange(WIDTH)) + 40
    a = turned(tmp_path / "a.mp4", matrix, [picture] * 2)
    b = write(tmp_path / "b.mkv", [as_shown(picture)] * 2)
    made = fuse_videos(fuser, [a, b], tmp_path / "out.mp4")
    expected = as_shown(picture)
    assert (made.height, made.width) == expected.shape
    _, pictures = read(tmp_path / "out.mp4")
    assert np.abs(pictures[0] - expected[..., None]).mean() < 3


def test_the_shape_of_pixels_is_kept_and_turned(tmp_path, fuser):
    for matrix, expected in (((1, 0, 0, 1), (4, 3)), ((0, 1, -1, 0), (3, 4))):
        a = turned(tmp_path / "a.mp4", matrix, scene(2), Fraction(4, 3))
        fuse_videos(fuser, [a, a], tmp_path / "out.mp4")
        with av.open(str(tmp_path / "out.mp4")) as video:
            ratio = video.streams.video[0].sample_aspect_ratio
        assert (ratio.numerator, ratio.denominator) == expected


def test_pixels_of_two_shapes_are_reported(tmp_path, fuser):
    a = turned(tmp_path / "a.mp4", (1, 0, 0, 1), scene(2), Fraction(4, 3))
    b = write(tmp_path / "b.mkv", scene(2))
    with pytest.warns(
        PictureWarning, match=r"4/3 times as wide as high in .*, but 1 times in"
    ):
        fuse_videos(fuser, [a, b], tmp_path / "out.mp4")


def test_times_that_are_not_constant_are_kept_and_other_times_reported(tmp_path, fuser):
    paths = []
    for name, times in (("a", (0, 1, 5, 6)), ("b", (0, 1, 2, 6))):
        paths.append(tmp_path / f"{name}.mkv")
        with av.open(str(paths[-1]), "w") as target:
            stream = target.add_stream("ffv1", rate=RATE)
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "gray"
            for picture, time in zip(scene(4), times, strict=True):
                levels = picture.astype(np.uint8)
                frame = av.VideoFrame.from_ndarray(levels, format="gray")
                frame.pts, frame.time_base = time, Fraction(1, RATE)
                target.mux(stream.encode(frame))
            target.mux(stream.encode(None))
    with pytest.warns(PictureWarning, match=r"up to 0\.3 s apart"):
        fuse_videos(fuser, paths, tmp_path / "out.mp4")
    np.testing.assert_allclose(
        read(tmp_path / "out.mp4")[0], [0, 0.1, 0.5, 0.6], atol=1e-3
    )


@pytest.mark.parametrize("kind", ["gray16le", "rgb48le"])
def test_16_bits_go_through_the_rule_of_levels(tmp_path, hand_model, kind):
    levels = np.rint(28000 + RAMP * 20).astype(np.uint16)  # 28800 to 32000
    a = tmp_path / "a.mkv"
    with av.open(str(a), "w") as target:
        stream = target.add_stream("ffv1", rate=RATE)
        stream.height, stream.width = HEIGHT, WIDTH
        stream.pix_fmt = kind if kind == "gray16le" else "gbrp16le"
        pixels = levels if kind == "gray16le" else np.dstack([levels] * 3)
        for _ in range(2):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=kind)))
        target.mux(stream.encode(None))
    fuser = Fuser(hand_model(), output_range="none", levels="28000:33000")
    fuse_videos(fuser, [a, a], tmp_path / "out.mp4")
    _, pictures = read(tmp_path / "out.mp4")
    expected = (levels - 28000.0) / 5000 * 255
    assert np.abs(pictures[0] - expected[..., None]).mean() < 2
