/** The network of Pods on one node, as CNI configuration: a bridge with addresses from the node's Pod CIDR, and loopback. */
import { mkdir } from 'node:fs/promises';
import { run } from './command.ts';
import type { NodeRuntimeConfig } from './config.ts';
import { readFileIfThere, writeFileAtomically } from './files.ts';

const NETWORK = 'podyard';
/** Of a node that has its range of addresses. */
export type NetworkedRuntimeConfig = NodeRuntimeConfig & { readonly podCIDR: string };

/** The name under which CNI keeps what it knows of the network; one per bridge. */
export function cniNetworkName(config: Pick<NodeRuntimeConfig, 'bridge'>): string {
  return `${NETWORK}-${config.bridge}`;
}

/**
 * The configuration list. Addresses are not masqueraded and host ports not mapped here: both are rules of our own in
 * nftables, which saves a Pod some ten processes at its start and its stop. `hairpinMode` lets a Pod reach itself through a Service.
 */
export function cniConfigList(config: NetworkedRuntimeConfig): object {
  return {
    cniVersion: '0.4.0',
    name: cniNetworkName(config),
    plugins: [
      {
        type: 'bridge',
        bridge: config.bridge,
        isGateway: true,
        ipMasq: false,
        hairpinMode: true,
        ...(config.mtu !== undefined && { mtu: config.mtu }),
        ipam: { type: 'host-local', dataDir: config.cniDataDir, ranges: [[{ subnet: config.podCIDR }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
    ],
  };
}

/** The range of the configuration that is there; undefined without one. */
async function rangeBefore(path: string): Promise<string | undefined> {
  const text = await readFileIfThere(path);
  return text === undefined ? undefined : /"subnet": "([^"]+)"/.exec(text)?.[1];
}
/** Writes the list, and the loopback network beside it for runtimes that do not bring their own. containerd notices by itself. */
export async function writeCniConfig(config: NetworkedRuntimeConfig): Promise<void> {
  await mkdir(config.cniConfDir, { recursive: true, mode: 0o755 });
  const path = `${config.cniConfDir}/10-podyard.conflist`;
  const before = await rangeBefore(path);
  // The plugin refuses a bridge that has an address of another range. Pods of that range, if there still are any, are reached no more as it is.
  if (before !== undefined && before !== config.podCIDR) await run('ip', ['address', 'flush', 'dev', config.bridge]).catch(() => {});
  await writeFileAtomically(path, `${JSON.stringify(cniConfigList(config), undefined, 2)}\n`, 0o644);
  await writeFileAtomically(`${config.cniConfDir}/99-loopback.conf`, `${JSON.stringify({ cniVersion: '0.4.0', name: 'lo', type: 'loopback' })}\n`, 0o644);
}
