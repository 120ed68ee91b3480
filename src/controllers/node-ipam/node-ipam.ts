/** Gives each node its range of Pod addresses. Upstream's counterpart: node-ipam-controller (range allocator). */
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { NODES } from '#client/kinds.ts';
import { newController, recorderOf, source, type ControllerContext } from '../controller.ts';

export interface NodeIpamOptions {
  /** `10.244.0.0/16` */
  readonly clusterCIDR: string;
  /** Prefix length of a node's part. Default 24. */
  readonly nodeMaskBits?: number;
}

/** The nth subnet of a range: `subnet('10.244.0.0/16', 24, 3)` is `10.244.3.0/24`; undefined past its end. IPv4. */
export function subnet(cidr: string, bits: number, n: number): string | undefined {
  const [base = '', length = '0'] = cidr.split('/');
  const count = 2 ** (bits - Number(length));
  if (n >= count) return undefined;
  const start = base.split('.').reduce((v, part) => v * 256 + Number(part), 0) + n * 2 ** (32 - bits);
  return `${[24, 16, 8, 0].map((shift) => Math.floor(start / 2 ** shift) % 256).join('.')}/${bits}`;
}

export function newNodeIpamController(context: ControllerContext, options: NodeIpamOptions): Component {
  const { client, informers } = context;
  const bits = options.nodeMaskBits ?? 24;
  const nodes = informers.informer(NODES);
  const recorder = recorderOf(context, 'cidrAllocator');
  return newController({
    name: 'node-ipam-controller',
    context,
    // Two nodes must never be given the same range: one at a time.
    workers: 1,
    sources: (queue) => [source(context, queue, NODES, (node) => (node.spec.podCIDR ? [] : [nameOf(node)]))],
    async reconcile(name, signal) {
      // Read anew: the last write may not have reached the informer yet.
      const { items } = await client.of(NODES).list({ signal });
      const node = items.find((n) => nameOf(n) === name);
      if (!node || node.spec.podCIDR || !nodes.get('', name)) return undefined;
      const used = new Set(items.map((n) => n.spec.podCIDR));
      for (let n = 0; ; n++) {
        const podCIDR = subnet(options.clusterCIDR, bits, n);
        if (podCIDR === undefined) {
          recorder.eventFor({ apiVersion: 'v1', kind: 'Node', name, uid: node.metadata.uid }, 'Normal', 'CIDRNotAvailable', `Node ${name} status is now: CIDRNotAvailable`);
          throw new Error(`no range of ${options.clusterCIDR} is left for node "${name}"`);
        }
        if (used.has(podCIDR)) continue;
        await client.of(NODES).patch('', name, 'application/strategic-merge-patch+json', { spec: { podCIDR, podCIDRs: [podCIDR] } }, { signal });
        return undefined;
      }
    },
  });
}
