/**
 * User namespaces of Pods (KEP-127): each Pod with `hostUsers: false` has 65,536 ids of the host to itself, which are its ids from 0 on. Which ones
 * stands in the Pod's directory, in upstream's format, and is free again with the directory: nothing has to be remembered beside it.
 */
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { UserNamespace } from '#cri/types.ts';
import type { KubeletConfig } from '../config.ts';
import { podDir } from './paths.ts';

const FILE = 'userns';
const LENGTH = 65_536;
/** The first block is the host's own. */
const FIRST_BLOCK = 1;

/** As in the file: ids of the host, of the Pod, and how many. */
interface Mapping {
  readonly hostId: number;
  readonly containerId: number;
  readonly length: number;
}

export function wantsUserNamespace(pod: Pod): boolean {
  return pod.spec.hostUsers === false && !pod.spec.hostNetwork;
}

export class UserNamespaces {
  readonly #config: KubeletConfig;
  /** One at a time: two must not find the same block free. */
  #last: Promise<unknown> = Promise.resolve();
  constructor(config: KubeletConfig) {
    this.#config = config;
  }
  /** The Pod's ids, the same each time; given to it at the first. Its directory must be there. Rejects when all blocks are taken. */
  of(pod: Pod): Promise<UserNamespace> {
    const result = this.#last.then(() => this.#of(uidOf(pod)));
    this.#last = result.catch(() => {});
    return result;
  }
  async #of(uid: string): Promise<UserNamespace> {
    const known = await this.#read(uid);
    if (known) return namespaceOf(known);
    const pods = await readdir(join(this.#config.rootDir, 'pods'));
    const taken = new Set((await Promise.all(pods.map((p) => this.#read(p)))).map((m) => m && m.hostId / LENGTH));
    for (let block = FIRST_BLOCK; block < FIRST_BLOCK + this.#config.maxPods; block++) {
      if (taken.has(block)) continue;
      const mapping = { hostId: block * LENGTH, containerId: 0, length: LENGTH };
      const path = join(podDir(this.#config, uid), FILE);
      await writeFile(`${path}.tmp`, JSON.stringify({ uidMappings: [mapping], gidMappings: [mapping] }), { mode: 0o644 });
      await rename(`${path}.tmp`, path);
      return namespaceOf(mapping);
    }
    throw new Error('could not find an empty slot to allocate a user namespace');
  }
  async #read(uid: string): Promise<Mapping | undefined> {
    const text = await readFile(join(podDir(this.#config, uid), FILE), 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const { uidMappings, gidMappings } = JSON.parse(text) as { readonly uidMappings: readonly Mapping[]; readonly gidMappings: readonly Mapping[] };
    const [mapping] = uidMappings;
    if (!mapping || mapping.length !== LENGTH || mapping.hostId % LENGTH !== 0 || gidMappings[0]?.hostId !== mapping.hostId) throw new Error(`user namespace of pod ${uid}: the mappings in ${FILE} are not one block of ${LENGTH} ids`);
    return mapping;
  }
}
function namespaceOf(mapping: Mapping): UserNamespace {
  return { mode: 'POD', uids: [mapping], gids: [mapping] };
}
