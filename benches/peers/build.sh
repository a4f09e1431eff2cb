#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh [DIR] - builds the peer programs into DIR (build/peers). What can't be built is left out,
# with one line that says so; the benchmarks then do without it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../build/peers}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1

# Older than one of its sources, or not there.
is_stale() { # PROGRAM SOURCE...
    program=$1
    shift
    [ ! -x "$program" ] || [ -n "$(find "$@" -type f -newer "$program")" ]
}

make_peer() { # NAME TOOL SOURCES COMMAND...
    name=$1 tool=$2 sources=$3 # several, with spaces between
    shift 3
    if ! command -v "$tool" >/dev/null; then
        echo "peers: no peer_$name: $tool is not installed"
    elif is_stale "$out/peer_$name" $sources; then
        echo "peers: building peer_$name"
        "$@" >"$out/$name.log" 2>&1 || echo "peers: no peer_$name: see $out/$name.log"
    fi
}

build_go() {
    cd "$here/go" && GOFLAGS=-mod=readonly go build -o "$out/peer_go" .
}

# Cargo writes its lock file beside the sources: it gets a copy of them.
build_tokio() {
    mkdir -p "$out/tokio/src" && cp "$here/tokio/Cargo.toml" "$out/tokio/" &&
        cp "$here"/tokio/src/*.rs "$out/tokio/src/" &&
        cargo build --release --manifest-path "$out/tokio/Cargo.toml" &&
        printf '#!/bin/sh\nexec "%s" current "$@"\n' "$out/peer_tokio" >"$out/peer_tokio_current" &&
        chmod +x "$out/peer_tokio_current" &&
        cp "$out/tokio/target/release/peer_tokio" "$out/peer_tokio"
}

build_boost() {
    c++ -O3 -std=c++17 -o "$out/peer_boost" "$here/boost.cpp" -lboost_fiber -lboost_context -pthread
}

build_tbb() {
    c++ -O3 -std=c++17 -o "$out/peer_tbb" "$here/tbb.cpp" -ltbb -pthread
}

build_uv() {
    cc -O2 -std=gnu11 -D_GNU_SOURCE -o "$out/peer_uv" "$here/uv.c" -luv
}

build_hyper() {
    mkdir -p "$out/hyper/src" && cp "$here/hyper/Cargo.toml" "$out/hyper/" &&
        cp "$here"/hyper/src/*.rs "$out/hyper/src/" &&
        cargo build --release --manifest-path "$out/hyper/Cargo.toml" &&
        cp "$out/hyper/target/release/peer_hyper" "$out/peer_hyper"
}

build_raw_http() {
    cc -O2 -std=gnu11 -D_GNU_SOURCE -o "$out/peer_raw_http" "$here/raw_http.c"
}

# An environment of its own, for uvloop. The programs are two lines of shell.
build_python() {
    { [ -x "$out/python/bin/python" ] || python3 -m venv "$out/python"; } &&
        printf '#!/bin/sh\nexec "%s" "%s" asyncio "$@"\n' \
            "$out/python/bin/python" "$here/asyncio_peer.py" >"$out/peer_asyncio" &&
        chmod +x "$out/peer_asyncio"
}

build_uvloop() {
    [ -x "$out/python/bin/python" ] && "$out/python/bin/python" -m pip install --quiet uvloop &&
        sed 's/ asyncio "/ uvloop "/' "$out/peer_asyncio" >"$out/peer_uvloop" &&
        chmod +x "$out/peer_uvloop"
}

has_header() { # HEADER LANGUAGE
    echo "#include <$1>" | c++ -x "$2" -E - >/dev/null 2>&1
}

if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    make_peer asyncio python3 "$here/build.sh" build_python
    make_peer uvloop python3 "$here/build.sh" build_uvloop
else
    echo "peers: no peer_asyncio, no peer_uvloop: Python 3.11 is not installed"
fi
make_peer go go "$here/go" build_go
make_peer raw_http cc "$here/raw_http.c" build_raw_http
make_peer hyper cargo "$here/hyper" build_hyper
make_peer tokio cargo "$here/tokio" build_tokio
if has_header boost/fiber/all.hpp c++; then
    make_peer boost c++ "$here/boost.cpp $here/boost_fork.h $here/../matmul.h" build_boost
else
    echo "peers: no peer_boost: Boost.Fiber is not installed (libboost-fiber-dev)"
fi
if has_header oneapi/tbb/task_group.h c++; then
    make_peer tbb c++ "$here/tbb.cpp $here/../chain.h $here/../matmul.h" build_tbb
else
    echo "peers: no peer_tbb: TBB is not installed (libtbb-dev)"
fi
if has_header uv.h c; then
    make_peer uv cc "$here/uv.c" build_uv
else
    echo "peers: no peer_uv: libuv is not installed (libuv1-dev)"
fi
expand() { # HEADER MACROS
    echo "=$2" | c++ -include "$1" -E -P -x c++ - | tr -d '\n" ' | sed 's/.*=//'
}

# What each of them is, for the reports.
{
    echo "GCC $(c++ -dumpfullversion)"
    [ ! -x "$out/peer_go" ] || echo "Go $(go env GOVERSION | sed 's/^go//')"
    [ ! -x "$out/peer_tokio" ] || echo "Tokio $(sed -n '/^name = "tokio"/{n;s/.*"\(.*\)"/\1/p;}' "$out/tokio/Cargo.lock"), $(rustc --version | cut -d' ' -f1-2)"
    [ ! -x "$out/peer_tbb" ] || echo "oneTBB $(expand oneapi/tbb/version.h TBB_VERSION_MAJOR.TBB_VERSION_MINOR)"
    [ ! -x "$out/peer_boost" ] || echo "Boost.Fiber $(expand boost/version.hpp BOOST_LIB_VERSION | tr _ .)"
    [ ! -x "$out/peer_uv" ] || echo "libuv $(expand uv/version.h UV_VERSION_MAJOR.UV_VERSION_MINOR.UV_VERSION_PATCH)"
    [ ! -x "$out/peer_asyncio" ] || echo "CPython $("$out/python/bin/python" -c 'import platform; print(platform.python_version())')"
    [ ! -x "$out/peer_uvloop" ] || echo "uvloop $("$out/python/bin/python" -c 'import uvloop; print(uvloop.__version__)')"
} >"$out/versions" 2>/dev/null
exit 0
