/** `cpuManagerPolicyOptions` of the static policy, each by its stage in v1.36: stable ones and beta ones can be chosen, alpha ones cannot. */
import { parseBool } from '../topologymanager/policy-options.ts';

export interface CpuPolicyOptions {
  /** Whole cores only: no two containers share one. */
  readonly fullPcpusOnly: boolean;
  /** Evenly over NUMA nodes where one is not enough (KEP-2902). */
  readonly distributeAcrossNuma: boolean;
  /** Reserved CPUs are not for anybody's containers, shared ones included (KEP-4540). */
  readonly strictReservation: boolean;
  /** On as few last-level caches as can be (KEP-4800). */
  readonly alignByUncoreCache: boolean;
}
const ALPHA = new Set(['align-by-socket', 'distribute-cpus-across-cores']);
const KEYS: Readonly<Record<string, keyof CpuPolicyOptions>> = {
  'full-pcpus-only': 'fullPcpusOnly', 'distribute-cpus-across-numa': 'distributeAcrossNuma', 'strict-cpu-reservation': 'strictReservation', 'prefer-align-cpus-by-uncorecache': 'alignByUncoreCache',
};

/** Throws an Error in upstream's words for what cannot be chosen. */
export function cpuPolicyOptions(options: Readonly<Record<string, string>>): CpuPolicyOptions {
  const out = { fullPcpusOnly: false, distributeAcrossNuma: false, strictReservation: false, alignByUncoreCache: false };
  for (const [name, value] of Object.entries(options)) {
    if (ALPHA.has(name)) throw new Error(`CPU Manager Policy Alpha-level Options not enabled, but option "${name}" provided`);
    const key = KEYS[name];
    if (!key) throw new Error(`unknown CPU Manager Policy option: "${name}"`);
    out[key] = parseBool(name, value);
  }
  if (out.alignByUncoreCache && out.distributeAcrossNuma) throw new Error('static policy options prefer-align-cpus-by-uncorecache and distribute-cpus-across-numa can not be used at the same time');
  return out;
}
