/** Checks the expressions of admission policies against the kinds that their rules name. Upstream's counterpart: the policy TypeChecker. */
import type { ExpressionWarning, ValidatingAdmissionPolicy } from '#api/gen/admissionregistration-v1.ts';
import { splitApiVersion } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { structByKind, type StructType } from '#api/schema.ts';
import { ADMISSION_REQUEST_TYPE, NAMESPACE_TYPE } from '#apiserver/admission/cel-types.ts';
import type { Schema } from '#apiserver/extensions/schema.ts';
import type { ResourceRegistry } from '#apiserver/registry/resource-registry.ts';
import { compile } from '#cel/compile.ts';
import { kubernetesEnvironment } from '#cel/kubernetes.ts';
import { AUTHORIZER_TYPE, RESOURCE_CHECK_TYPE } from '#cel/library/authorizer.ts';
import { DYN, objectType, type CelType } from '#cel/types.ts';
import type { PolicyTypeChecker } from '#controllers/validatingadmissionpolicy-status/validatingadmissionpolicy-status.ts';
import { customKindType, kindType } from './api-types.ts';

/** As many kinds are checked at most. */
const MAX_KINDS = 10;

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}
const isPlain = (name: string): boolean => name !== '*' && !name.includes('/');
/** Kinds that the rules name one by one, in order; wildcards and subresources are not checked. */
function matchedKinds(policy: ValidatingAdmissionPolicy, served: readonly ResourceInfo[]): Kind[] {
  const found = new Map<string, Kind>();
  for (const { apiGroups = [], apiVersions = [], resources = [] } of policy.spec?.matchConstraints?.resourceRules ?? []) {
    if (apiGroups.includes('*') || apiVersions.includes('*') || resources.includes('*')) continue;
    for (const { group, version, plural, kind } of served) {
      if (apiGroups.includes(group) && apiVersions.includes(version) && resources.filter(isPlain).includes(plural)) found.set(nameOf({ group, version, kind }), { group, version, kind });
    }
  }
  return [...found.values()].toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)).slice(0, MAX_KINDS);
}
/** As Go prints a kind. */
const nameOf = ({ group, version, kind }: Kind): string => `${group}/${version}, Kind=${kind}`;

/** Types by kind are made once: a policy's check needs few of them. */
export function policyTypeChecker(resources: ResourceRegistry): PolicyTypeChecker {
  const base = kubernetesEnvironment();
  const types = new Map<StructType, CelType>();
  const customTypes = new WeakMap<Schema, CelType>();
  function typeOf({ group, version, kind }: Kind): CelType | undefined {
    const struct = structByKind(group, version, kind);
    if (struct) return types.getOrInsertComputed(struct, kindType);
    const schema: Schema | undefined = resources.all().find(({ info }) => info.group === group && info.version === version && info.kind === kind)?.openApiSchema;
    return schema && customTypes.getOrInsertComputed(schema, () => customKindType(schema, kind));
  }
  return (policy) => {
    const kinds = matchedKinds(policy, resources.all().map(({ info }) => info));
    const { paramKind, variables = [], validations = [] } = policy.spec ?? {};
    // Of a kind that nobody serves nothing is declared: upstream tells of its use so.
    const params = paramKind && typeOf({ ...splitApiVersion(paramKind.apiVersion ?? ''), kind: paramKind.kind ?? '' });
    const warnings = new Map<string, string[]>();
    for (const kind of kinds) {
      const object = typeOf(kind);
      if (!object) continue;
      const known: Record<string, CelType> = {};
      const check = (field: string | undefined, expression: string | undefined): CelType => {
        if (!expression) return DYN;
        const environment = base.withVariables({
          object, oldObject: object, request: ADMISSION_REQUEST_TYPE, namespaceObject: NAMESPACE_TYPE, authorizer: AUTHORIZER_TYPE, 'authorizer.requestResource': RESOURCE_CHECK_TYPE,
          variables: objectType('kubernetes.variables', known), ...(params ? { params } : {}),
        });
        const result = compile(expression, environment);
        if (!('errors' in result)) return result.program.type;
        if (field !== undefined) warnings.set(field, [...(warnings.get(field) ?? []), `${nameOf(kind)}: ${result.text}\n`]);
        return DYN;
      };
      // A variable that is wrong could be anything; what is told of are validations.
      for (const { name, expression } of variables) known[name] = check(undefined, expression);
      for (const [i, { expression, messageExpression }] of validations.entries()) {
        check(`spec.validations[${i}].expression`, expression);
        check(`spec.validations[${i}].messageExpression`, messageExpression);
      }
    }
    return Array.from(warnings, ([fieldRef, texts]): ExpressionWarning => ({ fieldRef, warning: texts.join('\n') }));
  };
}
