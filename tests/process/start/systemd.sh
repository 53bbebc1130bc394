#!/usr/bin/env bash
# A systemd of its own for tests, as PID 1 of new namespaces. Nothing outside UNITS is its business:
# it sees fresh /run, /tmp and /var, no home but the folders to KEEP, and none of the box's units,
# some of which would set the whole box in order (systemd-tmpfiles empties /tmp).
#
#   unshare --pid --fork --mount --mount-proc --uts --ipc systemd.sh UNITS [KEEP...]
set -euo pipefail
units="$1"
shift
mount --make-rprivate /

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/keep /run/units
for target in sysinit basic shutdown network-online multi-user first; do
  printf '[Unit]\nDefaultDependencies=no\n' >"/run/units/$target.target"
done
mount --bind /run/units "$(readlink -f /lib/systemd/system)"
mount --bind "$units" /etc/systemd/system

for folder in "$@"; do
  mkdir -p "/run/keep$folder"
  mount --rbind "$folder" "/run/keep$folder"
done
for folder in /root /home /tmp /var; do
  mount -t tmpfs -o mode=755 tmpfs "$folder"
done
chmod 1777 /tmp
for folder in "$@"; do
  mkdir -p "$folder"
  mountpoint -q "$folder" || mount --rbind "/run/keep$folder" "$folder"
done

umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# Its children get their credentials by mounts that have to reach it.
mount --make-rshared /
export container=unshare
exec /lib/systemd/systemd --system --log-target=console --show-status=no --unit=first.target
