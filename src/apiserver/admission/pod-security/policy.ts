/** Levels and versions of Pod Security, as a namespace's labels say them, and what a Pod violates under one. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { ObjectMeta } from '#api/gen/meta-v1.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { BASELINE_CHECKS } from './baseline.ts';
import type { CheckPod, Finding, VersionedCheck } from './check.ts';
import { RESTRICTED_CHECKS } from './restricted.ts';

const LEVELS = ['privileged', 'baseline', 'restricted'] as const;
export type Level = (typeof LEVELS)[number];
export interface LevelVersion {
  readonly level: Level;
  /** Minor version 1.x, or the newest. */
  readonly version: number | 'latest';
}
export type Mode = 'enforce' | 'audit' | 'warn';
export type Policy = Readonly<Record<Mode, LevelVersion>>;

/** The newest minor version that these checks know. */
export const NEWEST = 36;
const PRIVILEGED: LevelVersion = { level: 'privileged', version: 'latest' };
export const PRIVILEGED_POLICY: Policy = { enforce: PRIVILEGED, audit: PRIVILEGED, warn: PRIVILEGED };
const LABEL = 'pod-security.kubernetes.io/';

/** `restricted:latest`, `baseline:v1.25` */
export function levelText({ level, version }: LevelVersion): string {
  return `${level}:${version === 'latest' ? version : `v1.${version}`}`;
}
export function sameLevel(x: LevelVersion, y: LevelVersion): boolean {
  return x.level === y.level && x.version === y.version;
}
/** Negative: `x` is less strict than `y`. */
export function compareLevels(x: Level, y: Level): number {
  return LEVELS.indexOf(x) - LEVELS.indexOf(y);
}
export function isFullyPrivileged(p: Policy): boolean {
  return p.enforce.level === 'privileged' && p.audit.level === 'privileged' && p.warn.level === 'privileged';
}

/** The policy of a namespace. Labels that cannot be read enforce the strictest, and fail open for audit and warn. */
export function policyOf(labels: Readonly<Record<string, string>> | undefined, defaults: Policy): { readonly policy: Policy; readonly errors: readonly FieldError[] } {
  const errors: FieldError[] = [];
  const refuse = (label: string, value: string, detail: string): void => void errors.push(invalidValue(fieldPath('metadata', 'labels').key(label), value, detail));
  const level = (mode: Mode): Level | undefined => {
    const value = labels?.[LABEL + mode];
    if (value === undefined || (LEVELS as readonly string[]).includes(value)) return value as Level | undefined;
    refuse(LABEL + mode, value, `must be one of ${LEVELS.join(', ')}`);
    return mode === 'enforce' ? 'restricted' : 'privileged';
  };
  const version = (mode: Mode): LevelVersion['version'] | undefined => {
    const label = `${LABEL}${mode}-version`;
    const value = labels?.[label];
    if (value === undefined || value === 'latest') return value;
    const minor = /^v1\.(0|[1-9]\d*)$/.exec(value)?.[1];
    if (minor !== undefined) return Number(minor);
    refuse(label, value, 'must be "latest" or "v1.x"');
    return 'latest';
  };
  const of = (mode: Mode): LevelVersion => ({ level: level(mode) ?? defaults[mode].level, version: version(mode) ?? defaults[mode].version });
  const enforce = of('enforce');
  const enforceIsReadable = labels?.[`${LABEL}enforce`] !== undefined && errors.every((e) => !e.field.endsWith(`[${LABEL}enforce]`));
  const audit = of('audit');
  let warn = of('warn');
  // Who enforces a level wants to hear of it at the controllers too.
  if (labels?.[`${LABEL}warn`] === undefined && enforceIsReadable && compareLevels(enforce.level, warn.level) > 0) {
    warn = { level: enforce.level, version: labels?.[`${LABEL}warn-version`] === undefined ? enforce.version : warn.version };
  }
  return { policy: { enforce, audit, warn }, errors };
}

const evaluators = new Map<string, readonly CheckPod[]>();
function checksFor({ level, version }: LevelVersion): readonly CheckPod[] {
  const minor = version === 'latest' ? NEWEST : Math.min(version, NEWEST);
  const key = `${level} ${minor}`;
  const known = evaluators.get(key);
  if (known) return known;
  const at = (versions: readonly VersionedCheck[]): VersionedCheck | undefined => versions.findLast((v) => v.since <= minor);
  const restricted = level === 'restricted' ? RESTRICTED_CHECKS.flatMap((c) => at(c.versions) ?? []) : [];
  const overridden = new Set(restricted.flatMap((v) => v.overrides ?? []));
  const baseline = BASELINE_CHECKS.filter((c) => !overridden.has(c.id)).flatMap((c) => at(c.versions) ?? []);
  const checks = [...baseline, ...restricted].map((v) => v.check);
  evaluators.set(key, checks);
  return checks;
}
/** What a Pod violates at a level, in upstream's order. Empty: it is allowed. */
export function evaluate(at: LevelVersion, metadata: ObjectMeta, spec: coreV1.PodSpec): readonly Finding[] {
  if (at.level === 'privileged') return [];
  return checksFor(at).flatMap((check) => check(spec, metadata) ?? []);
}
/** `host namespaces (hostNetwork=true), privileged (container "c" must not …)` */
export function findingsText(findings: readonly Finding[]): string {
  return findings.map((f) => (f.detail === '' ? f.reason : `${f.reason} (${f.detail})`)).join(', ');
}
