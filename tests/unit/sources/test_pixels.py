import cv2
import numpy as np
import pytest
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from inspector.sources.pixels import PixelWriter

WIDTH, HEIGHT = 640, 360


def picture(width=WIDTH, height=HEIGHT):
    """Smooth colours: with sharp ones the converters differ in how they smooth chroma."""
    noise = np.random.default_rng(5).integers(
        30, 220, (height // 80 + 2, width // 80 + 2, 3), np.uint8
    )
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def frame(pixel_format, width=WIDTH, height=HEIGHT):
    source = VideoFrame.from_ndarray(picture(width, height), format="bgr24")
    return source if pixel_format == "bgr24" else source.reformat(format=pixel_format)


def written(decoded, writer=None):
    image = np.full((decoded.height, decoded.width, 3), 7, np.uint8)
    (writer or PixelWriter()).write(decoded, image)
    return image


def swscale(decoded):
    return decoded.to_ndarray(format="bgr24")


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p", "nv12", "gray", "bgr24", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "rgb24"],
)
@pytest.mark.parametrize("width", [WIDTH, 648, 634])  # 648 and 634: lines end in padding
def test_every_format_gives_the_colours_libswscale_gives(pixel_format, width):
    decoded = frame(pixel_format, width)
    error = np.abs(written(decoded).astype(int) - swscale(decoded))
    assert error.mean() < 1.5
    # At the edges libswscale smooths the chroma of nv12, OpenCV does not.
    assert np.percentile(error, 99.5) <= 6


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12"])
def test_the_colours_come_back_as_they_went_in(pixel_format):
    error = np.abs(written(frame(pixel_format)).astype(int) - picture())
    assert np.median(error) <= 3


def test_full_range_is_told_from_limited_range():
    decoded = frame("yuv420p")
    limited = written(decoded)
    decoded.color_range = ColorRange.JPEG
    full = written(decoded)
    assert np.abs(full.astype(int) - limited).mean() > 3
    assert np.array_equal(full, swscale(decoded))


def test_the_bt709_matrix_is_used_where_the_stream_says_so():
    decoded = frame("yuv420p")
    untagged = written(decoded)
    decoded.colorspace = Colorspace.ITU709
    tagged = written(decoded)
    assert np.abs(tagged.astype(int) - untagged).mean() > 0.5
    assert np.array_equal(tagged, swscale(decoded))


def test_odd_sizes_are_converted_too():
    decoded = frame("yuv420p", 321, 181)
    assert np.array_equal(written(decoded), swscale(decoded))


def test_one_scratch_buffer_serves_all_frames():
    writer = PixelWriter()
    written(frame("yuv420p"), writer)
    scratch = writer._scratch
    written(frame("yuv420p"), writer)
    assert writer._scratch is scratch
    assert scratch is not None
    assert scratch.nbytes == WIDTH * HEIGHT * 3 // 2


def test_a_writer_follows_a_change_of_format():
    writer = PixelWriter()
    for pixel_format in ("yuv420p", "yuv422p", "nv12", "yuv420p", "yuvj420p", "yuv422p"):
        decoded = frame(pixel_format)
        assert np.array_equal(written(decoded, writer), written(decoded))


def test_only_the_given_rows_of_a_larger_buffer_are_written():
    pool = np.full((3, HEIGHT, WIDTH, 3), 7, np.uint8)
    PixelWriter().write(frame("yuv420p"), pool[1])
    assert (pool[0] == 7).all()
    assert (pool[2] == 7).all()
    assert np.array_equal(pool[1], written(frame("yuv420p")))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((HEIGHT, WIDTH + 2, 3), np.uint8),
        np.zeros((HEIGHT, WIDTH), np.uint8),
        np.zeros((HEIGHT, WIDTH, 3), np.float32),
        np.zeros((HEIGHT, WIDTH * 2, 3), np.uint8)[:, ::2],
    ],
)
def test_a_buffer_that_does_not_fit_is_refused_and_untouched(image):
    with pytest.raises(ValueError, match="the frame needs"):
        PixelWriter().write(frame("yuv420p"), image)
    assert not image.any()
