/** Containers, init containers and sidecars, ephemeral containers. */
import type { Container, ContainerPort, ContainerResizePolicy, ContainerRestartRule, EphemeralContainer, PodSpec, Volume } from '#api/gen/core-v1.ts';
import { duplicate, forbiddenField, invalidValue, notFoundField, required, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isValidPortName } from '#machinery/names.ts';
import { each, fromMessages, oneOf, requiredOneOf } from '../../field-checks.ts';
import { PROTOCOLS, validatePortNumber } from '../ports.ts';
import type { AnyContainer } from './container-kinds.ts';
import { validateEnv, validateEnvFrom } from './env.ts';
import { validateDevices, validateMounts } from './mounts.ts';
import { validateHooksAndProbes } from './probes.ts';
import { isSidecar } from './quantities.ts';
import { validateResourceRequirements } from './resources.ts';
import { validateSecurityContext } from './security-context.ts';

/** What the containers of one Pod share. */
export interface ContainerContext {
  readonly spec: PodSpec;
  readonly volumes: ReadonlyMap<string, Volume>;
  readonly claimNames: ReadonlySet<string>;
  readonly hostUsers: boolean;
}
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'];
const MESSAGE_POLICIES = ['File', 'FallbackToLogsOnError'];

function validatePorts(ports: readonly ContainerPort[] | undefined, path: FieldPath): FieldError[] {
  const names = new Set<string>();
  return each(ports, path, (port, at) => {
    const errors: FieldError[] = [];
    if (port.name) {
      const messages = isValidPortName(port.name);
      errors.push(...fromMessages(at.child('name'), port.name, messages));
      if (messages.length === 0 && names.has(port.name)) errors.push(duplicate(at.child('name'), port.name));
      if (messages.length === 0) names.add(port.name);
    }
    errors.push(...(port.containerPort ? validatePortNumber(port.containerPort, at.child('containerPort')) : [required(at.child('containerPort'))]));
    if (port.hostPort) errors.push(...validatePortNumber(port.hostPort, at.child('hostPort')));
    return [...errors, ...requiredOneOf(port.protocol, PROTOCOLS, at.child('protocol'))];
  });
}
function validateResizePolicy(policies: readonly ContainerResizePolicy[] | undefined, podRestartPolicy: string | undefined, path: FieldPath): FieldError[] {
  const seen = new Set<string>();
  return each(policies, path, ({ resourceName = '', restartPolicy = '' }, at) => {
    const errors = seen.has(resourceName) ? [duplicate(at, resourceName)] : [];
    seen.add(resourceName);
    errors.push(...requiredOneOf(resourceName, ['cpu', 'memory'], path), ...requiredOneOf(restartPolicy, ['NotRequired', 'RestartContainer'], path));
    if (podRestartPolicy === 'Never' && restartPolicy !== 'NotRequired') errors.push(invalidValue(path, restartPolicy, "must be 'NotRequired' when `restartPolicy` is 'Never'"));
    return errors;
  });
}

const MAX_RULES = 20;
const MAX_EXIT_CODES = 255;
/** Rules by exit code, which override the container's restart policy (KEP-5307). */
function validateRestartRules(container: Container, path: FieldPath): FieldError[] {
  const rules = container.restartPolicyRules ?? [];
  const at = path.child('restartPolicyRules');
  const policy = path.child('restartPolicy');
  const errors: FieldError[] = [];
  if (container.restartPolicy !== undefined) errors.push(...oneOf(container.restartPolicy, ['Always', 'Never', 'OnFailure'], policy));
  else if (rules.length > 0) errors.push(required(policy, 'must specify restartPolicy when restart rules are used'));
  if (rules.length > MAX_RULES) errors.push(tooMany(at, rules.length, MAX_RULES));
  return [...errors, ...each(rules, at, validateRestartRule)];
}
function validateRestartRule(rule: ContainerRestartRule, path: FieldPath): FieldError[] {
  const errors = oneOf(rule.action, ['Restart', 'RestartAllContainers'], path.child('action'));
  const codes = path.child('exitCodes');
  if (!rule.exitCodes) return [...errors, required(codes, 'must be specified')];
  errors.push(...oneOf(rule.exitCodes.operator, ['In', 'NotIn'], codes.child('operator')));
  const count = rule.exitCodes.values?.length ?? 0;
  if (count > MAX_EXIT_CODES) errors.push(tooMany(codes.child('values'), count, MAX_EXIT_CODES));
  return errors;
}

