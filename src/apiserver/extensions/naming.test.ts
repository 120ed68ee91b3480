import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CustomResourceDefinition, CustomResourceDefinitionNames } from '#api/gen/apiextensions-v1.ts';
import { isNamed, nameDefinition, obsoleteConditions, withCondition } from './naming.ts';

const names = (change: Partial<CustomResourceDefinitionNames> = {}): CustomResourceDefinitionNames => ({ plural: 'as', singular: 'a', kind: 'A', listKind: 'AList', ...change });
const definition = (asked: CustomResourceDefinitionNames, accepted?: CustomResourceDefinitionNames): CustomResourceDefinition => ({
  metadata: { name: 'x' }, spec: { group: 'g', scope: 'Namespaced', names: asked, versions: [] }, ...(accepted ? { status: { acceptedNames: accepted } } : {}),
});

describe('nameDefinition', () => {
  it('accepts names that are free', () => {
    const naming = nameDefinition(definition(names({ shortNames: ['aa'], categories: ['all'] })), []);
    assert.deepEqual([naming.accepted, naming.acceptedNames], [true, names({ shortNames: ['aa'], categories: ['all'] })]);
    assert.deepEqual(naming.conditions.map((c) => `${c.type} ${c.status}`), ['NamesAccepted True', 'Established True']);
  });
  const TABLE: readonly (readonly [string, Partial<CustomResourceDefinitionNames>, string, string])[] = [
    ['plural', { plural: 'bs' }, 'PluralConflict', '"bs" is already in use'], ['singular', { singular: 'b' }, 'SingularConflict', '"b" is already in use'], ['kind', { kind: 'B' }, 'KindConflict', '"B" is already in use'],
    ['listKind', { listKind: 'BList' }, 'ListKindConflict', '"BList" is already in use'], ['shortNames', { shortNames: ['bb', 'b', 'q'] }, 'ShortNamesConflict', '["bb" is already in use, "b" is already in use]'],
  ];
  for (const [name, change, reason, message] of TABLE) {
    it(`refuses a ${name} that another has`, () => {
      const taken = { plural: 'bs', singular: 'b', kind: 'B', listKind: 'BList', shortNames: ['bb'] };
      const naming = nameDefinition(definition(names(change)), [definition(taken, taken)]);
      assert.deepEqual([naming.accepted, naming.conditions[0]], [false, { type: 'NamesAccepted', status: 'False', reason, message }]);
    });
  }
  it('keeps what is established when a new short name is taken', () => {
    const had = names({ shortNames: ['aa'] });
    const old = definition(names({ shortNames: ['aa', 'bb'] }), had);
    const established: CustomResourceDefinition = { ...old, status: { ...old.status, conditions: [{ type: 'Established', status: 'True' }] } };
    const naming = nameDefinition(established, [definition(names({ plural: 'bs' }), { plural: 'bs', kind: 'B', shortNames: ['bb'] })]);
    assert.deepEqual([naming.accepted, naming.acceptedNames.shortNames, naming.conditions.map((c) => c.type)], [true, ['aa'], ['NamesAccepted']]);
  });
  it('says whether a group of the Kubernetes project is approved', () => {
    const own = (annotation?: string) => {
      const base = definition(names());
      return nameDefinition({ ...base, metadata: annotation === undefined ? {} : { annotations: { 'api-approved.kubernetes.io': annotation } }, spec: { ...base.spec, group: 'x.k8s.io' } }, []).conditions.at(-1);
    };
    assert.deepEqual(own('https://github.com/x/1'), { type: 'KubernetesAPIApprovalPolicyConformant', status: 'True', reason: 'ApprovedAnnotation', message: 'approved in https://github.com/x/1' });
    assert.deepEqual(own('unapproved, a test'), { type: 'KubernetesAPIApprovalPolicyConformant', status: 'False', reason: 'UnapprovedAnnotation', message: 'not approved: "unapproved, a test"' });
    assert.equal(own()?.reason, 'MissingAnnotation');
  });
  it('is not established while the bundle of its conversion webhook cannot be used', () => {
    const base = definition(names());
    const naming = nameDefinition({ ...base, spec: { ...base.spec, conversion: { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'], clientConfig: { caBundle: 'Cg==' } } } } }, []);
    assert.equal(naming.accepted, false);
    assert.deepEqual(naming.conditions[1], { type: 'Established', status: 'False', reason: 'InvalidCABundle', message: 'The conversion webhook CABundle is invalid' });
  });
  it('tells of schemas that are not structural, as long as they are not', () => {
    const base = definition(names());
    const of = (a: object): CustomResourceDefinition => ({ ...base, spec: { ...base.spec, versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties: { a } } } }] } });
    const told = nameDefinition(of({}), []).conditions.at(-1);
    assert.deepEqual(told, { type: 'NonStructuralSchema', status: 'True', reason: 'Violations', message: 'spec.versions[0].schema.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields' });
    const mended: CustomResourceDefinition = { ...of({ type: 'string' }), status: { acceptedNames: names(), conditions: [{ ...told!, lastTransitionTime: 't' }] } };
    assert.deepEqual(obsoleteConditions(mended, nameDefinition(mended, [])), ['NonStructuralSchema']);
    assert.equal(isNamed(mended, nameDefinition(mended, [])), false);
  });
  it('has nothing to say twice', () => {
    const first = definition(names());
    const naming = nameDefinition(first, []);
    const conditions = naming.conditions.reduce((all, c) => withCondition(all, c, 't'), [] as ReturnType<typeof withCondition>);
    assert.equal(isNamed(first, naming), false);
    assert.equal(isNamed({ ...first, status: { acceptedNames: naming.acceptedNames, conditions } }, naming), true);
  });
});
describe('withCondition', () => {
  it('keeps the time of a status that stays', () => {
    const old = [{ type: 'A', status: 'True', reason: 'x', lastTransitionTime: 't1' }];
    assert.equal(withCondition(old, { type: 'A', status: 'True', reason: 'y' }, 't2')[0]!.lastTransitionTime, 't1');
    assert.equal(withCondition(old, { type: 'A', status: 'False' }, 't2')[0]!.lastTransitionTime, 't2');
  });
});
