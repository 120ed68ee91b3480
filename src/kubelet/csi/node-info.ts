/** What the API knows of the drivers of a node: its CSINode, an annotation and labels of the Node. Upstream's counterpart: nodeinfomanager. */
import type { Node } from '#api/gen/core-v1.ts';
import type { CSINode, CSINodeDriver } from '#api/gen/storage-v1.ts';
import type { Client } from '#client/client.ts';
import { CSI_NODES, NODES } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import type { NodeGetInfoResponse } from './types.ts';

const NODE_ID = 'csi.volume.kubernetes.io/nodeid';
const MERGE = 'application/strategic-merge-patch+json';
const MAX_COUNT = 2 ** 31 - 1;

export class CsiNodeInfo {
  readonly #client: Client;
  readonly #nodeName: string;
  /** One change at a time: each builds on what the one before wrote. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(client: Client, nodeName: string) {
    this.#client = client;
    this.#nodeName = nodeName;
  }
  /** Makes the CSINode where there is none. */
  async initialise(signal: AbortSignal): Promise<void> {
    await this.#serially(() => this.#drivers((drivers) => drivers, signal));
  }
  /** Rejects in upstream's words when the driver's answer cannot be the node's. */
  async install(driver: string, info: NodeGetInfoResponse, signal: AbortSignal): Promise<void> {
    if (info.nodeId === '') throw new Error('error adding CSI driver node info: driverNodeID must not be empty');
    const segments = info.accessibleTopology?.segments ?? {};
    await this.#serially(async () => {
      const nodes = this.#client.of(NODES);
      const node = await nodes.get('', this.#nodeName, signal);
      for (const [key, value] of Object.entries(segments)) {
        const label = node.metadata.labels?.[key];
        if (label !== undefined && label !== value) throw new Error(`error updating Node object with CSI driver node info: error updating node: detected topology value collision: driver reported "${key}":"${value}" but existing label is "${key}":"${label}"`);
      }
      const ids = nodeIds(node);
      if (ids[driver] !== info.nodeId || Object.keys(segments).some((k) => node.metadata.labels?.[k] === undefined)) {
        await nodes.patch('', this.#nodeName, MERGE, { metadata: { labels: segments, annotations: { [NODE_ID]: JSON.stringify({ ...ids, [driver]: info.nodeId }) } } }, { signal });
      }
      const count = Math.min(info.maxVolumesPerNode, MAX_COUNT);
      const entry: CSINodeDriver = { name: driver, nodeID: info.nodeId, topologyKeys: Object.keys(segments).toSorted(), ...(count > 0 ? { allocatable: { count } } : {}) };
      await this.#drivers((drivers) => [...drivers.filter((d) => d.name !== driver), entry], signal);
    });
  }
  async uninstall(driver: string, signal: AbortSignal): Promise<void> {
    await this.#serially(async () => {
      const nodes = this.#client.of(NODES);
      const { [driver]: gone, ...ids } = nodeIds(await nodes.get('', this.#nodeName, signal));
      if (gone !== undefined) await nodes.patch('', this.#nodeName, MERGE, { metadata: { annotations: { [NODE_ID]: Object.keys(ids).length ? JSON.stringify(ids) : null } } }, { signal });
      await this.#drivers((drivers) => drivers.filter((d) => d.name !== driver), signal);
    });
  }

  async #drivers(change: (drivers: readonly CSINodeDriver[]) => readonly CSINodeDriver[], signal: AbortSignal): Promise<void> {
    const csiNodes = this.#client.of(CSI_NODES);
    const found = await csiNodes.get('', this.#nodeName, signal).catch((err: unknown) => {
      if (!isReason(err, 'NotFound')) throw err;
      return undefined;
    });
    const drivers = change(found?.spec.drivers ?? []);
    if (found) {
      if (JSON.stringify(drivers) !== JSON.stringify(found.spec.drivers)) await csiNodes.update({ ...found, spec: { ...found.spec, drivers } }, { signal });
      return;
    }
    const node = await this.#client.of(NODES).get('', this.#nodeName, signal);
    const made: CSINode = {
      apiVersion: 'storage.k8s.io/v1', kind: 'CSINode',
      metadata: { name: this.#nodeName, ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: this.#nodeName, uid: node.metadata.uid! }] },
      spec: { drivers },
    };
    await csiNodes.create(made, { signal });
  }
  #serially<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(task);
    this.#tail = done.catch(() => {});
    return done;
  }
}
/** The drivers' own names of the node, by driver. */
function nodeIds(node: Node): Record<string, string> {
  try {
    return JSON.parse(node.metadata.annotations?.[NODE_ID] ?? '{}') as Record<string, string>;
  } catch {
    return {};
  }
}
