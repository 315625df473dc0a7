#!/usr/bin/env bash
# The first process of a host, in namespaces of its own: makes a throw-away copy of this machine and stays.
#   init.sh NAME FOLDER SHARED PATH...
# The copy: everything of this machine readable, nothing written to it; an empty home; SHARED at /srv/raytune, as a
# file server would give it; each PATH (Python, uv's cache) where it lies here, even if that is in the home.
set -euo pipefail
name=$1 folder=$2 shared=$3
shift 3
mount -t tmpfs -o mode=755 tmpfs "$folder" # an overlay cannot lie on another overlay, as a container's root is one
mkdir "$folder"/{up,work,root}
root=$folder/root
mount -t overlay "$name" -o "lowerdir=/,upperdir=$folder/up,workdir=$folder/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o size=2G,mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=700 tmpfs "$root$HOME"
for path in "$@"; do
    mkdir -p "$root$path"
    mount --bind "$path" "$root$path"
done
mkdir -p "$root/srv/raytune" "$root/run/sshd" "$root/run/before"
mount --bind "$shared" "$root/srv/raytune"
hostname "$name"
ip link set lo up
cd "$root"
pivot_root . run/before
umount -l /run/before
echo ready
exec >/dev/null 2>&1 </dev/null
while :; do sleep 2; done # bash collects the processes that lose their parent
