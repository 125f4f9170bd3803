"""From a picture of a digit, or of several, to rows in MNIST's own form: float32 [784], light ink on a dark ground.

One picture on its way:

- `decoding` makes an upright page of greys of its file, after `picture_files` has judged its header;
- `margin` lays paper around one that is cropped to its one digit's own edges;
- `first_look` finds the sheet (`island`, `table`), takes the light away (`light`, `shade`) and rulings (`rulings`,
  which `ruled_lines` finds); what it sees is a `sight`;
- `paper` tells ink from paper, `strokes` which ink belongs together, `pale_strokes` where it goes on too pale;
- `digit` finds the strokes of one digit, `lines` those of several, in `reading_order`; `circles` around them and
  `surroundings` of a sheet are left out, and `joints` are where digits that touch may be parted;
- `form` brings the ink into MNIST's form.

What the network makes of it is not known here.
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
