/**
 * Image volumes where the runtime cannot mount images itself (containerd before 2.1): a read-only view of the image's file system, by
 * containerd's snapshot service (KEP-4639). Only the fields that are read here are described.
 */
import protobuf from 'protobufjs';
import type { Channel, Method } from './channel.ts';
import type { ContainerRuntime } from './client.ts';
import { isCriError } from './error.ts';
import { codecOf } from './schema.ts';

/** One mount as mount(2) takes it; `type` may be `bind`. */
export interface SnapshotMount {
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}
export interface ImageMounts {
  /** What to mount to see the files of an image that is on the node. `key` names the view; it is made on first use, and there until it is released. */
  view(imageRef: string, key: string, signal: AbortSignal): Promise<SnapshotMount>;
  /** Gives a view back that nothing mounts any more; nothing when there is none. */
  release(key: string): Promise<void>;
}
interface ViewRequest {
  readonly snapshotter: string;
  readonly key: string;
  readonly parent: string;
  readonly labels: Readonly<Record<string, string>>;
}
interface KeyRequest {
  readonly snapshotter: string;
  readonly key: string;
}
interface MountsResponse {
  readonly mounts: readonly SnapshotMount[];
}

const HEADERS = { 'containerd-namespace': 'k8s.io' };
/** Keeps a snapshot from the garbage collector: no container refers to it. */
const KEPT = { 'containerd.io/gc.root': 'true' };

const string = (id: number): protobuf.IField => ({ id, type: 'string' });
const root = protobuf.Root.fromJSON({
  nested: {
    ViewRequest: { fields: { snapshotter: string(1), key: string(2), parent: string(3), labels: { id: 4, keyType: 'string', type: 'string' } as protobuf.IMapField } },
    KeyRequest: { fields: { snapshotter: string(1), key: string(2) } },
    Mount: { fields: { type: string(1), source: string(2), options: { ...string(4), rule: 'repeated' } } },
    MountsResponse: { fields: { mounts: { id: 1, type: 'Mount', rule: 'repeated' } } },
    Empty: { fields: {} },
  },
});
const codec = <T extends object>(name: string) => codecOf<T>(root.lookupType(name));
const method = <In extends object, Out extends object>(name: string, request: string, response: string): Method<In, Out> => ({ path: `/containerd.services.snapshots.v1.Snapshots/${name}`, request: codec<In>(request), response: codec<Out>(response) });
const VIEW = method<ViewRequest, MountsResponse>('View', 'ViewRequest', 'MountsResponse');
const MOUNTS = method<KeyRequest, MountsResponse>('Mounts', 'KeyRequest', 'MountsResponse');
const REMOVE = method<KeyRequest, object>('Remove', 'KeyRequest', 'Empty');

export function newImageMounts(runtime: Pick<ContainerRuntime, 'imageStatus' | 'status'>, channel: Pick<Channel, 'unary'>): ImageMounts {
  let known: string | undefined;
  const snapshotter = async (signal?: AbortSignal): Promise<string> => {
    if (known === undefined) {
      const { info } = await runtime.status({ verbose: true }, { signal });
      const { containerd } = JSON.parse(info['config'] ?? '{}') as { containerd?: { snapshotter?: string } };
      known = containerd?.snapshotter ?? 'overlayfs';
    }
    return known;
  };
  return {
    async view(imageRef, key, signal) {
      const { info } = await runtime.imageStatus({ image: { image: imageRef }, verbose: true }, { signal });
      const { chainID = '' } = JSON.parse(info['info'] ?? '{}') as { chainID?: string };
      if (chainID === '') throw new Error(`the runtime does not tell where the files of image "${imageRef}" are`);
      const name = await snapshotter(signal);
      const { mounts } = await channel.unary(VIEW, { snapshotter: name, key, parent: chainID, labels: KEPT }, { signal }, HEADERS).catch((err: unknown) => {
        if (!isCriError(err, 'AlreadyExists')) throw err;
        return channel.unary(MOUNTS, { snapshotter: name, key }, { signal }, HEADERS);
      });
      if (mounts.length !== 1) throw new Error(`image "${imageRef}" takes ${mounts.length} mounts, which is not supported`);
      return mounts[0]!;
    },
    async release(key) {
      await channel.unary(REMOVE, { snapshotter: await snapshotter(), key }, {}, HEADERS).catch((err: unknown) => {
        if (!isCriError(err, 'NotFound')) throw err;
      });
    },
  };
}
