#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh BUILD_DIR CMAKE CC - installs the build into a fresh prefix and uses it as a stranger would:
# by pkg-config and by find_package, shared and static. The prefix has a space in its name.
set -eu
build=$1 cmake=$2 cc=$3
here=$(cd "$(dirname "$0")" && pwd)
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
prefix="$temp/a prefix"
unset CFLAGS LDFLAGS || true

"$cmake" --install "$build" --prefix "$prefix" >"$temp/install.log" || { cat "$temp/install.log"; exit 1; }
pc=$(find "$prefix" -name weft.pc)
libdir=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$(dirname "$pc")
LD_LIBRARY_PATH=$libdir
export PKG_CONFIG_PATH LD_LIBRARY_PATH

# pkg-config escapes the space, hence eval.
eval "\"\$cc\" \"\$here/hello.c\" -o \"\$temp/shared\" $(pkg-config --cflags --libs weft)"
"$temp/shared"
readelf -d "$temp/shared" | grep -q 'libweft\.so\.0' || { echo "shared: does not use libweft.so.0"; exit 1; }
echo "pkg-config, shared: ok"

eval "\"\$cc\" -static \"\$here/hello.c\" -o \"\$temp/static\" $(pkg-config --static --cflags --libs weft)"
env -u LD_LIBRARY_PATH "$temp/static"
echo "pkg-config, static: ok"

if [ -n "$(find "$prefix" -name weft-tls.pc)" ]; then
    eval "\"\$cc\" \"\$here/hello_tls.c\" -o \"\$temp/tls\" $(pkg-config --cflags --libs weft-tls)"
    "$temp/tls"
    readelf -d "$temp/tls" | grep -q 'libweft-tls\.so\.0' || { echo "tls: does not use libweft-tls.so.0"; exit 1; }
    echo "pkg-config, weft-tls: ok"
fi

"$cmake" -S "$here" -B "$temp/user build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
    >"$temp/user.log" 2>&1 && "$cmake" --build "$temp/user build" >>"$temp/user.log" 2>&1 ||
    { cat "$temp/user.log"; exit 1; }
"$temp/user build/hello_shared"
env -u LD_LIBRARY_PATH "$temp/user build/hello_static"
if [ -x "$temp/user build/hello_tls_shared" ]; then
    "$temp/user build/hello_tls_shared"
    env -u LD_LIBRARY_PATH "$temp/user build/hello_tls_static"
fi
echo "find_package, shared and static: ok"
