#!/usr/bin/env bash
# Builds a small real Debian for QEMU guests: kernel, initramfs, and a disk with systemd, the real cloud-init, OpenSSH
# and the QEMU guest agent. The disk has guest-init too: as process 1 it reads the NoCloud seed itself, and is up in a
# third of the time.
# usage: build-guest-image.sh FOLDER
# Needs root, and: debootstrap, busybox (static), cpio, qemu-img, mkfs.ext4, depmod, and what apt has for mirrors.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. /etc/os-release
# The mirror that this machine has its own packages from.
mirror=$(grep -rhoE '(https?|mirror\+file)://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/ 2>/dev/null | grep -v snapshot | head -n 1 | tr -d ' ' || true)
[ -n "$mirror" ] || mirror=$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
[ -n "$mirror" ] || { echo 'no Debian mirror is configured' >&2; exit 1; }

root=$work/root
packages=openssh-server,qemu-guest-agent,sudo,iproute2,e2fsprogs,kmod,netbase
# python3-cffi-backend: without it debootstrap leaves cloud-init half configured.
packages=$packages,systemd-sysv,udev,ifupdown,isc-dhcp-client,cloud-init,python3-cffi-backend,dbus
debootstrap --variant=minbase --merged-usr --include="$packages" "$VERSION_CODENAME" "$root" "$mirror" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
half=$(chroot "$root" dpkg -l | awk '/^[a-z][a-z] / && $1 != "ii" {print $2}')
[ -z "$half" ] || { echo "packages are half installed: $half" >&2; exit 1; }

# The kernel, and of its modules only those that such a machine has.
package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/{print $2; exit}')
(cd "$work" && apt-get download "$package" >/dev/null && dpkg-deb -x linux-image-*.deb kernel)
release=$(ls "$work/kernel/lib/modules")
from=$work/kernel/lib/modules/$release
modules=$root/lib/modules/$release
mkdir -p "$modules"
for module in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk failover net_failover virtio_net virtio_console virtio-rng cdrom isofs button evdev; do
  file=$(find "$from" -name "$module.ko*" | head -n 1)
  [ -z "$file" ] || install -D "$file" "$modules/${file#"$from/"}"
done
cp "$from"/modules.{builtin,order,builtin.modinfo} "$modules/"
chroot "$root" depmod "$release"

# No two guests may share what is theirs alone.
rm -rf "$root"/etc/ssh/ssh_host_* "$root"/var/lib/dbus/machine-id
: >"$root/etc/machine-id"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
install -m 755 "$here/guest-init" "$root/usr/local/sbin/guest-init"
printf '/dev/vda / ext4 noatime 0 1\n' >"$root/etc/fstab"
cat >"$root/etc/cloud/cloud.cfg.d/90-guest.cfg" <<'C'
datasource_list: [NoCloud]
locale: C.UTF-8
apt_preserve_sources_list: true
package_update: false
growpart: { mode: 'off' }
C
# What takes time in emulation and does nothing for such a guest.
for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-timesyncd.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# The initramfs finds the disk and hands over to it. Asked to, it only says that a machine got this far.
tree=$work/initramfs
mkdir -p "$tree"/{bin,mod,proc,sys,dev,newroot}
cp "$(command -v busybox)" "$tree/bin/"
for module in virtio_pci virtio_blk virtio_net virtio_console virtio_rng isofs; do
  chroot "$root" modprobe -S "$release" --show-depends $module 2>/dev/null
done | awk '$1=="insmod" && !seen[$2]++{print $2}' | while read -r file; do
  cp "$root$file" "$tree/mod/"
  basename "$file" >>"$tree/mod/order"
done
install -m 755 "$here/initramfs-init" "$tree/init"
(cd "$tree" && find . | cpio -o -H newc --quiet | gzip -1) >"$out/initramfs"

cp "$work/kernel/boot/vmlinuz-$release" "$out/vmlinuz"
truncate -s 2G "$work/disk.raw"
mkfs.ext4 -q -d "$root" "$work/disk.raw"
qemu-img convert -O qcow2 "$work/disk.raw" "$out/disk.partial.qcow2"
mv "$out/disk.partial.qcow2" "$out/disk.qcow2"
