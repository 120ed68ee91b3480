/** Whether packets between Pods of one bridge pass the rules of the IP layer. Source: the kernel's Documentation/networking/ip-sysctl.rst, "/proc/sys/net/bridge/*". */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';

const SETTING = '/proc/sys/net/bridge/bridge-nf-call-iptables';

/** Makes them pass, and loads the kernel's module for it where it is missing. Rejects where the kernel has none. */
export async function filterBridgedPackets(): Promise<void> {
  const on = (): Promise<void> => writeFile(SETTING, '1');
  await on().catch(async (err: NodeJS.ErrnoException) => {
    if (err.code !== 'ENOENT') throw err;
    await new Promise<void>((resolve, reject) => execFile('modprobe', ['br_netfilter'], (error) => (error ? reject(error) : resolve())));
    await on();
  });
}
