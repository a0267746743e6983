#!/bin/sh
# Run a program of another Debian, which stands in the folder ROOT, on this project's files: they have the same paths
# there. Needs root. What is mounted is seen by that program and its children only, and gone with the last of them.
#
#     tests/app/in_root.sh ROOT PROGRAM [ARGUMENT...]
set -eu
root=$(realpath "$1") project=$(realpath "$(dirname "$0")/../..")
shift
mkdir -p "$root$project"
# shellcheck disable=SC2016 # the inner shell's
exec unshare --mount sh -euc '
  root=$0 project=$1
  shift
  mount --bind "$project" "$root$project"
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  exec chroot "$root" env --chdir="$PWD" --unset=TMPDIR LC_ALL=C.UTF-8 "$@"
' "$root" "$project" "$@"
