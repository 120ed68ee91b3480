/** Probes and lifecycle hooks of a container. */
import type { Container, HTTPGetAction, LifecycleHandler, Probe, SleepAction } from '#api/gen/core-v1.ts';
import { forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isHTTPHeaderName } from '#machinery/names.ts';
import { fromMessages, nonNegative, oneOf } from '../../field-checks.ts';
import { validatePortNumber, validatePortNumberOrName } from '../ports.ts';

interface HookContext {
  readonly gracePeriodSeconds: number | undefined;
  /** `spec.os.name`: signals have names of an operating system. */
  readonly os: string | undefined;
}

function validateHttpGet(http: HTTPGetAction, path: FieldPath): FieldError[] {
  const errors = http.path ? [] : [required(path.child('path'))];
  errors.push(...validatePortNumberOrName(http.port, path.child('port')), ...oneOf(http.scheme, ['HTTP', 'HTTPS'], path.child('scheme')));
  return [...errors, ...(http.httpHeaders ?? []).flatMap(({ name }) => fromMessages(path.child('httpHeaders'), name ?? '', isHTTPHeaderName(name ?? '')))];
}
function validateSleep(sleep: SleepAction, grace: number | undefined, path: FieldPath): FieldError[] {
  const seconds = sleep.seconds ?? 0;
  if (grace === undefined || (seconds >= 0 && seconds <= grace)) return [];
  return [invalidValue(path, seconds, `must be non-negative and less than terminationGracePeriodSeconds (${grace})`)];
}

type Handler = Partial<Pick<Probe, 'grpc'>> & LifecycleHandler;
function validateHandler(handler: Handler, grace: number | undefined, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  let count = 0;
  const one = <K extends keyof Handler>(key: K, check: (action: NonNullable<Handler[K]>, at: FieldPath) => FieldError[]): void => {
    const action = handler[key];
    if (action === undefined) return;
    count += 1;
    errors.push(...(count > 1 ? [forbiddenField(path.child(key), 'may not specify more than 1 handler type')] : check(action as NonNullable<Handler[K]>, path.child(key))));
  };
  one('exec', (exec, at) => (exec.command?.length ? [] : [required(at.child('command'))]));
  one('httpGet', validateHttpGet);
  one('tcpSocket', (tcp, at) => validatePortNumberOrName(tcp.port, at.child('port')));
  one('grpc', (grpc, at) => validatePortNumber(grpc.port ?? 0, at.child('port')));
  one('sleep', (sleep, at) => validateSleep(sleep, grace, at));
  return count === 0 ? [required(path, 'must specify a handler type')] : errors;
}

const COUNTS = ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const;
function validateProbe(probe: Probe, path: FieldPath): FieldError[] {
  const errors = validateHandler(probe, undefined, path);
  for (const field of COUNTS) errors.push(...nonNegative(probe[field], path.child(field)));
  const grace = probe.terminationGracePeriodSeconds;
  if (grace !== undefined && grace <= 0) errors.push(invalidValue(path.child('terminationGracePeriodSeconds'), grace, 'must be greater than 0'));
  return errors;
}
function validateOnce(probe: Probe | undefined, path: FieldPath): FieldError[] {
  if (!probe) return [];
  const errors = validateProbe(probe, path);
  if (probe.successThreshold !== 1) errors.push(invalidValue(path.child('successThreshold'), probe.successThreshold ?? 0, 'must be 1'));
  return errors;
}
function validateReadiness(probe: Probe | undefined, path: FieldPath): FieldError[] {
  if (!probe) return [];
  const errors = validateProbe(probe, path);
  const grace = probe.terminationGracePeriodSeconds;
  if (grace !== undefined) errors.push(invalidValue(path.child('terminationGracePeriodSeconds'), grace, 'must not be set for readinessProbes'));
  return errors;
}

const WINDOWS_SIGNALS = ['SIGTERM', 'SIGKILL'];
function validateStopSignal(signal: string | undefined, os: string | undefined, path: FieldPath): FieldError[] {
  if (signal === undefined) return [];
  if (!os) return [forbiddenField(path, 'may not be set for containers with empty `spec.os.name`')];
  return os === 'windows' ? oneOf(signal, WINDOWS_SIGNALS, path) : [];
}

/** Hooks and probes of a container that may have them. */
export function validateHooksAndProbes(container: Container, path: FieldPath, context: HookContext): FieldError[] {
  const hooks = path.child('lifecycle');
  const { postStart, preStop, stopSignal } = container.lifecycle ?? {};
  return [
    ...(postStart ? validateHandler(postStart, context.gracePeriodSeconds, hooks.child('postStart')) : []),
    ...(preStop ? validateHandler(preStop, context.gracePeriodSeconds, hooks.child('preStop')) : []),
    ...validateStopSignal(stopSignal, context.os, hooks.child('stopSignal')),
    ...validateOnce(container.livenessProbe, path.child('livenessProbe')),
    ...validateReadiness(container.readinessProbe, path.child('readinessProbe')),
    ...validateOnce(container.startupProbe, path.child('startupProbe')),
  ];
}
