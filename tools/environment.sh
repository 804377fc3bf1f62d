#!/bin/sh
# Make the project's own environment, or bring it up to date: `sh tools/environment.sh LAYER`.
#
#   run       what `imagefinder` itself needs, what draws the page's map, and the package (editable)
#   dev       and every extra, the tests, the linters, the docs
#   all       and PyTorch with the built-in model's original weights, a Milvus server, axe-core from
#             npm, and the Debian packages of some tests
#   packages  nothing: print which of those Debian packages are missing
#
# Quick when nothing changed: a stamp in the environment holds the checksum of what was installed.
# PYTHON names another interpreter, VENV another folder.
set -eu
cd "$(dirname "$0")/.."

layer=${1:-run}
python=${PYTHON:-python3}
venv=${VENV:-.venv}

main() {
    case $layer in
        run)
            # What `dev` installs holds all of it, so `make run` after `make test` starts at once.
            installed dev requirements/dev.txt ||
                install_layer run requirements/run.txt requirements/build.txt
            ;;
        dev) install_layer dev requirements/dev.txt ;;
        all)
            install_layer dev requirements/dev.txt
            install_layer all requirements/torch.txt requirements/milvus.txt
            install_debian_packages
            install_node_modules
            ;;
        packages) missing_packages ;;
        *) fail "environment: '$layer' is none of run, dev, all, packages" ;;
    esac
}

# install_layer NAME LOCK...
install_layer() {
    ! installed "$@" || return 0
    name=$1 && shift
    "$venv/bin/python" -c 'import pip' 2>/dev/null || make_venv
    rm -f "$venv/.imagefinder-$name"
    count=$(cat "$@" | grep -c '^[a-z].*==')
    echo "Installing $count packages into $venv; the first time takes a minute or two ..."
    start=$(date +%s)
    show_life
    for lock; do
        pip install -r "$lock"
    done
    [ "$name" = all ] || pip install --no-deps --no-build-isolation --editable .
    fingerprint "$@" >"$venv/.imagefinder-$name"
    hide_life
    echo "Installed in $(($(date +%s) - start)) s."
}

# installed NAME LOCK...
installed() {
    stamp=$venv/.imagefinder-$1 && shift
    [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint "$@")" ] && "$venv/bin/python" -c '' 2>/dev/null
}

# What decides the content: the place, too, since scripts in an environment hold its path.
fingerprint() {
    { pwd && cat "$@" pyproject.toml src/imagefinder/_version.py; } | cksum
}

make_venv() {
    command -v "$python" >/dev/null 2>&1 ||
        fail "no '$python' here: install Python 3.11 or later, or name one: make PYTHON=/path/to/python3"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version 2>&1) is too old ($(command -v "$python")); 3.11 or later is needed:" \
            "install it, or name one: make PYTHON=/path/to/python3"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "this Python cannot make environments; on Debian and Ubuntu: apt-get install python3-venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
}

# A dot every two seconds, for a person to see; pip itself is kept quiet.
show_life() {
    [ -t 1 ] || return 0
    while sleep 2; do printf '.'; done &
    dots=$!
    trap hide_life EXIT
}

hide_life() {
    [ -n "${dots:-}" ] || return 0
    kill "$dots" 2>/dev/null || true
    dots=""
    echo
}

pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check -qq "$@"
}

install_debian_packages() {
    missing=$(missing_packages | xargs)
    [ -n "$missing" ] || return 0
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        echo "Installing Debian's $missing ..."
        {
            apt-get update -qq
            # shellcheck disable=SC2086 # a word a package
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
        } >/dev/null
    else
        echo "The tests that need Debian's $missing are skipped; CONTRIBUTING.md says which." >&2
    fi
}

# One a line: the Debian package, unless one of the programs is there that it would bring.
missing_packages() {
    unless_here qemu-user qemu-x86_64
    unless_here chromium "${IMAGEFINDER_CHROMIUM:-chromium}" chromium-browser google-chrome
    unless_here npm npm
}

# unless_here PACKAGE PROGRAM...
unless_here() {
    package=$1 && shift
    for program; do
        ! command -v "$program" >/dev/null 2>&1 || return 0
    done
    echo "$package"
}

# The stamp lies in the folder that npm makes anew.
install_node_modules() {
    folder=tests/browser
    stamp=$folder/node_modules/.imagefinder
    wanted=$(cat $folder/package.json $folder/package-lock.json $folder/.npmrc | cksum)
    [ "$(cat $stamp 2>/dev/null)" != "$wanted" ] || return 0
    command -v npm >/dev/null 2>&1 || return 0 # that was said
    echo "Installing axe-core into $folder/node_modules ..."
    if (cd $folder && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null); then
        echo "$wanted" >$stamp
    else
        echo "Without axe-core, which npm could not bring, the accessibility tests are skipped." >&2
    fi
}

fail() {
    printf 'imagefinder: %s\n' "$@" >&2
    exit 1
}

main
