"""Pixels of image files: turned, wide, floating or forged, and what a frame shows of them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.captures import CaptureSet
from models.errors import DataError
from models.readers import ProblemKind, read_dataset
from models.readers.assemble import RawBox, RawFrame, RawLabels, assemble
from models.readers.bands import Band, ThermalUnit, thermal_counts, visible_levels
from models.readers.frames import FrameScaling
from models.readers.pixels import ImageDefect, image_info, read_pixels
from models.readers.report import ReportBuilder
from tests.captures.dataset_fixtures import coco, colour, grey

PATCH = (slice(4, 14), slice(4, 24))  # rows and columns of the stored frame


def _png(path: Path, size: tuple[int, int], samples: bytes, kind: int, bits: int = 16) -> Path:
    """Write a PNG of any type by its specification: Pillow writes none with 16-bit colour, or with a false size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = len(samples) // size[1] if size[1] else 0
    raw = b"".join(b"\0" + samples[k * rows : (k + 1) * rows] for k in range(min(size[1], 4096)))
    head = struct.pack(">IIBBBBB", *size, bits, kind, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", "lzw.tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_frame_is_turned_as_its_file_says(tmp_path: Path, suffix: str, orientation: int) -> None:
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[PATCH] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    more = {"compression": "tiff_lzw"} if suffix.startswith("lzw") else {"quality": 95} if suffix != ".tiff" else {}
    Image.fromarray(stored).save(path, exif=exif, **more)
    plain = Image.fromarray(stored)
    plain.info["exif"] = exif.tobytes()
    plain.getexif()[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(plain))
    found = read_pixels(path)
    assert found.shape == shown.shape
    assert np.abs(found.astype(int) - shown).mean() < 4
    info = image_info(path)
    assert not isinstance(info, ImageDefect)
    assert info.size == (shown.shape[1], shown.shape[0])


@pytest.mark.parametrize(
    ("annotated", "box", "frame"),
    [((48, 64), (34, 4, 44, 24), (48, 64)), ((64, 48), (4, 4, 24, 14), (64, 48)), (None, (34, 4, 44, 24), (48, 64))],
)
def test_boxes_lie_on_the_frame_whichever_way_it_was_annotated(
    tmp_path: Path, annotated: tuple[int, int] | None, box: tuple[float, ...], frame: tuple[int, int]
) -> None:
    stored = np.full((48, 64, 3), 30, np.uint8)
    stored[PATCH] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=95)
    x0, y0, x1, y1 = (int(v) for v in box)
    size = {} if annotated is None else {"width": annotated[0], "height": annotated[1]}
    image = {"id": 1, "file_name": "a.jpg", **size}
    path = coco(tmp_path / "a.json", [image], [(1, 1, [x0, y0, x1 - x0, y1 - y0])], {1: "car"})
    captures, report = read_dataset(path)
    assert (captures.captures[0].width, captures.captures[0].height) == frame
    assert captures.captures[0].objects[0].box == box
    eo = captures.frames.eo(0)
    assert eo is not None
    assert eo.shape == (frame[1], frame[0], 3)
    red = eo[..., 0].astype(int) - eo[..., 1] > 100
    assert red[y0:y1, x0:x1].mean() > 0.9
    assert red.sum() == pytest.approx(200, abs=20)
    assert not report.problems


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (6, 4)])
def test_colour_of_48_bits_keeps_all_of_them(tmp_path: Path, kind: int, channels: int) -> None:
    values = np.arange(48 * 64 * channels, dtype=np.uint16).reshape(48, 64, channels)
    found = read_pixels(_png(tmp_path / "a.png", (64, 48), values.astype(">u2").tobytes(), kind))
    assert found.dtype == np.uint16
    assert np.array_equal(found, values[..., :3])


