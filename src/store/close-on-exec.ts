import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { dlopen } from 'node:ffi';

const FIOCLEX = 0x5451n;
const O_CLOEXEC = 0o2000000;

/**
 * Marks every descriptor that this process has on a file as not to be inherited by its children. For files that a native
 * library opened without `O_CLOEXEC`: a container runtime started later would hold them as long as it lives. Linux only.
 */
export function closeOnExec(path: string): void {
  const open = readdirSync('/proc/self/fd').filter((fd) => isOpenOn(fd, path));
  if (open.length === 0) return;
  using library = dlopen(null, { ioctl: { return: 'i32', arguments: ['i32', 'u64'] } });
  for (const fd of open) {
    if (library.functions.ioctl(Number(fd), FIOCLEX) !== 0) throw new Error(`marking descriptor ${fd} of "${path}" close-on-exec failed`);
  }
}

function isOpenOn(fd: string, path: string): boolean {
  try {
    if (readlinkSync(`/proc/self/fd/${fd}`) !== path) return false;
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
    return (Number.parseInt(flags?.[1] ?? '0', 8) & O_CLOEXEC) === 0;
  } catch {
    return false; // closed meanwhile
  }
}
