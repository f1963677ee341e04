import cv2
import numpy as np
import pytest

from inspector.core.errors import FrameUnreadableError
from inspector.sources.genicam.pixels import LAYOUTS, NAMES, PixelLayout, write_frame

HEIGHT, WIDTH = 6, 8


def layout(name: str) -> PixelLayout:
    return next(known for known in LAYOUTS.values() if known.name == name)


def written(name: str, samples: np.ndarray) -> np.ndarray:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    write_frame(memoryview(samples.tobytes()), layout(name), image)
    return image


def test_every_format_has_a_name_of_its_own():
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("number", LAYOUTS)
def test_the_standards_number_says_how_many_bits_a_pixel_has(number):
    assert (number >> 16) & 0xFF == 8 * LAYOUTS[number].bytes_per_pixel


@pytest.mark.parametrize(("bits", "full"), [(10, 1023), (12, 4095), (14, 16383), (16, 65535)])
def test_deep_grey_is_scaled_to_eight_bits(bits, full):
    deep = np.zeros((HEIGHT, WIDTH), np.uint16)
    deep[0] = full
    deep[1] = full // 2 + 1
    image = written(f"Mono{bits}", deep)
    assert (image[0] == 255).all()
    assert (image[1] == 128).all()
    assert (image[2:] == 0).all()


@pytest.mark.parametrize(
    ("pattern", "red_at"), [("RG", (0, 0)), ("GR", (0, 1)), ("GB", (1, 0)), ("BG", (1, 1))]
)
def test_a_red_surface_is_red_under_every_bayer_pattern(pattern, red_at):
    mosaic = np.zeros((HEIGHT, WIDTH), np.uint8)
    mosaic[red_at[0] :: 2, red_at[1] :: 2] = 200
    image = written(f"Bayer{pattern}8", mosaic)
    blue, green, red = image[2:-2, 2:-2].reshape(-1, 3).mean(axis=0)
    assert red > 190
    assert blue == green == 0
    deep = written(f"Bayer{pattern}12", (mosaic.astype(np.uint16) << 4))
    np.testing.assert_array_equal(deep, image)


def test_colours_keep_their_order():
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:] = (10, 20, 30)
    assert (written("BGR8", picture)[0, 0] == (10, 20, 30)).all()
    assert (written("RGB8", picture)[0, 0] == (30, 20, 10)).all()
    deep = np.dstack([picture, np.full((HEIGHT, WIDTH), 255, np.uint8)])
    assert (written("RGBa8", deep)[0, 0] == (30, 20, 10)).all()


@pytest.mark.parametrize(("name", "luma_at"), [("YUV422_8_UYVY", 1), ("YUV422_8", 0)])
def test_packed_luma_is_where_the_format_has_it(name, luma_at):
    pairs = np.full((HEIGHT, WIDTH, 2), 128, np.uint8)
    pairs[:, :, luma_at] = 235
    assert (written(name, pairs) >= 253).all()


def test_a_frame_that_is_cut_off_is_no_picture():
    image = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
    with pytest.raises(FrameUnreadableError, match="47 of 48 bytes came"):
        write_frame(memoryview(bytes(47)), layout("Mono8"), image)
    assert (image == 7).all()


def test_what_follows_the_picture_is_left_alone():
    grey = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    write_frame(memoryview(grey.tobytes() + b"chunk data"), layout("Mono8"), image)
    np.testing.assert_array_equal(image, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
