/** The checkpoint of a resource manager: the name of its policy, what it gave to whom, and a checksum over both, as upstream's kubelet writes it. */
import { verifyChecksum } from './checkpoint-checksum.ts';
import { CheckpointFile, UnusableCheckpoint } from './checkpoint-file.ts';

export interface PolicyCheckpointOptions<D> {
  /** As the texts have it: `CPU manager`. */
  readonly manager: string;
  /** What the configuration says now. */
  readonly policy: string;
  /** Before a text on policies. */
  readonly prefix?: string;
  checksumOf(data: D & { readonly policyName: string }): number;
}
/** `D` is what is between the policy's name and the checksum. */
export class PolicyCheckpoint<D extends object> {
  readonly #file: CheckpointFile;
  readonly #o: PolicyCheckpointOptions<D>;

  constructor(path: string, options: PolicyCheckpointOptions<D>) {
    this.#file = new CheckpointFile(path);
    this.#o = options;
  }
  /** Has `take` take up what is written, if anything is. Rejects where that is of another policy, was changed by somebody, or makes `take` throw. */
  async load(take: (data: D) => void): Promise<void> {
    const text = await this.#file.read();
    if (text === undefined) return;
    const { policy, prefix = '', checksumOf } = this.#o;
    try {
      const data = JSON.parse(text) as D & { readonly policyName: string; readonly checksum: number };
      verifyChecksum(data.checksum, checksumOf(data));
      if (data.policyName !== policy) throw new Error(`${prefix}configured policy "${policy}" differs from state checkpoint policy "${data.policyName}"`);
      take(data);
    } catch (err) {
      throw this.unusable('could not restore state from checkpoint', err);
    }
  }
  /** Resolves when this state, or a later one, is on the disk. */
  save(data: D): Promise<void> {
    const named = { policyName: this.#o.policy, ...data };
    return this.#file.write(JSON.stringify({ ...named, checksum: this.#o.checksumOf(named) }));
  }
  /** Containers may run with what they should not have: somebody has to look. */
  unusable(what: string, err: unknown): UnusableCheckpoint {
    const { path } = this.#file;
    return new UnusableCheckpoint(path, `${what}: ${(err as Error).message}, please drain this node and delete the ${this.#o.manager} checkpoint file "${path}" before restarting Kubelet`, err);
  }
}
