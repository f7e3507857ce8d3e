# What the scripts share; sourced, not run. Moves to the root of the repository.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# How the program is built for use: with Swift's libraries inside, so that it runs where there is no toolchain.
# shellcheck disable=SC2034 # used by those that source this
release=(--configuration release --static-swift-stdlib)

say() { printf '\n== %s\n' "$*"; }

# Ends with a clear word when there is no Swift, or one that is too old.
need_swift() {
    if ! command -v swift >/dev/null; then
        echo "The Swift toolchain 6.2 or later is needed, and 'swift' is not on the PATH." >&2
        echo "See https://www.swift.org/install/" >&2
        exit 69
    fi
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    if [[ -z $version || $(printf '%s\n6.2\n' "$version" | sort --version-sort | head -n 1) != 6.2 ]]; then
        echo "The Swift toolchain 6.2 or later is needed; this one is ${version:-of an unknown version}." >&2
        exit 69
    fi
}
