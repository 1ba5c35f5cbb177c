import numpy as np
import pytest

from refusion_jax.cli import main
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.fusing.video import fuse_videos, is_video

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
        (fast, r"one frame rate, got 10 in .*a\.mkv and 25 in .*fast\.mkv"),
        (narrow, "source 1 of 48x32 and source 2 of 32x32"),
        (tmp_path / "broken.mkv", r"readable videos, got .*broken\.mkv"),
    ):
        with pytest.raises(ValueError, match=message):
            fuse_videos(fuser, [a, other], out)
        assert not out.exists() and not list(tmp_path.glob(".*"))
    with pytest.raises(ValueError, match=r"\.mp4, \.mkv, \.mov, got .*out\.gif"):
        fuse_videos(fuser, [a, a], tmp_path / "out.gif")


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
    assert err.startswith("refusion: the weights heat (Heat and light) are taken, ")


def test_the_command_prints_one_line_a_video(videos, capsys):
    assert fuse("a.mkv", "b.mkv", "-o", "out.mp4") == 0
    assert capsys.readouterr() == ("out.mp4 48x32, 3 frames\n", "")
    assert fuse("a.mkv", "long.mkv", "-o", "out.mp4") == 0
    assert "differ in length; 3 frames are common" in capsys.readouterr().err
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
        (("a.mkv", "b.mkv", "-o", "a.mkv"), "apart from the sources, got a.mkv"),
        (
            ("a.mkv", "b.mkv", "-o", "x.mp4", "--range=stretch"),
            "would make them flicker",
        ),
        (
            ("a.mkv", "b.mkv", "-o", "x.mp4", "--maps"),
            "pictures with --maps or --resume",
        ),
    ],
    ids=repr,
)
def test_what_cannot_be_done_with_videos_is_told(videos, capsys, arguments, message):
    assert fuse(*arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
