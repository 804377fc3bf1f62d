#!/bin/sh
# Prove the Dockerfile where there is no container engine: take its steps in a fresh Debian, start
# what comes out as an engine would, and use it. As root on Debian or Ubuntu, for some minutes:
#
#   sh container/prove.sh [FOLDER]
#
# FOLDER keeps what is built (2 GB), by default for the time of the proof only; a base system that is
# there from last time is used again. MIRROR names a Debian mirror other than debootstrap's own.
set -eu
cd "$(dirname "$0")/.."

main() {
    [ "$(id -u)" = 0 ] || fail "this makes root file systems and mounts: run it as root"
    for tool in debootstrap unshare setpriv python3; do
        command -v "$tool" >/dev/null || fail "no $tool here: apt-get install debootstrap util-linux python3"
    done
    if [ -n "${1:-}" ]; then
        folder=$1
        mkdir -p "$folder"
    else
        folder=$(mktemp -d)
        trap 'rm -rf "$folder"' EXIT
    fi
    [ -e "$folder/base/usr/bin/python3" ] || make_base "$folder/base"
    rm -rf "$folder/built" "$folder/run"
    # Each half in namespaces of its own, so that no mount and no process can outlive it; the second
    # half has no network either, but for a loopback interface that is nobody else's.
    namespaces="unshare --mount --pid --fork --kill-child --mount-proc"
    $namespaces python3 -m container.prove build "$folder"
    $namespaces --net python3 -m container.prove use "$folder"
}

# A stand-in for the base image: the Debian release of its tag and that release's own Python, both
# without what the image has not either, such as the bytecode of the standard library.
make_base() {
    suite=$(sed -n 's/^ARG PYTHON_IMAGE=.*-//p' Dockerfile)
    echo "A fresh Debian $suite ..."
    rm -rf "$1"
    debootstrap --variant=minbase --include=ca-certificates,python3-venv,python-is-python3 \
        "$suite" "$1.new" ${MIRROR:+"$MIRROR"} >"$folder/debootstrap.txt"
    rm -rf "$1.new"/var/cache/apt/* "$1.new"/var/lib/apt/lists/* "$1.new"/usr/share/doc/*
    find "$1.new"/usr/lib/python3* -name __pycache__ -prune -exec rm -rf {} +
    mv "$1.new" "$1"
}

fail() {
    echo "prove: $*" >&2
    exit 1
}

main "$@"
