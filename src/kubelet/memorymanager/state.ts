/** What memory of which NUMA nodes belongs to whom, kept in `memory_manager_state` as upstream's kubelet does (its format v1). */
import { checksum, listText, mapText, sorted, structText } from '../checkpoint-checksum.ts';
import type { UnusableCheckpoint } from '../checkpoint-file.ts';
import { PolicyCheckpoint } from '../policy-checkpoint.ts';
import type { MachineState, MemoryBlock, MemoryTable, NodeMemory } from './machine-state.ts';

export type MemoryManagerPolicy = 'None' | 'Static';
/** Upstream's texts have it. */
const PREFIX = '[memorymanager] ';
/** By Pod and container. */
type Entries = Readonly<Record<string, Readonly<Record<string, readonly MemoryBlock[]>>>>;
interface Data {
  readonly machineState: MachineState;
  readonly entries?: Entries;
}

export class MemoryState {
  readonly #checkpoint: PolicyCheckpoint<Data>;
  readonly #entries = new Map<string, Map<string, readonly MemoryBlock[]>>();
  machine: MachineState = {};

  constructor(file: string, policy: MemoryManagerPolicy) {
    this.#checkpoint = new PolicyCheckpoint(file, { manager: 'memory manager', policy, prefix: PREFIX, checksumOf });
  }
  /** Takes up what is written. Rejects where that is of another policy, or was changed by somebody. */
  async load(): Promise<void> {
    await this.#checkpoint.load(({ machineState, entries = {} }) => {
      this.machine = machineState;
      for (const [uid, containers] of Object.entries(entries)) for (const [name, blocks] of Object.entries(containers)) this.set(uid, name, blocks);
    });
  }
  /** The error of a start that what is written makes impossible. */
  startError(message: string): UnusableCheckpoint {
    return this.#checkpoint.unusable('start memory manager error', new Error(`${PREFIX}${message}`));
  }
  of(uid: string, container: string): readonly MemoryBlock[] | undefined {
    return this.#entries.get(uid)?.get(container);
  }
  set(uid: string, container: string, blocks: readonly MemoryBlock[]): void {
    const of = this.#entries.get(uid) ?? new Map<string, readonly MemoryBlock[]>();
    this.#entries.set(uid, of.set(container, blocks));
  }
  delete(uid: string, container: string): void {
    const of = this.#entries.get(uid);
    of?.delete(container);
    if (of?.size === 0) this.#entries.delete(uid);
  }
  uids(): string[] {
    return [...this.#entries.keys()];
  }
  containers(uid: string): string[] {
    return [...(this.#entries.get(uid)?.keys() ?? [])];
  }
  assignments(): { readonly uid: string; readonly container: string; readonly blocks: readonly MemoryBlock[] }[] {
    return [...this.#entries].flatMap(([uid, m]) => Array.from(m, ([container, blocks]) => ({ uid, container, blocks })));
  }
  /** Resolves when this state, or a later one, is on the disk. */
  save(): Promise<void> {
    const entries = sorted(Object.fromEntries(this.#entries), (m) => sorted(Object.fromEntries(m), (blocks) => blocks.map(({ numaAffinity, type, size }) => ({ numaAffinity, type, size }))));
    return this.#checkpoint.save({ machineState: sorted(this.machine, nodeData), ...(this.#entries.size ? { entries } : {}) });
  }
}
function nodeData({ numberOfAssignments, memoryMap, cells }: NodeMemory): NodeMemory {
  return { numberOfAssignments, memoryMap: sorted(memoryMap, ({ total, systemReserved, allocatable, reserved, free }) => ({ total, systemReserved, allocatable, reserved, free })), cells };
}
function checksumOf({ policyName, machineState, entries = {} }: Data & { readonly policyName: string }): number {
  const table = (t: MemoryTable): string => `<*>${structText([['TotalMemSize', 'uint64', String(t.total)], ['SystemReserved', 'uint64', String(t.systemReserved)], ['Allocatable', 'uint64', String(t.allocatable)], ['Reserved', 'uint64', String(t.reserved)], ['Free', 'uint64', String(t.free)]])}`;
  const node = (n: NodeMemory): string => `<*>${structText([['NumberOfAssignments', 'int', String(n.numberOfAssignments)], ['MemoryMap', 'map[v1.ResourceName]*state.MemoryTable', mapText(n.memoryMap, table)], ['Cells', '[]int', listText(n.cells)]])}`;
  const block = (b: MemoryBlock): string => structText([['NUMAAffinity', '[]int', listText(b.numaAffinity)], ['Type', 'v1.ResourceName', b.type], ['Size', 'uint64', String(b.size)]]);
  const fields = [
    ['PolicyName', 'string', policyName], ['MachineState', 'state.NUMANodeMap', mapText(machineState as Readonly<Record<string, NodeMemory>>, node)],
    ['Entries', 'state.ContainerMemoryAssignments', mapText(entries, (m) => mapText(m, (blocks) => listText(blocks.map(block))))], ['Checksum', 'checksum.Checksum', '0'],
  ] as const;
  return checksum(`(*state.MemoryManagerCheckpoint)${structText(fields)}`);
}
