"""Datasets of wrong folders, names and captions, and exactly what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dataset_files import Content, photo

CAPTIONED = {"a.jpg": photo(1), "a.txt": "a cat on a wall"}
"""A dataset with nothing wrong."""


@dataclass(frozen=True)
class Wrong:
    """Files, and what is said of them; DIR stands for their folder."""

    files: dict[str, Content]
    says: tuple[str, ...]


def wrong(files: dict[str, Content], *says: str) -> Wrong:
    return Wrong(files, says)


def beside(files: dict[str, Content], *says: str) -> Wrong:
    """Return a dataset that has something wrong beside a good image."""
    return Wrong(CAPTIONED | files, says)


FOLDERS = {
    "no image at all": wrong(
        {"readme.md": "nothing yet"},
        "error: DIR: holds no images (.png, .jpg, .jpeg, .webp, .bmp); put images there, or name the "
        "folder that holds them",
    ),
    "only formats that are overlooked": wrong(
        {"a.heic": b"?"},
        "warning: DIR/a.heic: is a .heic file; sd-scripts overlooks it: convert it to PNG or JPEG, or "
        "leave it out on purpose",
        "error: DIR: holds no images (.png, .jpg, .jpeg, .webp, .bmp); put images there, or name the "
        "folder that holds them",
    ),
    "folders without a number": wrong(
        {"cats/a.jpg": photo(1), "cats/a.txt": "a cat", "dogs/b.jpg": photo(2), "dogs/b.txt": "a dog"},
        "error: DIR/cats: holds images, but 'cats' is no number of repeats; rename it REPEATS_NAME, such "
        "as 10_cat, or move it away: sd-scripts ignores it without a number",
        "error: DIR/dogs: holds images, but 'dogs' is no number of repeats; rename it REPEATS_NAME, such "
        "as 10_cat, or move it away: sd-scripts ignores it without a number",
    ),
    "one folder of several without a number": wrong(
        {"10_cat/a.jpg": photo(1), "ten_dog/b.jpg": photo(2)},
        "error: DIR/ten_dog: holds images, but 'ten' is no number of repeats; rename it REPEATS_NAME, such "
        "as 10_cat, or move it away: sd-scripts ignores it without a number",
    ),
    "a number without its underscore": wrong(
        {"10 cat/a.jpg": photo(1)},
        "error: DIR/10 cat: holds images, but '10 cat' is no number of repeats; rename it REPEATS_NAME, "
        "such as 10_cat, or move it away: sd-scripts ignores it without a number",
    ),
    "a folder of no repeats": wrong(
        {"10_cat/a.jpg": photo(1), "0_dog/b.jpg": photo(2)},
        "error: DIR/0_dog: asks for 0 repeats; begin its name with 1 or more, or move it away: sd-scripts "
        "ignores it",
    ),
    "images beside numbered folders": wrong(
        {"10_cat/a.jpg": photo(1), "b.jpg": photo(2), "b.txt": "a dog"},
        "error: DIR: holds images beside the numbered folders 10_cat; move the images into a numbered "
        "folder, or the folders elsewhere",
    ),
    "an empty numbered folder": wrong(
        {"10_cat/a.jpg": photo(1), "5_dog": None},
        "error: DIR/5_dog: holds no images (.png, .jpg, .jpeg, .webp, .bmp); put images there, or name the "
        "folder that holds them",
    ),
    "images deeper in a numbered folder": wrong(
        {"10_cat/more/a.jpg": photo(1)},
        "error: DIR/10_cat: holds no images (.png, .jpg, .jpeg, .webp, .bmp), but its subfolders more do; "
        "put images there, or name the folder that holds them",
    ),
    "more images deeper": wrong(
        CAPTIONED | {"old/b.jpg": photo(2), "new/x/c.jpg": photo(3)},
        "warning: DIR: images are in its subfolders new and old; sd-scripts looks into no subfolder: move "
        "them up, or leave them out on purpose",
    ),
    "images beside the folder images": wrong(
        {"images/a.jpg": photo(1), "images/a.txt": "a cat", "spare/b.jpg": photo(2)},
        "warning: DIR: images are in its subfolders spare; sd-scripts looks into no subfolder: move them "
        "up, or leave them out on purpose",
    ),
    "regularisation images alone": wrong(
        {"reg_images/a.jpg": photo(1), "reg_images/a.txt": "a cat"},
        "error: DIR: holds no images (.png, .jpg, .jpeg, .webp, .bmp); put images there, or name the "
        "folder that holds them",
        "error: DIR/reg_images: holds only regularisation images; add images to train on",
    ),
    "more regularisation images than images": wrong(
        {"img/1_cat/a.jpg": photo(1), "reg/2_cat/b.jpg": photo(2)},
        "warning: DIR/reg/2_cat: brings regularisation images to 2 with repeats, for 1 to train on; "
        "sd-scripts leaves the rest unused",
    ),
    "what an earlier training left": wrong(
        CAPTIONED | {"a_1024x1024_sdxl.npz": b"?", "a_te_outputs.npz": b"?"},
        "warning: DIR: holds what an earlier training cached: a_1024x1024_sdxl.npz and a_te_outputs.npz; "
        "delete them: sd-scripts trusts them even if VAE, resolution or captions have changed",
    ),
}

NAMES = {
    "a suffix of mixed case": beside(
        {"b.Jpg": photo(2)},
        "error: DIR/b.Jpg: has the suffix .Jpg; spell it in lower case: sd-scripts overlooks it",
    ),
    "a line break in a name": beside(
        {"b\nc.jpg": photo(2), "b\nc.txt": "a dog"},
        "error: 'DIR/b\\nc.jpg': cannot have this name; rename it: a line break, a backslash or bytes that "
        "are not UTF-8 in a name cannot be sent",
        "error: 'DIR/b\\nc.txt': cannot have this name; rename it: a line break, a backslash or bytes that "
        "are not UTF-8 in a name cannot be sent",
    ),
    "a backslash in a name": beside(
        {"b\\c.jpg": photo(2), "b\\c.txt": "a dog"},
        "error: DIR/b\\c.jpg: cannot have this name; rename it: a line break, a backslash or bytes that "
        "are not UTF-8 in a name cannot be sent",
        "error: DIR/b\\c.txt: cannot have this name; rename it: a line break, a backslash or bytes that "
        "are not UTF-8 in a name cannot be sent",
    ),
    "a name of stray bytes": beside(
        {"caf\udce9.md": "x"},
        "error: 'DIR/caf\\udce9.md': cannot have this name; rename it: a line break, a backslash or bytes "
        "that are not UTF-8 in a name cannot be sent",
    ),
    "too long a name": beside(
        {f"{'b' * 240}.jpg": photo(2), f"{'b' * 240}.txt": "a dog"},
        f"error: DIR/{'b' * 240}.jpg: has too long a name; shorten it to 236 bytes before the suffix: "
        "cached latents need a longer name beside it",
    ),
    "two images of one stem": beside(
        {"a.png": photo(2, kind="PNG")},
        "error: DIR/a.png: has the same stem as a.jpg; rename one: they would share one caption, and one "
        "would be trained with the other's latents",
    ),
    "two images that differ in case": beside(
        {"A.jpg": photo(2), "A.txt": "a dog"},
        "warning: DIR/a.jpg: differs from A.jpg in case only; rename one: where case does not count, as on "
        "macOS or Windows, they are one file",
    ),
    "a folder called like an image": beside(
        {"b.png": None},
        "error: DIR/b.png: is a folder with the name of an image; remove it: sd-scripts would stop at it",
    ),
    "a broken link": beside(
        {"b.png": Path("nowhere.png")},
        "error: DIR/b.png: is a broken link; remove it: sd-scripts would stop at it",
    ),
    "a link to itself": beside(
        {"b.png": Path("b.png")},
        "error: DIR/b.png: is a broken link; remove it: sd-scripts would stop at it",
    ),
    "other formats": beside(
        {"b.gif": b"?", "c.TIFF": b"?", "d.avif": b"?"},
        "warning: DIR/b.gif: is a .gif file; sd-scripts overlooks it: convert it to PNG or JPEG, or leave "
        "it out on purpose",
        "warning: DIR/c.TIFF: is a .TIFF file; sd-scripts overlooks it: convert it to PNG or JPEG, or "
        "leave it out on purpose",
        "warning: DIR/d.avif: is a .avif file; sd-scripts overlooks it: convert it to PNG or JPEG, or "
        "leave it out on purpose",
    ),
}

_NO_CAPTION = "write one, or give class tokens for all images without"

CAPTIONS = {
    "no caption": beside({"b.jpg": photo(2)}, f"error: DIR/b.jpg: has no caption b.txt; {_NO_CAPTION}"),
    "a caption of another extension": beside(
        {"b.jpg": photo(2), "b.caption": "a dog"},
        f"error: DIR/b.jpg: has no caption b.txt, but there is b.caption; {_NO_CAPTION}",
    ),
    "a caption named after the whole file": beside(
        {"b.jpg": photo(2), "b.jpg.txt": "a dog"},
        f"error: DIR/b.jpg: has no caption b.txt, but there is b.jpg.txt; {_NO_CAPTION}",
    ),
    "a caption of another case": beside(
        {"b.jpg": photo(2), "B.txt": "a dog"},
        f"error: DIR/b.jpg: has no caption b.txt, but there is B.txt; {_NO_CAPTION}",
    ),
    "a caption of no image": beside(
        {"b.txt": "a dog"},
        "warning: DIR/b.txt: is the caption of no image; rename it like its image, or delete it: nothing "
        "uses it",
    ),
    "a regularisation image without caption": wrong(
        {"images/a.jpg": photo(1), "images/a.txt": "a cat", "reg_images/b.jpg": photo(2)},
        "warning: DIR/reg_images/b.jpg: has no caption b.txt; write one, or give class tokens: else its "
        "caption is empty",
    ),
    "an empty caption": beside(
        {"b.jpg": photo(2), "b.txt": ""},
        "error: DIR/b.txt: is empty; write a caption, or delete the file to use the class tokens",
    ),
    "a caption of blanks": beside(
        {"b.jpg": photo(2), "b.txt": " \n\t\n"},
        "error: DIR/b.txt: is empty; write a caption, or delete the file to use the class tokens",
    ),
    "an empty first line": beside(
        {"b.jpg": photo(2), "b.txt": "\na dog"},
        "error: DIR/b.txt: begins with an empty line; put the caption on the first line: sd-scripts reads "
        "no other",
    ),
    "more lines": beside(
        {"b.jpg": photo(2), "b.txt": "a dog\r\non a wall\r\n"},
        "warning: DIR/b.txt: has 2 lines of text; put all of it on the first line: sd-scripts reads no other",
    ),
    "Latin-1": beside(
        {"b.jpg": photo(2), "b.txt": "café".encode("latin-1")},
        "error: DIR/b.txt: is not UTF-8 (unexpected end of data at byte 3); save it as UTF-8: sd-scripts "
        "would stop at it",
    ),
    "UTF-16": beside(
        {"b.jpg": photo(2), "b.txt": "a dog".encode("utf-16")},
        "error: DIR/b.txt: is UTF-16; save it as UTF-8: sd-scripts would stop at it",
    ),
    "UTF-16 without a mark": beside(
        {"b.jpg": photo(2), "b.txt": "a dog".encode("utf-16-le")},
        "error: DIR/b.txt: is UTF-16, or no text; save it as UTF-8: sd-scripts would stop at it",
    ),
    "a byte order mark": beside(
        {"b.jpg": photo(2), "b.txt": "\ufeffa dog"},
        "warning: DIR/b.txt: begins with a byte order mark; save it as UTF-8 without BOM: the mark becomes "
        "part of the caption",
    ),
}
