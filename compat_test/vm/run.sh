#!/bin/sh
# Runs the tests of a package of the main module in a virtual machine, whose
# kernel has what this one may lack:
#
#	compat_test/vm/run.sh PACKAGE "MODULE ..." [VARIABLE=VALUE ...] [-- TEST FLAGS]
#	compat_test/vm/run.sh ./nic/tap "tun vhost_net" FASTNET_TEST_VHOST=1
#
# It needs qemu-system-x86_64, a static busybox, cpio, kmod and xz (Debian:
# qemu-system-x86 busybox-static cpio kmod xz-utils), and a kernel that is only
# unpacked, never installed, in $FASTNET_VM_KERNEL (default: the newest of
# ~/.cache/fastnet/vm/*):
#
#	apt-get download linux-image-6.1.0-NN-cloud-amd64
#	dpkg -x linux-image-*.deb ~/.cache/fastnet/vm/linux-image-6.1
#
# What is missing is said, and the run skipped (exit status 0). No hardware
# virtualization is needed.
set -eu
skip() { echo "SKIP: compat_test/vm: $*"; exit 0; }
for tool in qemu-system-x86_64 cpio modprobe depmod xz go; do
	command -v $tool >/dev/null || skip "no $tool here"
done
busybox=
for b in /usr/bin/busybox /bin/busybox; do
	[ -x $b ] && ! ldd $b >/dev/null 2>&1 && busybox=$b && break
done
[ -n "$busybox" ] || skip "no static busybox here (Debian: apt-get install busybox-static)"
kernel=${FASTNET_VM_KERNEL:-$(ls -d "$HOME"/.cache/fastnet/vm/* 2>/dev/null | sort -V | tail -1)}
image=$(ls "$kernel"/boot/vmlinuz-* 2>/dev/null | head -1)
[ -n "$image" ] || skip "no unpacked kernel: set FASTNET_VM_KERNEL (the head of this script says how to get one)"
version=$(basename "$image" | sed 's/^vmlinuz-//')

package=$1 modules=$2
shift 2
environment=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	environment="$environment export '$1';"
	shift
done
[ $# -gt 0 ] && shift
flags=
for f; do flags="$flags '$f'"; done

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
mkdir -p "$work"/r/bin "$work"/r/dev "$work"/r/proc "$work"/r/sys "$work"/r/tmp "$work"/r/run "$work"/r/modules "$work"/k/lib
(cd "$root" && CGO_ENABLED=0 go test -c -o "$work/r/package.test" "$package")
cp "$busybox" "$work/r/bin/busybox"

# The modules with what they depend on, in that order. The kernel's own folder is
# not written to.
ln -s "$(cd "$kernel" && pwd)/lib/modules" "$work/k/lib/modules"
[ -e "$kernel/lib/modules/$version/modules.dep.bin" ] || {
	rm "$work/k/lib/modules"
	cp -r "$kernel/lib/modules" "$work/k/lib/modules"
	depmod -b "$work/k" "$version"
}
for m in $modules; do
	modprobe -d "$work/k" -S "$version" -D "$m" | awk '/^insmod/ { print $2 }'
done | awk '!seen[$0]++' | while read -r f; do
	name=$(basename "$f" .xz)
	case $f in
	*.xz) xz -dc "$f" >"$work/r/modules/$name" ;;
	*) cp "$f" "$work/r/modules/$name" ;;
	esac
	echo "$name" >>"$work/r/modules/order"
done

cat >"$work/r/init" <<EOF
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for m in \$(cat /modules/order); do insmod /modules/\$m || echo "insmod \$m failed"; done
ip link set lo up
$environment
cd /tmp
/package.test $flags
echo "exit status \$?"
poweroff -f
EOF
chmod +x "$work/r/init"
(cd "$work/r" && find . | cpio -o -H newc -R 0:0 --quiet) >"$work/initrd"
timeout -k 5 "${FASTNET_VM_TIMEOUT:-300}" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
	-machine q35 -accel tcg,thread=multi -smp 2 -m 1024 -kernel "$image" -initrd "$work/initrd" \
	-append "console=ttyS0 rdinit=/init panic=-1 tsc=reliable quiet" -serial stdio </dev/null | tee "$work/log"
grep -q '^exit status 0' "$work/log"
