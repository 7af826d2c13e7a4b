#!/bin/sh
# Fetches the demo video: vtest.avi (768x576, 795 frames, pedestrians seen by a fixed camera) of the
# Debian and Ubuntu package opencv-doc. Needs no root; does nothing if the video is there already.
#
# usage: scripts/fetch_demo_video.sh DEST       for example .cache/vtest.avi
set -eu

fail() {
    echo "fetch_demo_video: $1" >&2
    echo 'fetch_demo_video: to use a video of your own: make demo VIDEO=path' >&2
    exit 1
}

[ $# -eq 1 ] || fail 'expected one argument, the file to make'
dest=$1
[ ! -s "$dest" ] || exit 0

mkdir -p "$(dirname "$dest")"
work=$(cd "$(dirname "$dest")" && pwd)
work=$(mktemp -d "$work/.fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# Some releases ship the file compressed.
take_video() {
    found=$(find "$1" -name 'vtest.avi*' -type f 2>/dev/null | head -n 1)
    case $found in
        '') return 1 ;;
        *.gz) gzip -dc "$found" > "$work/video" ;;
        *) cp "$found" "$work/video" ;;
    esac
    mv "$work/video" "$dest"
    echo "fetch_demo_video: the video is at $dest"
    exit 0
}

take_video /usr/share/doc/opencv-doc || true

command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null ||
    fail 'this machine has no apt-get and dpkg-deb, which fetch the Debian package opencv-doc'
echo 'fetch_demo_video: downloading the package opencv-doc (about 100 MB, no root needed) ...'
download() {
    (cd "$work" && apt-get -q "$@" download opencv-doc > apt.log 2>&1)
}
if ! download; then
    # Fresh containers have no package lists: fetch lists of our own, which needs no root either.
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    set -- -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=
    if ! { apt-get -q "$@" update > "$work/apt.log" 2>&1 && download "$@"; }; then
        sed 's/^/  /' "$work/apt.log" >&2
        fail 'apt-get could not download opencv-doc; is this machine offline?'
    fi
fi
mkdir "$work/package"
dpkg-deb -x "$work"/opencv-doc_*.deb "$work/package" || fail 'the downloaded package is damaged'
take_video "$work/package" || fail 'there is no vtest.avi in this version of opencv-doc'