@pytest.mark.parametrize("order", [">", "<"])
def test_grey_of_16_bits_is_one_in_either_order_of_bytes(tmp_path: Path, order: str) -> None:
    values = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21
    head = b"P5 64 48 65535\n"
    path = tmp_path / ("a.pgm" if order == ">" else "a.tiff")
    if order == ">":
        path.write_bytes(head + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(path)
    assert np.array_equal(read_pixels(path), values)


def _frame(tmp_path: Path, image: Path, scaling: FrameScaling | None = None, band: Band = Band.LWIR) -> CaptureSet:
    from models.readers import Options

    eo, lwir = (image, None) if band is Band.EO else (None, image)
    frame = RawFrame("a", "a", eo, lwir, RawLabels((RawBox("car", (4, 4, 9, 9)),)))
    options = Options() if scaling is None else Options(scaling=scaling)
    return assemble("x", [frame], ReportBuilder("x"), options)[0]


def _saved(tmp_path: Path, values: NDArray[np.generic]) -> Path:
    Image.fromarray(values).save(tmp_path / "a.tiff")
    return tmp_path / "a.tiff"


@pytest.mark.parametrize(
    ("values", "scaling", "counts"),
    [
        (np.float32([293.15, 309.5]), None, (29315, 30950)),  # kelvin
        (np.float32([21.25, 21.75]), None, (29440, 29490)),  # degrees Celsius
        (np.float32([-21.25, 30.0]), None, (25190, 30315)),
        (np.float32([0.0, 0.5]), None, (0, 32768)),  # shares of full scale
        (np.float32([7000, 7100]), None, (7000, 7100)),  # counts
        (np.float32([0.25, 0.75]), FrameScaling(unit=ThermalUnit.CELSIUS), (27340, 27390)),
        (np.float32([np.nan, 300.0]), None, (30000, 30000)),  # a dead pixel
        (np.float32([np.inf, 300.0]), None, (30000, 30000)),
        (np.int32([293150, 309500]), None, (29315, 30950)),  # millikelvin
        (np.int32([-2125, 3000]), None, (30643, 35768)),  # signed
        (np.uint16([7325, 7375]), FrameScaling(kelvin_per_count=0.04), (29300, 29500)),
        (np.uint8([10, 20]), None, (2560, 5120)),
    ],
    ids=lambda value: "-" if isinstance(value, np.ndarray) else str(value),
)
def test_thermal_samples_of_any_type_become_counts_that_show_the_warm_object(
    tmp_path: Path, values: NDArray[np.generic], scaling: FrameScaling | None, counts: tuple[int, int]
) -> None:
    picture = np.full((48, 64), values[0])
    picture[PATCH] = values[1]
    lwir = _frame(tmp_path, _saved(tmp_path, picture), scaling).frames.lwir(0)
    assert lwir is not None
    assert (lwir[0, 0], lwir[5, 5]) == counts


@pytest.mark.parametrize(
    ("values", "white", "levels"),
    [
        (np.uint16([9000, 40000]), None, (0, 255)),
        (np.uint16([100, 200]), None, (0, 100)),  # at most one level a count: noise is not stretched
        (np.uint16([1024, 4095]), 4095.0, (64, 255)),
        (np.float32([0.25, 0.5]), None, (64, 128)),
        (np.int32([9000, 40000]), None, (0, 255)),
        (np.uint8([90, 200]), None, (90, 200)),
    ],
)
def test_a_visible_frame_of_any_depth_shows_its_bright_patch(
    tmp_path: Path, values: NDArray[np.generic], white: float | None, levels: tuple[int, int]
) -> None:
    picture = np.full((48, 64), values[0])
    picture[PATCH] = values[1]
    captures = _frame(tmp_path, _saved(tmp_path, picture), FrameScaling(white_count=white), Band.EO)
    eo = captures.frames.eo(0)
    assert eo is not None
    assert eo.shape == (48, 64, 3)
    assert (tuple(eo[0, 0]), tuple(eo[5, 5])) == ((levels[0],) * 3, (levels[1],) * 3)


def test_a_thermal_frame_in_three_channels_is_its_luminance(tmp_path: Path) -> None:
    path = colour(tmp_path / "a.png", value=(200, 200, 200))
    lwir = _frame(tmp_path, path).frames.lwir(0)
    assert lwir is not None
    assert (lwir == 200 << 8).all()


@given(st.sampled_from([np.uint8, np.uint16, np.int32, np.float32]), st.binary(min_size=48, max_size=48))
def test_no_samples_make_a_frame_fail(kind: type[np.generic], data: bytes) -> None:
    for values in (np.frombuffer(data, kind).reshape(2, -1), np.frombuffer(data, kind)[:12].reshape(2, -1, 3)):
        assert thermal_counts(values).dtype == np.uint16
        assert visible_levels(values).shape == (*values.shape[:2], 3)


@pytest.mark.parametrize(
    ("size", "defect"),
    [
        ((20_000, 20_000), ImageDefect.HUGE),
        ((12_000, 8_000), ImageDefect.HUGE),
        ((2**31 - 1, 2**31 - 1), ImageDefect.HUGE),
        ((4_000, 4_000), ImageDefect.BROKEN),  # a header that lies
        ((0, 0), ImageDefect.BROKEN),
    ],
)
def test_a_huge_or_lying_header_is_one_broken_image(tmp_path: Path, size: tuple[int, int], defect: ImageDefect) -> None:
    (tmp_path / "images").mkdir()
    path = _png(tmp_path / "images/a.png", size, b"", 0, 8)
    assert image_info(path) is defect
    grey(tmp_path / "images/b.png")
    images = [{"id": k, "file_name": f"{name}.png"} for k, name in enumerate("ab")]
    captures, report = read_dataset(coco(tmp_path / "a.json", images, [(1, 1, [1, 1, 5, 5])], {1: "car"}))
    assert [c.id for c in captures.captures] == ["b"]
    kind = ProblemKind.HUGE_IMAGE if defect is ImageDefect.HUGE else ProblemKind.BROKEN_IMAGE
    assert [(p.kind, p.examples) for p in report.problems] == [(kind, ("a.png",))]
    with pytest.raises(DataError, match="leave it out"):
        read_pixels(path)


@given(st.sampled_from(["jpg", "png", "tiff", "webp", "bmp"]), st.integers(0, 600), st.binary(min_size=1, max_size=6))
def test_a_damaged_image_is_read_or_left_out(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, at: int, damage: bytes
) -> None:
    path = tmp_path_factory.mktemp("damaged") / f"a.{suffix}"
    Image.new("RGB", (16, 12), (9, 80, 200)).save(path)
    data = path.read_bytes()
    at %= len(data)
    path.write_bytes(data[:at] + damage + data[at + len(damage) :])
    if not isinstance(image_info(path), ImageDefect):
        read_pixels(path)


def test_the_thermal_frame_is_brought_onto_the_visible_one_that_boxes_are_drawn_on(tmp_path: Path) -> None:
    picture = np.full((48, 64), 50, np.uint8)
    picture[13:23, 15:25] = 250
    Image.fromarray(picture).save(tmp_path / "t.png")
    frame = RawFrame("a", "s", colour(tmp_path / "v.png"), tmp_path / "t.png")
    shift = (1.0, 0.0, 5.0, 0.0, 1.0, 3.0, 0.0, 0.0, 1.0)
    from models.readers import Options

    scaling = FrameScaling(eo_to_lwir=shift, reference=Band.EO)
    captures, _ = assemble("x", [frame], ReportBuilder("x"), Options(scaling=scaling))
    lwir = captures.frames.lwir(0)
    assert lwir is not None
    assert lwir[11:19, 11:19].min() > 240 << 8
    assert lwir[:9].max() < 60 << 8
