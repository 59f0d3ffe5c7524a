#!/bin/sh
# shared_code.sh NM LIBRARY: fail if a file built for AVX holds an inline function that other files may hold too.
# The linker keeps one of them, perhaps this one, and an older CPU would crash in it.
set -eu
shared=$("$1" -C --defined-only "$2" | awk '
  /\.o:$/ { variant = $1; sub(/\..*/, "", variant) }
  variant ~ /^avx/ && $2 == "W" && !index($0, "foretell::" variant "::") { $1 = variant ":"; print }')
[ -z "$shared" ] || { echo "$shared"; exit 1; }
