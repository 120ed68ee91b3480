/** What choices of a node must be together. Messages as upstream's validation of KubeletConfiguration. */
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { KUBELET_DEFAULTS, reservedResources, type KubeletConfig } from './config.ts';
import { mapText } from './checkpoint-checksum.ts';
import { cpuPolicyOptions } from './cpumanager/policy-options.ts';
import { parseThresholds } from './eviction/pressure.ts';
import { topologyPolicyOptions } from './topologymanager/policy-options.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { isHugePages } from '#machinery/resource-names.ts';
import { formatDurationMs } from '#machinery/duration.ts';

const RESERVABLE = ['cpu', 'memory', 'ephemeral-storage', 'pid'];

/** `choices` are laid over the defaults. */
export function validateConfig(choices: Partial<KubeletConfig>): FieldError[] {
  const config = { ...KUBELET_DEFAULTS, ...choices };
  const errors: FieldError[] = [];
  const check = (field: string, ok: boolean, message: string, value: unknown): void => {
    if (!ok) errors.push(invalidValue(fieldPath(field), value, message));
  };
  const attempt = (field: string, value: unknown, run: () => unknown): void => {
    try {
      run();
    } catch (err) {
      check(field, false, (err as Error).message, value);
    }
  };
  for (const field of ['systemReserved', 'kubeReserved'] as const) {
    for (const name of Object.keys(config[field])) check(field, RESERVABLE.includes(name), `cannot reserve "${name}": must be one of ${RESERVABLE.join(', ')}`, name);
  }
  attempt('evictionHard', config.evictionHard, () => parseThresholds(config.evictionHard));
  attempt('evictionMinimumReclaim', config.evictionMinimumReclaim, () => parseThresholds(config.evictionMinimumReclaim));
  attempt('evictionSoft', config.evictionSoft, () => parseThresholds(config.evictionSoft));
  for (const signal of Object.keys(config.evictionSoft)) check('evictionSoft', (config.evictionSoftGracePeriodMs as Readonly<Record<string, number>>)[signal] !== undefined, `grace period must be specified for the soft eviction threshold ${signal}`, signal);
  const { imageGCHighThresholdPercent: high, imageGCLowThresholdPercent: low } = config;
  check('imageGCHighThresholdPercent', high <= 100, 'must be between 0 and 100, inclusive', high);
  check('imageGCLowThresholdPercent', low < high, `must be less than imageGCHighThresholdPercent ${high}`, low);
  check('containerLogMaxFiles', config.containerLogMaxFiles > 1, 'must be greater than 1', config.containerLogMaxFiles);
  check('maxParallelImagePulls', config.maxParallelImagePulls > 0, 'must be a positive number', config.maxParallelImagePulls);
  const reserved = reservedResources(config)['cpu'];
  check('cpuManagerPolicy', config.cpuManagerPolicy !== 'static' || (reserved !== undefined && reserved !== '0'), '[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero', config.cpuManagerPolicy);
  // Options without a policy that has any are refused where they are used, as upstream does; those of the topology manager are not looked at.
  attempt('cpuManagerPolicyOptions', config.cpuManagerPolicyOptions, () => checkCpuOptions(config));
  if (config.topologyManagerPolicy !== 'none') attempt('topologyManagerPolicyOptions', config.topologyManagerPolicyOptions, () => topologyPolicyOptions(config.topologyManagerPolicyOptions));
  errors.push(...validateReservedMemory(config.reservedMemory), ...validateShutdown(config));
  return errors;
}
function checkCpuOptions({ cpuManagerPolicy, cpuManagerPolicyOptions: options }: Pick<KubeletConfig, 'cpuManagerPolicy' | 'cpuManagerPolicyOptions'>): void {
  if (cpuManagerPolicy === 'static') cpuPolicyOptions(options);
  else if (Object.keys(options).length > 0) throw new Error(`None policy: received unsupported options=${mapText(options, (value) => value)}`);
}
function validateReservedMemory(reservations: KubeletConfig['reservedMemory']): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const { numaNode, limits } of reservations) {
    for (const [resource, text] of Object.entries(limits)) {
      const check = (ok: boolean, message: string): void => void (ok || errors.push(invalidValue(fieldPath('reservedMemory'), text, message)));
      const of = `NUMA node ${numaNode} and resource "${resource}"`;
      check(resource === 'memory' || isHugePages(resource), `the limit type "${resource}" for NUMA node ${numaNode} is not supported, only [memory hugepages-<HugePageSize>] is accepted`);
      check(parseQuantity(text).sign() !== 0, `reserved memory may not be zero for ${of}`);
      check(!seen.has(of), `the reserved memory has a duplicate value for ${of}`);
      seen.add(of);
    }
  }
  return errors;
}
function validateShutdown({ shutdownGraceMs: total, shutdownGraceCriticalMs: critical, shutdownGraceByPriority: rows }: Pick<KubeletConfig, 'shutdownGraceMs' | 'shutdownGraceCriticalMs' | 'shutdownGraceByPriority'>): FieldError[] {
  const errors: FieldError[] = [];
  const check = (field: string, ok: boolean, message: string, value: unknown): void => void (ok || errors.push(invalidValue(fieldPath(field), value, message)));
  const short = (ms: number): boolean => ms > 0 && ms < 1000;
  check('shutdownGracePeriod', critical <= total, `shutdownGracePeriod {${formatDurationMs(total)}} must be >= shutdownGracePeriodCriticalPods {${formatDurationMs(critical)}}`, formatDurationMs(total));
  check('shutdownGracePeriod', !short(total), 'must be either zero or otherwise >= 1 sec', formatDurationMs(total));
  check('shutdownGracePeriodCriticalPods', !short(critical), 'must be either zero or otherwise >= 1 sec', formatDurationMs(critical));
  check('shutdownGracePeriodByPodPriority', rows.length === 0 || total === 0, 'Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same time', rows);
  return errors;
}
