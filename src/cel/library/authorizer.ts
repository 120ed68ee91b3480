/**
 * `kubernetes.authorization.Authorizer`: may somebody do something? The question is answered outside; where the answer takes time the evaluation is
 * suspended and begun again with it.
 */
import { CelError, Suspend } from '../errors.ts';
import { declare, member, type CallCost, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { opaque, type CelType } from '../types.ts';
import { OpaqueValue, sizeOf, type Value } from '../values.ts';

export interface AccessQuestion {
  /** `system:serviceaccount:NAMESPACE:NAME`; undefined: the user of the request. */
  readonly serviceAccount?: { readonly namespace: string; readonly name: string } | undefined;
  readonly verb: string;
  /** A path, or a resource. */
  readonly path?: string | undefined;
  readonly group?: string | undefined;
  readonly resource?: string | undefined;
  readonly subresource?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly labelSelector?: string | undefined;
}
export interface AccessAnswer {
  readonly allowed: boolean;
  readonly reason: string;
  readonly error?: string | undefined;
}
export interface AccessChecker {
  check(question: AccessQuestion): AccessAnswer | Promise<AccessAnswer>;
}

export const AUTHORIZER_TYPE = opaque('kubernetes.authorization.Authorizer');
export const PATH_CHECK_TYPE = opaque('kubernetes.authorization.PathCheck');
export const GROUP_CHECK_TYPE = opaque('kubernetes.authorization.GroupCheck');
export const RESOURCE_CHECK_TYPE = opaque('kubernetes.authorization.ResourceCheck');
export const DECISION_TYPE = opaque('kubernetes.authorization.Decision');

type Known = Map<string, AccessAnswer | Promise<AccessAnswer>>;
/** A question under construction: an authorizer, a path, a group or a resource check. */
export class CheckValue extends OpaqueValue {
  readonly type: CelType;
  readonly checker: AccessChecker;
  readonly question: Omit<AccessQuestion, 'verb'>;
  /** Answers of this evaluation. */
  readonly known: Known;
  constructor(type: CelType, checker: AccessChecker, question: Omit<AccessQuestion, 'verb'> = {}, known: Known = new Map()) {
    super();
    this.type = type;
    this.checker = checker;
    this.question = question;
    this.known = known;
  }
  with(type: CelType, more: Omit<AccessQuestion, 'verb'>): CheckValue {
    return new CheckValue(type, this.checker, { ...this.question, ...more }, this.known);
  }
  equals(other: OpaqueValue): boolean {
    return other instanceof CheckValue && other.type === this.type && JSON.stringify(other.question) === JSON.stringify(this.question);
  }
  ask(verb: string): AccessAnswer {
    const question = { ...this.question, verb };
    const answer = this.known.getOrInsertComputed(JSON.stringify(question), () => this.checker.check(question));
    if (!(answer instanceof Promise)) return answer;
    const id = JSON.stringify(question);
    throw new Suspend(answer.then((settled) => this.known.set(id, settled), (err: unknown) => this.known.set(id, { allowed: false, reason: '', error: err instanceof Error ? err.message : String(err) })));
  }
}
class DecisionValue extends OpaqueValue {
  readonly answer: AccessAnswer;
  constructor(answer: AccessAnswer) {
    super();
    this.answer = answer;
  }
  get type(): CelType {
    return DECISION_TYPE;
  }
  equals(other: OpaqueValue): boolean {
    return other instanceof DecisionValue && JSON.stringify(other.answer) === JSON.stringify(this.answer);
  }
}
/** The value of the variable `authorizer`. One per evaluation: it remembers answers. */
const c = (value: Value): CheckValue => value as CheckValue;
const d = (value: Value): AccessAnswer => (value as DecisionValue).answer;
function notEmpty(value: Value, what: string): string {
  if (value === '') throw new CelError(`${what} must not be empty`);
  return value as string;
}
const serviceAccount: Implementation = (_f, a, namespace, name) => {
  const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
  if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name as string)) throw new CelError('Invalid service account name');
  if (!label.test(namespace as string)) throw new CelError('Invalid service account namespace');
  return c(a).with(AUTHORIZER_TYPE, { serviceAccount: { namespace: namespace as string, name: name as string } });
};
const step = (type: CelType, field: keyof AccessQuestion): Implementation => (_f, a, b) => c(a).with(type, { [field]: b as string });
const check: Implementation = (_f, a, verb) => new DecisionValue(c(a).ask(verb as string));
const CHECK_COST = 350_000;
const selectorCost: CallCost = (_a, text) => 10 + Math.ceil(sizeOf(text) * 0.1) + Math.ceil(sizeOf(text) * 0.5) * 50;
const N = 'kubernetes.authorization';

export const AUTHORIZER: readonly FunctionDeclaration[] = [
  declare('path', member('authorizer_path', `${N}.Authorizer, string -> ${N}.PathCheck`, (_f, a, path) => c(a).with(PATH_CHECK_TYPE, { path: notEmpty(path, 'path') }))),
  declare('group', member('authorizer_group', `${N}.Authorizer, string -> ${N}.GroupCheck`, step(GROUP_CHECK_TYPE, 'group'))),
  declare('serviceAccount', member('authorizer_serviceaccount', `${N}.Authorizer, string, string -> ${N}.Authorizer`, serviceAccount)),
  declare('resource', member('groupcheck_resource', `${N}.GroupCheck, string -> ${N}.ResourceCheck`, (_f, a, resource) => c(a).with(RESOURCE_CHECK_TYPE, { resource: notEmpty(resource, 'resource') }))),
  declare('subresource', member('resourcecheck_subresource', `${N}.ResourceCheck, string -> ${N}.ResourceCheck`, step(RESOURCE_CHECK_TYPE, 'subresource'))),
  declare('namespace', member('resourcecheck_namespace', `${N}.ResourceCheck, string -> ${N}.ResourceCheck`, step(RESOURCE_CHECK_TYPE, 'namespace'))),
  declare('name', member('resourcecheck_name', `${N}.ResourceCheck, string -> ${N}.ResourceCheck`, step(RESOURCE_CHECK_TYPE, 'name'))),
  declare('fieldSelector', member('authorizer_fieldselector', `${N}.ResourceCheck, string -> ${N}.ResourceCheck`, step(RESOURCE_CHECK_TYPE, 'fieldSelector'), selectorCost)),
  declare('labelSelector', member('authorizer_labelselector', `${N}.ResourceCheck, string -> ${N}.ResourceCheck`, step(RESOURCE_CHECK_TYPE, 'labelSelector'), selectorCost)),
  declare('check', member('pathcheck_check', `${N}.PathCheck, string -> ${N}.Decision`, check, CHECK_COST), member('resourcecheck_check', `${N}.ResourceCheck, string -> ${N}.Decision`, check, CHECK_COST)),
  declare('errored', member('decision_errored', `${N}.Decision -> bool`, (_f, a) => d(a).error !== undefined)),
  declare('error', member('decision_error', `${N}.Decision -> string`, (_f, a) => d(a).error ?? '')),
  declare('allowed', member('decision_allowed', `${N}.Decision -> bool`, (_f, a) => d(a).allowed)),
  declare('reason', member('decision_reason', `${N}.Decision -> string`, (_f, a) => d(a).reason)),
];
