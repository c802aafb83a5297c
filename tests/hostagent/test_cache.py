"""The image cache: what has a name is whole, what is needed stays, the least used goes."""

import hashlib
import os

import pytest

from innkeeper_hostagent.cache import Cache, Manifest
from innkeeper_hostagent.caches import Caches
from innkeeper_hostagent.protocol.bulk import beside_of
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Digest, DiskFormat

KIB = 1024


def content(letter):
    return letter.encode() * KIB


def digest_of(letter):
    return Digest(hashlib.sha256(content(letter)).hexdigest())


def manifest(letter, *, home=False):
    return Manifest(
        sha256=digest_of(letter),
        size_bytes=KIB,
        virtual_size_bytes=KIB,
        format=DiskFormat.RAW,
        name=letter,
        home=home,
    )


def admit(cache, letter, *, home=False, used_at_s=None):
    partial = cache.partial_path(digest_of(letter))
    partial.write_bytes(content(letter))
    cache.admit(partial, manifest(letter, home=home))
    if used_at_s is not None:
        os.utime(cache._manifest_path(digest_of(letter)), (used_at_s, used_at_s))


def a_cache(tmp_path, *, limit_kib=3, in_use=(), **options):
    return Cache(tmp_path, limit_bytes=limit_kib * KIB, in_use=lambda: {digest_of(x) for x in in_use}, **options)


def letters(cache):
    return "".join(letter for letter in "abcdefg" if digest_of(letter) in cache.digests())


def test_an_admitted_image_is_found_read_only_and_nothing_half_done_is_left(tmp_path):
    cache = a_cache(tmp_path)
    admit(cache, "a")

    path = cache.path(digest_of("a"))
    assert path.read_bytes() == content("a")
    assert path.stat().st_mode & 0o777 == 0o444
    assert list((tmp_path / "images" / "partial").iterdir()) == []


def test_what_was_admitted_is_known_again_by_the_next_agent(tmp_path):
    admit(a_cache(tmp_path), "a", home=True)

    again = a_cache(tmp_path, limit_kib=0)

    assert letters(again) == "a"
    assert again.make_room(0) == ()


def test_the_least_used_image_goes_first_and_a_use_counts(tmp_path):
    cache = a_cache(tmp_path, limit_kib=3)
    for age, letter in enumerate("abc"):
        admit(cache, letter, used_at_s=1000 + age)
    cache.path(digest_of("a"))

    evicted = cache.make_room(KIB)

    assert evicted == (digest_of("b"),)
    assert letters(cache) == "ac"
    assert not (tmp_path / "images" / digest_of("b")).exists()


def test_images_at_home_and_images_in_use_are_never_evicted(tmp_path):
    cache = a_cache(tmp_path, limit_kib=2, in_use="b")
    admit(cache, "a", home=True, used_at_s=1)
    admit(cache, "b", used_at_s=2)
    admit(cache, "c", used_at_s=3)

    assert cache.make_room(KIB) == (digest_of("c"),)
    with pytest.raises(DriverError, match="raise cache_limit_mib") as refusal:
        cache.make_room(2 * KIB)
    assert refusal.value.code == "no_space"
    assert letters(cache) == "ab"


def test_images_at_home_do_not_count_against_the_limit(tmp_path):
    cache = a_cache(tmp_path, limit_kib=1)
    admit(cache, "a", home=True)

    assert cache.make_room(KIB) == ()


def test_a_shared_cache_never_evicts_and_sees_what_other_hosts_bring(tmp_path):
    here = a_cache(tmp_path, limit_kib=0, shared=True, owner="here")
    there = a_cache(tmp_path, limit_kib=0, shared=True, owner="there")
    admit(there, "a")

    assert here.path(digest_of("a")) is not None
    assert here.make_room(10 * KIB) == ()
    assert here.partial_path(digest_of("b")) != there.partial_path(digest_of("b"))


def test_an_image_that_a_disk_needs_is_not_dropped_and_any_other_is_pinned_or_not(tmp_path):
    cache = a_cache(tmp_path, in_use="b")
    admit(cache, "a", home=True)
    admit(cache, "b")

    assert cache.drop(digest_of("a"))
    assert not cache.drop(digest_of("a"))
    with pytest.raises(DriverError, match="delete the VMs"):
        cache.drop(digest_of("b"))
    assert letters(cache) == "b"


def test_an_image_without_a_manifest_and_a_manifest_without_an_image_are_cleaned_up(tmp_path):
    cache = a_cache(tmp_path)
    for letter in "abc":
        admit(cache, letter)
    (tmp_path / "images" / digest_of("a")).unlink()
    (tmp_path / "images" / f"{digest_of('b')}.json").unlink()

    again = a_cache(tmp_path)

    assert letters(again) == "c"
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == sorted(
        ["partial", digest_of("c"), f"{digest_of('c')}.json"]
    )


def test_an_image_becomes_one_that_is_at_home(tmp_path):
    cache = a_cache(tmp_path, limit_kib=1)
    admit(cache, "a")
    cache.keep(digest_of("a"))

    assert a_cache(tmp_path, limit_kib=0).make_room(0) == ()


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "AB" * 32, "ab" * 31, "a" * 64 + "\n"])
def test_what_is_no_digest_never_becomes_a_path(tmp_path, name):
    cache = a_cache(tmp_path)

    with pytest.raises(DriverError, match="not a SHA-256 digest"):
        cache.path(name)


def test_an_image_that_no_datastore_has_is_missing_by_code(tmp_path):
    caches = Caches({"default": a_cache(tmp_path)}, lambda *_: None)

    with pytest.raises(DriverError) as missing:
        caches.path(digest_of("a"))
    assert missing.value.code == "image_missing"


def test_what_is_known_of_an_image_s_chunks_comes_and_goes_with_it(tmp_path):
    cache = a_cache(tmp_path)
    beside_of(cache.partial_path(digest_of("a"))).write_bytes(b"chunks")
    admit(cache, "a")
    kept = tmp_path / "images" / f"{digest_of('a')}.manifest"
    assert kept.read_bytes() == b"chunks"

    cache.drop(digest_of("a"))

    assert not kept.exists()


def test_what_was_fetched_in_part_is_kept_for_a_day(tmp_path):
    cache = a_cache(tmp_path)
    old, new = cache.partial_path("old"), cache.partial_path("new")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))

    a_cache(tmp_path)

    assert (old.exists(), new.exists()) == (False, True)
