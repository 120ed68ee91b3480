/** Static Pods: manifests in a directory of the node. Source: tasks/configure-pod-container/static-pod; upstream's counterpart: kubelet/config. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { logger } from '#base/logger.ts';
import { parseYamlDocuments } from '#machinery/yaml.ts';

const log = logger('kubelet');

export const CONFIG = {
  hash: 'kubernetes.io/config.hash',
  source: 'kubernetes.io/config.source',
  seen: 'kubernetes.io/config.seen',
  mirror: 'kubernetes.io/config.mirror',
} as const;

/** A Pod that comes from a file: the API has only its mirror. */
export function isStaticPod(pod: Pod): boolean {
  const source = pod.metadata.annotations?.[CONFIG.source];
  return source !== undefined && source !== 'api';
}
/** The API's image of a static Pod. */
export function isMirrorPod(pod: Pod): boolean {
  return pod.metadata.annotations?.[CONFIG.mirror] !== undefined;
}

/** The Pods of a manifest, named for this node. Throws an Error that says what is wrong with the text. */
export function parseManifest(text: string, file: string, nodeName: string, seen: string): Pod[] {
  return parseYamlDocuments(text).flatMap((document) => {
    const object = document as { kind?: unknown; items?: unknown };
    if (object === null || typeof object !== 'object') return [];
    const pods = object.kind === 'PodList' && Array.isArray(object.items) ? (object.items as unknown[]) : [document];
    return pods.map((p) => staticPod(p, file, nodeName, seen));
  });
}
function staticPod(value: unknown, file: string, nodeName: string, seen: string): Pod {
  const given = value as Partial<Pod>;
  if (given.kind !== undefined && given.kind !== 'Pod') throw new Error(`${file}: kind "${String(given.kind)}" is not a Pod`);
  if (!given.metadata?.name) throw new Error(`${file}: metadata.name: Required value`);
  if (!given.spec?.containers?.length) throw new Error(`${file}: spec.containers: Required value`);
  // The same text in the same file on the same node is the same Pod, whenever it is read.
  const uid = given.metadata.uid || createHash('md5').update(JSON.stringify(given)).update(`\0${nodeName}\0${file}`).digest('hex');
  return {
    ...given,
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...given.metadata,
      name: `${given.metadata.name}-${nodeName.toLowerCase()}`,
      namespace: given.metadata.namespace || 'default',
      uid,
      annotations: { ...given.metadata.annotations, [CONFIG.hash]: uid, [CONFIG.source]: 'file', [CONFIG.seen]: seen },
    },
    spec: { ...given.spec, nodeName, tolerations: [...(given.spec.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }] },
  };
}

/** Every static Pod of a directory, by uid. A file that cannot be read is logged and left out; of two Pods of a name the first file's wins. */
export async function readManifests(dir: string, nodeName: string, seen: string): Promise<Map<string, Pod>> {
  const out = new Map<string, Pod>();
  const names = new Set<string>();
  const files = await readdir(dir).catch(() => []);
  for (const file of files.filter((f) => !f.startsWith('.')).toSorted()) {
    try {
      for (const pod of parseManifest(await readFile(join(dir, file), 'utf8'), file, nodeName, seen)) {
        const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
        if (names.has(name)) throw new Error(`${file}: ${name} is already in another file`);
        names.add(name);
        out.set(pod.metadata.uid!, pod);
      }
    } catch (err) {
      log.warn({ file, reason: (err as Error).message }, 'manifest of a static pod is not usable');
    }
  }
  return out;
}
