/**
 * Groups as slices of systemd: `kubepods-burstable-pod<uid with _>.slice`, made as transient units over D-Bus, so that systemd knows of
 * everything that is in its tree. Upstream's counterpart: the kubelet's systemd cgroup driver. Source: systemd's "New Control Group
 * Interfaces", org.freedesktop.systemd1(5), systemd.resource-control(5).
 *
 * The calls go out by `busctl`, which is on every machine that has systemd. What systemd has no property for, and what it does not manage
 * on version 1 of cgroups, is then written to the file systems beside it, as runc does.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { CgroupDriver } from './driver.ts';
import type { CgroupHierarchy, CgroupLimits } from './hierarchy.ts';
import { weightOf } from './hierarchy.ts';

const run = promisify(execFile);
const TIMEOUT_MS = 30_000;
const MANAGER = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'] as const;
/** systemd takes time of the CPU for each second, in steps of 10 ms. */
const QUOTAS_PER_SECOND = 10;
const QUOTA_STEP_US = 10_000;
const SUFFIX = '.slice';

/** A dash is what parts names in a slice's: those within a name become underscores. */
const escaped = (name: string): string => name.replaceAll('-', '_');
/** `['kubepods', 'burstable']` → `kubepods-burstable.slice`; no names at all are the root, `-.slice`. */
export function sliceOf(names: readonly string[]): string {
  return names.length === 0 ? `-${SUFFIX}` : `${names.map(escaped).join('-')}${SUFFIX}`;
}
/** `['kubepods', 'burstable']` → `/kubepods.slice/kubepods-burstable.slice`. */
export function slicePath(names: readonly string[]): string {
  return `/${names.map((_, i) => sliceOf(names.slice(0, i + 1))).join('/')}`;
}

/** A call of systemd's manager: its method, the D-Bus signature of its arguments, and those, as `busctl call` takes them. */
export type SystemdCall = (method: string, signature: string, args: readonly string[]) => Promise<void>;

/** An error that the manager answered with, by its D-Bus name. */
export class SystemdError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
/** `busctl` prints what the manager says, not the name of the error: these are the texts of the two that are no failures. */
const KNOWN_ERRORS: readonly (readonly [text: RegExp, code: string])[] = [
  [/already (loaded|exists)|was already loaded|has a fragment file/, 'UnitExists'],
  [/not loaded|not found/, 'NoSuchUnit'],
];

/** The manager on the system bus, or at an address of D-Bus. */
export function systemdManager(address?: string): SystemdCall {
  const bus = address === undefined ? ['--system'] : [`--address=${address}`];
  return async (method, signature, args) => {
    try {
      await run('busctl', [...bus, '--quiet', 'call', ...MANAGER, method, signature, ...args], { timeout: TIMEOUT_MS, env: { ...process.env, LC_ALL: 'C' } });
    } catch (err) {
      const { stderr = '', code } = err as { stderr?: string; code?: string | number };
      if (code === 'ENOENT') throw new Error('the cgroup driver "systemd" needs busctl, a program of systemd', { cause: err });
      const text = stderr.trim().replace(/^Call failed: /, '');
      throw new SystemdError(KNOWN_ERRORS.find(([pattern]) => pattern.test(text))?.[1] ?? 'Failed', `systemd: ${method} ${args[0]}: ${text || (err as Error).message}`);
    }
  };
}

/** Properties as `busctl` takes them: name, type and value. */
export function limitProperties({ cpuShares, cpuQuotaUs, memoryBytes, pids }: CgroupLimits, v2: boolean): readonly (readonly string[])[] {
  const number = (name: string, value: number | undefined): string[][] => (value === undefined ? [] : [[name, 't', String(value)]]);
  const perSecond = cpuQuotaUs === undefined ? undefined : Math.ceil((cpuQuotaUs * QUOTAS_PER_SECOND) / QUOTA_STEP_US) * QUOTA_STEP_US;
  return [
    ...(v2 ? number('CPUWeight', cpuShares === undefined ? undefined : weightOf(cpuShares)) : number('CPUShares', cpuShares)),
    ...number('CPUQuotaPerSecUSec', perSecond),
    ...number(v2 ? 'MemoryMax' : 'MemoryLimit', memoryBytes),
    ...number('TasksMax', pids),
  ];
}
const list = (properties: readonly (readonly string[])[]): string[] => [String(properties.length), ...properties.flat()];

export function systemdDriver(hierarchy: CgroupHierarchy, call: SystemdCall): CgroupDriver {
  const accounting = (): string[][] => ['CPUAccounting', 'MemoryAccounting', 'TasksAccounting', hierarchy.v2 ? 'IOAccounting' : 'BlockIOAccounting'].map((name) => [name, 'b', 'true']);

  async function start(names: readonly string[], limits: readonly (readonly string[])[]): Promise<void> {
    const slice = sliceOf(names);
    const properties = [
      ['Description', 's', `Kubernetes: ${slicePath(names)}`], ['Wants', 'as', '1', sliceOf(names.slice(0, -1))], ['DefaultDependencies', 'b', 'false'], ...accounting(), ...limits,
    ];
    await call('StartTransientUnit', 'ssa(sv)a(sa(sv))', [slice, 'replace', ...list(properties), '0']);
  }
  return {
    name: 'systemd',
    pathOf: slicePath,
    async create(names, limits) {
      const properties = limitProperties(limits, hierarchy.v2);
      await start(names, properties).catch(async (err: unknown) => {
        if (!(err instanceof SystemdError) || err.code !== 'UnitExists') throw err;
        if (properties.length > 0) await call('SetUnitProperties', 'sba(sv)', [sliceOf(names), 'true', ...list(properties)]);
      });
      await hierarchy.create(slicePath(names), limits);
    },
    async remove(names) {
      await call('StopUnit', 'ss', [sliceOf(names), 'replace']).catch((err: unknown) => {
        if (!(err instanceof SystemdError) || err.code !== 'NoSuchUnit') throw err;
      });
      await hierarchy.remove(slicePath(names));
    },
    async children(names) {
      const prefix = names.length === 0 ? '' : `${names.map(escaped).join('-')}-`;
      const found = await hierarchy.children(slicePath(names));
      return found.flatMap((dir) => (dir.startsWith(prefix) && dir.endsWith(SUFFIX) ? [dir.slice(prefix.length, -SUFFIX.length).replaceAll('_', '-')] : []));
    },
    // containerd and CRI-O differ here; of the scopes it is the one whose name ends with the id that counts.
    containerPath: (podPath, id) => `${podPath}/cri-containerd-${id}.scope`,
  };
}
