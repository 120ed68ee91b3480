/** Which CPUs belong to whom, kept in `cpu_manager_state` as upstream's kubelet does (its format v2): containers keep their CPUs over a restart. */
import { checksum, mapText, sorted, structText } from '../checkpoint-checksum.ts';
import type { UnusableCheckpoint } from '../checkpoint-file.ts';
import { PolicyCheckpoint } from '../policy-checkpoint.ts';
import { formatCpuSet, parseCpuSet } from './cpu-set.ts';

export type CpuManagerPolicy = 'none' | 'static';
type Entries = Readonly<Record<string, Readonly<Record<string, string>>>>;
interface Data {
  readonly defaultCpuSet: string;
  readonly entries?: Entries;
}

export class CpuState {
  readonly #checkpoint: PolicyCheckpoint<Data>;
  readonly #entries = new Map<string, Map<string, ReadonlySet<number>>>();
  #shared: ReadonlySet<number> = new Set();

  constructor(file: string, policy: CpuManagerPolicy) {
    this.#checkpoint = new PolicyCheckpoint(file, { manager: 'CPU manager', policy, checksumOf });
  }
  /** Takes up what is written. Rejects where that is of another policy, or was changed by somebody. */
  async load(): Promise<void> {
    await this.#checkpoint.load(({ defaultCpuSet, entries = {} }) => {
      this.#shared = parse(defaultCpuSet, (err) => `could not parse default cpu set ${JSON.stringify(defaultCpuSet)}: ${err}`);
      for (const [uid, containers] of Object.entries(entries)) {
        for (const [name, cpus] of Object.entries(containers)) this.#set(uid, name, parse(cpus, (err) => `could not parse cpuset ${JSON.stringify(cpus)} for container "${name}" in pod "${uid}": ${err}`));
      }
    });
  }
  /** The error of a start that what is written makes impossible. */
  startError(err: unknown): UnusableCheckpoint {
    return this.#checkpoint.unusable('start cpu manager error', err);
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
  /** Everything that was given to containers. */
  assignments(): { readonly uid: string; readonly container: string; readonly cpus: ReadonlySet<number> }[] {
    return [...this.#entries].flatMap(([uid, m]) => Array.from(m, ([container, cpus]) => ({ uid, container, cpus })));
  }
  /** Everything is shared. */
  async reset(shared: ReadonlySet<number>): Promise<void> {
    this.#shared = shared;
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
    const entries = sorted(Object.fromEntries(this.#entries), (m) => sorted(Object.fromEntries(m), formatCpuSet));
    return this.#checkpoint.save({ defaultCpuSet: formatCpuSet(this.#shared), ...(this.#entries.size ? { entries } : {}) });
  }
}
function parse(text: string, message: (err: string) => string): ReadonlySet<number> {
  try {
    return parseCpuSet(text);
  } catch (err) {
    throw new Error(message((err as Error).message), { cause: err });
  }
}
function checksumOf({ policyName, defaultCpuSet, entries = {} }: Data & { readonly policyName: string }): number {
  const fields = [
    ['PolicyName', 'string', policyName], ['DefaultCPUSet', 'string', defaultCpuSet],
    ['Entries', 'map[string]map[string]string', mapText(entries, (m) => mapText(m, (cpus) => cpus))], ['Checksum', 'checksum.Checksum', '0'],
  ] as const;
  return checksum(`(*state.CPUManagerCheckpoint)${structText(fields)}`);
}
