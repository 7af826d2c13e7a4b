#!/usr/bin/env bash
# Put the demo's video, pedestrians seen by a fixed camera, at the path given. Needs no root.
set -euo pipefail
target=$1
inside=usr/share/doc/opencv-doc/examples/data/vtest.avi
if [ -f "/$inside" ]; then
    mkdir -p "$(dirname "$target")"
    ln -sf "/$inside" "$target"
    exit
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo 'error: the video comes from the Debian or Ubuntu package opencv-doc, and this machine' \
        'has no apt-get: name another video with "make demo VIDEO=path".' >&2
    exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo 'opencv-doc: getting the video of the demo'
if ! (cd "$folder" && apt-get download opencv-doc) >"$folder/log" 2>&1; then
    # The machine's own package lists are missing or too old; lists of our own need no root.
    mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial"
    own=(-o "Dir::State=$folder/state" -o "Dir::Cache=$folder/cache"
         -o Dir::State::status=/var/lib/dpkg/status -o APT::Sandbox::User=)
    if ! (cd "$folder" && apt-get "${own[@]}" update &&
            apt-get "${own[@]}" download opencv-doc) >"$folder/log" 2>&1; then
        tail -3 "$folder/log" >&2
        echo 'error: the package opencv-doc, which holds the video, could not be downloaded:' \
            'name another video with "make demo VIDEO=path".' >&2
        exit 1
    fi
fi
dpkg-deb -x "$folder"/opencv-doc_*.deb "$folder/package"
mkdir -p "$(dirname "$target")"
cp "$folder/package/$inside" "$target.part"
mv "$target.part" "$target"
