"""Parts: what of a page a request asks for, told from what the client says, or from the path where it says nothing.

Pure. Previous room: `traffic` hands requests over. Next room: `detect.crowd` takes who fetches parts for a person.
"""

SUFFIXES = {
    "js": "script",
    "mjs": "script",
    "css": "style",
    "png": "image",
    "jpg": "image",
    "jpeg": "image",
    "gif": "image",
    "webp": "image",
    "avif": "image",
    "svg": "image",
    "ico": "image",
    "woff": "font",
    "woff2": "font",
    "ttf": "font",
}


def fetch_of(said: str, path: str) -> str:
    """Return the Sec-Fetch-Dest of a request; of old browsers and tools, what the path looks like, empty for a page or a call."""
    if said:
        return said[:32]
    name = path.rpartition("/")[2]
    return SUFFIXES.get(name.rpartition(".")[2].lower(), "") if "." in name else ""
