#!/bin/sh
# SPDX-License-Identifier: MIT
# ck.sh DIR - unpacks Debian's ConcurrencyKit for aarch64 into DIR. Its headers differ by machine, so
# the ones of this machine won't do. The package lists are private: the system's own stay as they are.
set -eu
[ -f "$1/done" ] && exit
mkdir -p "$1"
temp=$(mktemp -d) # apt's options can't hold a space, the path of DIR might
trap 'rm -rf "$temp"' EXIT
mkdir -p "$temp/lists/partial" "$temp/archives/partial"
private="-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root
    -o Dir::State::Lists=$temp/lists -o Dir::Cache=$temp"
# Other people's archives may lack this machine; only Debian's has to answer.
# shellcheck disable=SC2086
(cd "$temp" && { apt-get -q $private update || true; } && apt-get -q $private download libck-dev) \
    >"$1/apt.log" 2>&1 ||
    { echo "could not download libck-dev for arm64 (see $1/apt.log)" >&2; exit 1; }
dpkg-deb -x "$temp"/libck-dev_*_arm64.deb "$1"
touch "$1/done"