function validateCommon(container: AnyContainer, path: FieldPath, context: ContainerContext): FieldError[] {
  const { name = '', image = '' } = container;
  return [
    ...(name === '' ? [required(path.child('name'))] : fromMessages(path.child('name'), name, isDNS1123Label(name))),
    ...(image === '' ? [required(path.child('image'))] : []),
    ...requiredOneOf(container.terminationMessagePolicy, MESSAGE_POLICIES, path.child('terminationMessagePolicy'), 'listed'),
    ...validatePorts(container.ports, path.child('ports')),
    ...validateEnv(container.env, path.child('env')),
    ...validateEnvFrom(container.envFrom, path.child('envFrom')),
    ...validateMounts(container, context.volumes, path.child('volumeMounts')),
    ...validateDevices(container, context.volumes, path.child('volumeDevices')),
    ...requiredOneOf(container.imagePullPolicy, PULL_POLICIES, path.child('imagePullPolicy')),
    ...validateResourceRequirements(container.resources, context.claimNames, path.child('resources')),
    ...validateResizePolicy(container.resizePolicy, context.spec.restartPolicy, path.child('resizePolicy')),
    ...validateSecurityContext(container.securityContext, context.hostUsers, path.child('securityContext')),
  ];
}
/** Images with blanks around them are refused in Pods; templates always could have them. */
export function validateImageBlanks(container: AnyContainer, path: FieldPath): FieldError[] {
  const image = container.image ?? '';
  return image.trim() === image ? [] : [invalidValue(path.child('image'), image, 'must not have leading or trailing whitespace')];
}

/** Two containers that want one port of the host. */
function validateHostPorts(containers: readonly Container[], path: FieldPath): FieldError[] {
  const taken = new Set<string>();
  return each(containers, path, (container, at) =>
    each(container.ports, at.child('ports'), (port, portPath) => {
      if (!port.hostPort) return [];
      const id = `${port.protocol ?? ''}/${port.hostIP ?? ''}/${port.hostPort}`;
      if (taken.has(id)) return [duplicate(portPath.child('hostPort'), id)];
      taken.add(id);
      return [];
    }),
  );
}
const hookContext = ({ spec }: ContainerContext) => ({ gracePeriodSeconds: spec.terminationGracePeriodSeconds, os: spec.os?.name });

export function validateContainers(path: FieldPath, context: ContainerContext): FieldError[] {
  const containers = context.spec.containers ?? [];
  if (containers.length === 0) return [required(path)];
  const names = new Set<string>();
  const errors = each(containers, path, (container, at) => {
    const own = validateCommon(container, at, context);
    if (names.has(container.name ?? '')) own.push(duplicate(at.child('name'), container.name ?? ''));
    names.add(container.name ?? '');
    return [...own, ...validateHooksAndProbes(container, at, hookContext(context)), ...validateRestartRules(container, at)];
  });
  return [...errors, ...validateHostPorts(containers, path)];
}

const NOT_IN_INIT = ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const;
export function validateInitContainers(path: FieldPath, context: ContainerContext): FieldError[] {
  const names = new Set((context.spec.containers ?? []).map((c) => c.name ?? ''));
  return each(context.spec.initContainers, path, (container, at) => {
    const errors = [...validateCommon(container, at, context), ...validateRestartRules(container, at)];
    const name = container.name ?? '';
    if (names.has(name)) errors.push(duplicate(at.child('name'), name));
    else if (name !== '') names.add(name);
    // One runs after the other: only ports within one container collide.
    errors.push(...validateHostPorts([container], path));
    if (isSidecar(container)) return [...errors, ...validateHooksAndProbes(container, at, hookContext(context))];
    const set = NOT_IN_INIT.filter((field) => container[field] !== undefined);
    return [...errors, ...set.map((field) => forbiddenField(at.child(field), 'may not be set for init containers without restartPolicy=Always'))];
  });
}

const NOT_IN_EPHEMERAL = 'cannot be set for an Ephemeral Container';
/** In the order of the type's fields. */
const EPHEMERAL_FORBIDDEN = [
  'ports', 'resources', 'resizePolicy', 'restartPolicy', 'restartPolicyRules', 'livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle',
] as const satisfies readonly (keyof EphemeralContainer)[];
function isSet(value: unknown): boolean {
  return value !== undefined && !(typeof value === 'object' && value !== null && Object.keys(value).length === 0);
}
export function validateEphemeralContainers(path: FieldPath, context: ContainerContext): FieldError[] {
  const others = new Set([...(context.spec.containers ?? []), ...(context.spec.initContainers ?? [])].map((c) => c.name ?? ''));
  const names = new Set(others);
  return each(context.spec.ephemeralContainers, path, (container, at) => {
    const errors = [...validateCommon(container, at, context), ...validateImageBlanks(container, at)];
    if (names.has(container.name ?? '')) errors.push(duplicate(at.child('name'), container.name ?? ''));
    names.add(container.name ?? '');
    const target = container.targetContainerName;
    if (target && !others.has(target)) errors.push(notFoundField(at.child('targetContainerName'), target));
    errors.push(...EPHEMERAL_FORBIDDEN.filter((field) => isSet(container[field])).map((field) => forbiddenField(at.child(field), NOT_IN_EPHEMERAL)));
    return [
      ...errors,
      ...each(container.volumeMounts, at.child('volumeMounts'), (mount, mountPath) =>
        (['subPath', 'subPathExpr'] as const).filter((key) => mount[key]).map((key) => forbiddenField(mountPath.child(key), NOT_IN_EPHEMERAL)),
      ),
    ];
  });
}
