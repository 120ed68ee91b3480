/** What choices of a node must be together. Messages as upstream's validation of KubeletConfiguration. */
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { KUBELET_DEFAULTS, reservedResources, type KubeletConfig } from './config.ts';
import { parseThresholds } from './eviction/pressure.ts';
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
  errors.push(...validateShutdown(config));
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
