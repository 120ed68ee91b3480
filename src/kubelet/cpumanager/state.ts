/** Which CPUs belong to whom, kept in `cpu_manager_state` in upstream's shape: containers keep their CPUs over a restart. */
import { createHash } from 'node:crypto';
import { CheckpointFile } from '../checkpoint-file.ts';
import { formatCpuSet, parseCpuSet } from './cpu-set.ts';

export type CpuManagerPolicy = 'none' | 'static';
interface File {
  readonly policyName: string;
  readonly defaultCpuSet: string;
  readonly entries?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly checksum: number;
}

export class CpuState {
  readonly #file: CheckpointFile;
  readonly #policy: CpuManagerPolicy;
  readonly #entries = new Map<string, Map<string, ReadonlySet<number>>>();
  #shared: ReadonlySet<number> = new Set();

  constructor(file: string, policy: CpuManagerPolicy) {
    this.#file = new CheckpointFile(file);
    this.#policy = policy;
  }
  /** False: there was nothing to take up. Rejects where what is written does not fit this node; somebody has to look then, as containers may run on CPUs that they should not. */
  async load(online: ReadonlySet<number>): Promise<boolean> {
    const text = await this.#file.read();
    if (text === undefined) return false;
    try {
      const { checksum: sum, ...data } = JSON.parse(text) as File;
      if (sum !== checksum(data)) throw new Error('checkpoint is corrupted');
      if (data.policyName !== this.#policy) throw new Error(`configured policy "${this.#policy}" differs from state checkpoint policy "${data.policyName}"`);
      this.#shared = parseCpuSet(data.defaultCpuSet);
      for (const [uid, containers] of Object.entries(data.entries ?? {})) for (const [name, cpus] of Object.entries(containers)) this.#set(uid, name, parseCpuSet(cpus));
      const known = this.#shared.union(this.exclusive());
      if (known.symmetricDifference(online).size > 0) throw new Error(`current set of available CPUs "${formatCpuSet(online)}" doesn't match with CPUs in state "${formatCpuSet(known)}"`);
      return true;
    } catch (err) {
      throw new Error(`could not restore state from checkpoint: ${(err as Error).message}, please drain this node and delete the CPU manager checkpoint file "${this.#file.path}" before restarting Kubelet`, { cause: err });
    }
  }
  /** CPUs of nobody in particular. */
  get shared(): ReadonlySet<number> {
    return this.#shared;
  }
  exclusive(): Set<number> {
    return new Set([...this.#entries.values()].flatMap((m) => [...m.values()]).flatMap((s) => [...s]));
  }
  of(uid: string, container: string): ReadonlySet<number> | undefined {
    return this.#entries.get(uid)?.get(container);
  }
  has(uid: string): boolean {
    return this.#entries.has(uid);
  }
  uids(): string[] {
    return [...this.#entries.keys()];
  }
  /** Everything is shared. */
  async reset(online: ReadonlySet<number>): Promise<void> {
    this.#shared = online;
    await this.#save();
  }
  async assign(uid: string, container: string, cpus: ReadonlySet<number>): Promise<void> {
    this.#set(uid, container, cpus);
    this.#shared = this.#shared.difference(cpus);
    await this.#save();
  }
  async release(uid: string): Promise<boolean> {
    const had = this.#entries.get(uid);
    if (!had) return false;
    this.#entries.delete(uid);
    // Containers of a Pod may have used the same CPUs, one after the other.
    for (const cpus of had.values()) this.#shared = this.#shared.union(cpus);
    this.#shared = this.#shared.difference(this.exclusive());
    await this.#save();
    return true;
  }

  #set(uid: string, container: string, cpus: ReadonlySet<number>): void {
    const of = this.#entries.get(uid) ?? new Map<string, ReadonlySet<number>>();
    this.#entries.set(uid, of.set(container, cpus));
  }
  #save(): Promise<void> {
    const entries = Object.fromEntries(Array.from(this.#entries, ([uid, m]) => [uid, Object.fromEntries(Array.from(m, ([name, cpus]) => [name, formatCpuSet(cpus)]))]));
    const data = { policyName: this.#policy, defaultCpuSet: formatCpuSet(this.#shared), ...(this.#entries.size ? { entries } : {}) };
    return this.#file.write(JSON.stringify({ ...data, checksum: checksum(data) } satisfies File));
  }
}
function checksum(data: Omit<File, 'checksum'>): number {
  return createHash('sha256').update(JSON.stringify(data)).digest().readUInt32BE(0);
}
