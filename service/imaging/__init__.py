"""Turns a picture of one or several digits into rows in MNIST's own form: float32 [784], light ink on a dark ground.

The steps for one picture:

- `decoding` decodes the file into an upright greyscale page, after `picture_files` has checked its header;
- `margin` lays paper around a page that is cropped to the edges of its only digit;
- `first_look` finds the sheet (`island`, `table`), removes uneven light (`light`, `shade`) and rulings (`rulings`,
  which `ruled_lines` finds); its result is a `sight`;
- `paper` tells ink from paper, `strokes` finds its connected parts, `pale_strokes` those too pale for the threshold;
- `digit` finds the strokes of one digit, `lines` those of several, in `reading_order`; both leave out `circles` around
  digits, `lines` also the `surroundings` of a sheet; `joints` proposes where to part digits that touch;
- `form` brings the ink into MNIST's form.

The package does not know what the network makes of a row.
"""

from service.imaging.digit import picture_from_pixels, pixels_from_picture
from service.imaging.picture_files import MEDIA_TYPES, PictureError, PictureTooLarge

__all__ = [
    "MEDIA_TYPES",
    "PictureError",
    "PictureTooLarge",
    "picture_from_pixels",
    "pixels_from_picture",
]
